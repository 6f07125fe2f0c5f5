//! A sink of a specification, read and checked.

use std::time::Duration;

use super::path::path_below;
use super::rules::SinkRules;
use super::stored::{SinkKind, StoredSink};
use super::webhook::WebhookTarget;
use crate::credentials::CredentialRefs;
use crate::json::checked::{Cursor, Faults, Object, Spelling, did_you_mean};
use crate::json::{self, Map, Value};
use crate::names::name_of;

/// Most sinks that a run may have.
const MAX_SINKS: usize = 10;

/// Longest duration of a try, unless the sink sets another; as in the reference.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest timeout that a sink may set.
const MAX_TIMEOUT: Duration = Duration::from_secs(60);

/// Most tries of a message, unless the sink sets another number: with the waits between them, most of a night.
pub(crate) const DEFAULT_TRIES: u32 = 12;

/// A sink as a specification describes it.
#[derive(Debug)]
pub(crate) struct Sink {
    /// Its destination.
    pub(crate) target: SinkTarget,
    /// Longest duration of one try.
    pub(crate) timeout: Duration,
    /// Most tries of a message.
    pub(crate) max_tries: u32,
}

/// The destination of a sink.
#[derive(Debug)]
pub(crate) enum SinkTarget {
    /// The standard output of the process that sends.
    Stdout,
    /// A file below the folder of the process that sends; the path as written.
    File(String),
    /// A URL.
    Webhook(WebhookTarget),
}

/// Reads the sinks of a specification. `refs` are its credentials, `written_refs` the same as written, which are stored
/// with each sink.
pub(crate) fn read_all(
    cursor: &Cursor<'_, '_>,
    rules: &SinkRules<'_>,
    refs: &CredentialRefs,
    written_refs: Option<&Value<'_>>,
) -> Option<Vec<StoredSink>> {
    let read = |sink: &Cursor<'_, '_>| {
        Sink::read(sink, rules, refs).map(|read| read.stored(sink.value(), written_refs))
    };
    let sinks = cursor.list(read)?;
    if sinks.len() > MAX_SINKS {
        cursor.fault(format!("{} sinks are more than {MAX_SINKS}", sinks.len()));
    }
    Some(sinks)
}

impl Sink {
    fn read(cursor: &Cursor<'_, '_>, rules: &SinkRules<'_>, refs: &CredentialRefs) -> Option<Self> {
        let object = cursor.object(Spelling::SnakeOrCamel)?;
        let kind = object.required("kind", read_kind)?;
        let target = match kind {
            SinkKind::Stdout => Some(SinkTarget::Stdout),
            SinkKind::File => object.required("path", |path| read_path(path, rules)).map(SinkTarget::File),
            SinkKind::HttpWebhook => WebhookTarget::read(&object, rules, refs).map(SinkTarget::Webhook),
        };
        let timeout = object.optional("timeout_s", read_timeout);
        let tries = object.optional("max_attempts", |tries| tries.integer(1..=100));
        object.refuse_unknown();
        Some(Self {
            target: target?,
            timeout: timeout.unwrap_or(DEFAULT_TIMEOUT),
            max_tries: tries.and_then(|number| number.try_into().ok()).unwrap_or(DEFAULT_TRIES),
        })
    }

    /// Reads a stored sink and the credentials that it may name.
    ///
    /// # Errors
    /// Why this process cannot use the sink.
    pub(crate) fn parse(document: &str, rules: &SinkRules<'_>) -> Result<(Self, CredentialRefs), String> {
        let value = json::parse(document).map_err(|error| error.to_string())?;
        let faults = Faults::default();
        let read = |object: &Object<'_, '_>| {
            let refs =
                object.optional("credential_refs", |refs| CredentialRefs::read(refs, rules.credentials));
            let refs = refs.unwrap_or_default();
            let sink = object.required("sink", |sink| Self::read(sink, rules, &refs))?;
            Some((sink, refs))
        };
        let root = Cursor::root(&value, &faults);
        let sink = root.object(Spelling::SnakeOrCamel).and_then(|object| read(&object));
        let faults = faults.into_vec();
        match sink {
            Some(sink) if faults.is_empty() => Ok(sink),
            _ => Err(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
        }
    }

    /// The sink as it is stored; `sink` and `refs` are members of the specification, as written.
    fn stored(&self, sink: &Value<'_>, refs: Option<&Value<'_>>) -> StoredSink {
        let (kind, destination) = match &self.target {
            SinkTarget::Stdout => (SinkKind::Stdout, name_of(&SinkKind::NAMES, &SinkKind::Stdout).to_owned()),
            SinkTarget::File(path) => (SinkKind::File, path.clone()),
            SinkTarget::Webhook(webhook) => (SinkKind::HttpWebhook, webhook.destination()),
        };
        let mut members = vec![("sink".into(), sink.clone().into_owned())];
        members.extend(refs.map(|refs| ("credentialRefs".into(), refs.clone().into_owned())));
        let document = Value::Map(Map::from_entries(members)).to_json_text();
        StoredSink { kind, destination, timeout: self.timeout, document }
    }
}

fn read_kind(cursor: &Cursor<'_, '_>) -> Option<SinkKind> {
    let text = cursor.string()?;
    let known = SinkKind::NAMES.iter().find(|(name, _)| *name == text);
    if known.is_none() {
        let names = SinkKind::NAMES.map(|(name, _)| name);
        let hint = did_you_mean(&text, names.into_iter());
        cursor.fault(format!("unknown sink `{text}`; expected one of {}{hint}", names.join(", ")));
    }
    known.map(|(_, kind)| *kind)
}

fn read_path(cursor: &Cursor<'_, '_>, rules: &SinkRules<'_>) -> Option<String> {
    let path = cursor.string()?;
    let Some(folder) = rules.files else {
        cursor.fault("files are not written here; an operator can set AGENTEVALS_FILE_SINKS_DIR");
        return None;
    };
    let checked = path_below(folder, &path);
    checked.map_err(|fault| cursor.fault(fault)).ok().map(|_| path)
}

fn read_timeout(cursor: &Cursor<'_, '_>) -> Option<Duration> {
    let seconds = cursor.number()?;
    let timeout = Duration::try_from_secs_f64(seconds).ok();
    let timeout = timeout.filter(|timeout| (Duration::from_millis(1)..=MAX_TIMEOUT).contains(timeout));
    if timeout.is_none() {
        let most = MAX_TIMEOUT.as_secs();
        cursor
            .fault(format!("{seconds} is no time to wait; expected more than 0 and at most {most} seconds"));
    }
    timeout
}
