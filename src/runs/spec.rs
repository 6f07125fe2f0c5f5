//! The specification of a run: what is evaluated against what, and how.
//!
//! It is stored as submitted. Known members may be spelled in snake or camel case; unknown ones are kept and mean
//! nothing.

use super::credentials::{CredentialRefs, CredentialRules, HeaderSources};
use super::fetch::HttpTarget;
use super::model::{StoredSink, TargetKind};
use super::sinks::{self, SinkRules};
use crate::eval_set::EvalSet;
use crate::evaluation::config::{CodeRule, Parameters};
use crate::json::checked::{Cursor, Fault, Faults, Spelling};
use crate::json::{self, Map, Reader, SyntaxError, Token, Value};
use crate::net::OutboundRules;
use crate::trace::{Document, Format, Join, Loaded, load};

/// What an inline trace is called in messages.
const INLINE: &str = "inline";

/// The only approach there is.
const APPROACH: &str = "trace_replay";

/// What specifications are held to.
pub(super) struct SpecRules<'r> {
    /// Which code evaluators they may name.
    pub(super) code: CodeRule,
    /// Which credentials they may refer to.
    pub(super) credentials: &'r CredentialRules,
    /// Which addresses they may name.
    pub(super) outbound: &'r OutboundRules,
    /// What their sinks may use; `None` for whoever has no use for sinks and passes them over.
    pub(super) sinks: Option<SinkRules<'r>>,
}

/// A specification, checked; the inline trace stands beside it as text.
#[derive(Debug)]
pub(super) struct RunSpec {
    /// Where the traces come from.
    pub(super) target: RunTarget,
    /// Format to assume of the trace.
    pub(super) format: Option<Format>,
    /// Credentials that it names.
    pub(super) credentials: CredentialRefs,
    /// The golden.
    pub(super) eval_set: Option<EvalSet>,
    /// How to evaluate.
    pub(super) parameters: Parameters,
    /// Where results go, as it is stored beside the run.
    pub(super) sinks: Vec<StoredSink>,
}

/// Where the traces come from.
#[derive(Debug)]
pub(super) enum RunTarget {
    /// They are part of the specification.
    Inline,
    /// They are fetched.
    Http(HttpTarget),
}

/// Why a stored specification cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum SpecError {
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Schema(Vec<Fault>),
}

impl RunSpec {
    /// Reads a specification that is part of a document; faults are located in that document.
    ///
    /// The inline trace is only required to be an object; see [`load_document`].
    pub(super) fn read(cursor: &Cursor<'_, '_>, rules: &SpecRules<'_>) -> Option<Self> {
        let object = cursor.object(Spelling::SnakeOrCamel)?;
        object.optional("approach", |approach| {
            let text = approach.string()?;
            if text != APPROACH {
                approach.fault(format!("unknown value `{text}`; expected {APPROACH}"));
            }
            Some(())
        });
        let credentials = object
            .optional("credential_refs", |refs| CredentialRefs::read(refs, rules.credentials))
            .unwrap_or_default();
        let target = object.required("target", |target| read_target(target, rules));
        let eval_set = object.optional("eval_set", EvalSet::read);
        let parameters = object.optional("eval_config", |config| Parameters::read(config, rules.code));
        let written = object.optional("credential_refs", |refs| Some(refs.value()));
        let sinks = rules.sinks.as_ref().and_then(|rules| {
            object.optional("sinks", |sinks| sinks::read_all(sinks, rules, &credentials, written))
        });
        let kind = cursor.value().get("target").and_then(|target| target.get_str("kind"));
        let headers = object.optional("context", |context| match kind {
            Some("http") => context
                .object(Spelling::SnakeOrCamel)?
                .optional("headers", |headers| HeaderSources::read(headers, rules.credentials, &credentials)),
            // Kept, and means nothing.
            _ => context.map().map(|_| HeaderSources::default()),
        });
        let (target, format) = target?;
        let target = target.with_headers(headers.unwrap_or_default());
        let (parameters, sinks) = (parameters.unwrap_or_default(), sinks.unwrap_or_default());
        Some(Self { target, format, credentials, eval_set, parameters, sinks })
    }

    /// Reads a stored specification, and the text of its inline trace without building it; empty if there is none.
    pub(super) fn parse<'t>(text: &'t str, rules: &SpecRules<'_>) -> Result<(Self, &'t str), SpecError> {
        let (value, inline) = without_inline(text)?;
        let faults = Faults::default();
        let spec = Self::read(&Cursor::root(&value, &faults), rules);
        let faults = faults.into_vec();
        match spec {
            Some(spec) if faults.is_empty() => Ok((spec, inline.unwrap_or_default())),
            _ => Err(SpecError::Schema(faults)),
        }
    }
}

impl RunTarget {
    /// The name of what it is.
    pub(super) fn kind(&self) -> TargetKind {
        match self {
            Self::Inline => TargetKind::Inline,
            Self::Http(_) => TargetKind::Http,
        }
    }

    fn with_headers(self, headers: HeaderSources) -> Self {
        match self {
            Self::Inline => Self::Inline,
            Self::Http(target) => Self::Http(HttpTarget { headers, ..target }),
        }
    }
}

