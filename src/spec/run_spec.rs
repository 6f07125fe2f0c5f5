//! A specification, read and checked.

use super::sinks::{self, SinkRules, StoredSink};
use super::target::TargetKind;
use crate::credentials::{CredentialRefs, CredentialRules, HeaderSources};
use crate::eval_set::EvalSet;
use crate::evaluation::config::{CodeRule, Parameters};
use crate::json::checked::{Cursor, Fault, Faults, Spelling};
use crate::json::{Map, Reader, SyntaxError, Token, Value, members_of};
use crate::net::OutboundRules;
use crate::sources::{HttpTarget, INLINE};
use crate::trace::Format;

/// The only approach there is.
const APPROACH: &str = "trace_replay";

/// Rules for specifications.
pub(crate) struct SpecRules<'r> {
    /// Code evaluators that they may name.
    pub(crate) code: CodeRule,
    /// Credentials that they may refer to.
    pub(crate) credentials: &'r CredentialRules,
    /// Addresses that they may name.
    pub(crate) outbound: &'r OutboundRules,
    /// Rules for their sinks; with `None`, sinks are skipped.
    pub(crate) sinks: Option<SinkRules<'r>>,
}

/// A checked specification, without the inline trace, which is kept as text.
#[derive(Debug)]
pub(crate) struct RunSpec {
    /// Where the traces come from.
    pub(crate) target: RunTarget,
    /// Format of the trace; detected if `None`.
    pub(crate) format: Option<Format>,
    /// Credentials that it names.
    pub(crate) credentials: CredentialRefs,
    /// The eval set.
    pub(crate) eval_set: Option<EvalSet>,
    /// The configuration of the evaluation.
    pub(crate) parameters: Parameters,
    /// The sinks, as they are stored beside the run.
    pub(crate) sinks: Vec<StoredSink>,
}

/// Where the traces come from.
#[derive(Debug)]
pub(crate) enum RunTarget {
    /// From the specification itself.
    Inline,
    /// From a URL.
    Http(HttpTarget),
}

/// Why a stored specification cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpecError {
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Schema(Vec<Fault>),
}

impl RunSpec {
    /// Reads a specification that is part of a document; faults are located in that document.
    ///
    /// The inline trace only has to be an object; [`load_document`](crate::sources::load_document) reads it.
    pub(crate) fn read(cursor: &Cursor<'_, '_>, rules: &SpecRules<'_>) -> Option<Self> {
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
            // Of other targets the context has no effect.
            _ => context.map().map(|_| HeaderSources::default()),
        });
        let (target, format) = target?;
        let target = target.with_headers(headers.unwrap_or_default());
        let (parameters, sinks) = (parameters.unwrap_or_default(), sinks.unwrap_or_default());
        Some(Self { target, format, credentials, eval_set, parameters, sinks })
    }

    /// Reads a stored specification; also returns the text of its inline trace, which is empty if there is none.
    pub(crate) fn parse<'t>(text: &'t str, rules: &SpecRules<'_>) -> Result<(Self, &'t str), SpecError> {
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
    /// The kind of the target.
    pub(crate) fn kind(&self) -> TargetKind {
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

/// Reads the target and the format of its traces.
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

/// Parses a specification with an empty object in place of its inline trace, whose text is returned. The trace, by far
/// the largest member, is not built in memory twice.
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