/// Reads where the traces come from, and the format to assume.
fn read_target(cursor: &Cursor<'_, '_>, rules: &SpecRules<'_>) -> Option<(RunTarget, Option<Format>)> {
    let object = cursor.object(Spelling::SnakeOrCamel)?;
    let format = object.optional("trace_format", |format| {
        format.string()?.parse().map_err(|error: String| format.fault(error)).ok()
    });
    let kind = object.required("kind", |kind| {
        let text = kind.string()?;
        match &*text {
            "inline" | "http" => {}
            "uploaded" => kind.fault("`uploaded` is written by the evaluate endpoints only; use `inline`"),
            other => kind.fault(format!("unknown value `{other}`; expected inline or http")),
        }
        Some(text)
    });
    let target = match kind?.as_str() {
        "inline" => object.required(INLINE, |inline| inline.map()).map(|_| RunTarget::Inline),
        "http" => HttpTarget::read(&object, rules.outbound).map(RunTarget::Http),
        _ => None,
    };
    Some((target?, format))
}

/// Takes the text of an inline trace as a document.
pub(super) fn inline_document(text: &str) -> Result<Document, String> {
    Document::from_bytes(INLINE, text.as_bytes().to_vec(), u64::MAX).map_err(|error| error.to_string())
}

/// Why nothing can be evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unusable {
    /// Nothing could be read.
    Unreadable(Vec<String>),
    /// There is nothing in it.
    NoTraces(String),
}

/// Reads the traces of a document, of which at least one span must be readable.
pub(super) fn load_document(document: &Document, format: Option<Format>) -> Result<Loaded<'_>, Unusable> {
    let loaded = load(std::slice::from_ref(document), format, Join::AcrossDocuments);
    match Unusable::of(&loaded) {
        None => Ok(loaded),
        Some(unusable) => Err(unusable),
    }
}

/// Code of the failure of a run whose traces cannot be read.
pub(super) const BAD_TRACE: &str = "bad_trace";

impl Unusable {
    /// Code of the failure of a run that comes to this.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => BAD_TRACE,
            Self::NoTraces(_) => "no_traces",
        }
    }

    /// The reasons.
    pub(super) fn faults(&self) -> Vec<String> {
        match self {
            Self::Unreadable(faults) => faults.clone(),
            Self::NoTraces(fault) => vec![fault.clone()],
        }
    }

    /// Why what was read cannot be evaluated; `None` when at least one span can.
    pub(super) fn of(loaded: &Loaded<'_>) -> Option<Self> {
        if !loaded.traces.is_empty() {
            return None;
        }
        if !loaded.errors.is_empty() {
            return Some(Self::Unreadable(loaded.errors.iter().map(ToString::to_string).collect()));
        }
        let rejected = loaded.warnings.iter().map(|warning| &*warning.text);
        let rejected = rejected.map(|text| format!("; {text}")).collect::<String>();
        Some(Self::NoTraces(match loaded.log_records {
            0 => format!("no traces were read: there are no spans{rejected}"),
            logs => format!("no traces were read, only {logs} log records; send the spans too{rejected}"),
        }))
    }
}

/// Parses a specification with an empty object in place of its inline trace, whose text is answered.
fn without_inline(text: &str) -> Result<(Value<'_>, Option<&str>), SyntaxError> {
    let mut inline = None;
    let mut reader = Reader::new(text);
    let spec = members_of(&mut reader, |reader, key| match key {
        "target" => members_of(reader, |reader, key| match key {
            INLINE if reader.peek()? == Token::Map => {
                inline = Some(reader.raw()?);
                Ok(Value::Map(Map::default()))
            }
            _ => reader.value(),
        }),
        _ => reader.value(),
    })?;
    reader.finish()?;
    Ok((spec, inline))
}

/// Reads the next value; when it is an object, each of its members by `member`.
pub(super) fn members_of<'a>(
    reader: &mut Reader<'a>,
    mut member: impl FnMut(&mut Reader<'a>, &str) -> Result<Value<'a>, SyntaxError>,
) -> Result<Value<'a>, SyntaxError> {
    if reader.peek()? != Token::Map {
        return reader.value();
    }
    let mut entries = Vec::new();
    reader.object(|reader, key| {
        let value = member(reader, key)?;
        entries.push((key.to_owned().into(), value));
        Ok(())
    })?;
    Ok(Value::Map(Map::from_entries(entries)))
}

/// The text of member `name` of the object `text`; of several the last.
pub(super) fn member_text<'a>(text: &'a str, name: &str) -> Result<Option<&'a str>, SyntaxError> {
    let mut found = None;
    let mut reader = Reader::new(text);
    reader.object(|reader, key| {
        let value = reader.raw()?;
        if key == name {
            found = Some(value);
        }
        Ok(())
    })?;
    Ok(found)
}

/// The text with half surrogates, which would cost the whole document, replaced; of the same length.
pub(super) fn repaired(text: &str) -> std::borrow::Cow<'_, str> {
    if memchr::memmem::find(text.as_bytes(), b"\\u").is_none() {
        return text.into();
    }
    let mut bytes = text.as_bytes().to_vec();
    json::repair_lone_surrogates(&mut bytes);
    String::from_utf8(bytes).map_or(text.into(), Into::into)
}
