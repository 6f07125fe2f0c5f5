//! Reads uploads that are one JSON body: `{traces, config?, evalSet?, credentialRefs?, traceFormat?}`.

use super::fault::{PartFault, Refusal, UploadError};
use super::form::TraceFiles;
use super::upload::{Texts, Upload, UploadRules, contradiction};
use crate::credentials::CredentialRefs;
use crate::eval_set::EvalSet;
use crate::evaluation::config::Parameters;
use crate::json::checked::{Cursor, Fault, Faults, Spelling};
use crate::json::{Map, Reader, SyntaxError, Token, Value, members_of, repaired};
use crate::trace::{Document, Format};

/// The member with the traces, and the name of their document in errors.
pub(super) const TRACES: &str = "traces";

/// Reads a body except for its traces, whose text is kept.
pub(super) fn read(body: &str, rules: &UploadRules) -> Result<Upload, UploadError> {
    let text = repaired(body);
    let members = Members::read(&text).map_err(|error| {
        let detail = format!("the body is not JSON: {error}");
        let faults = vec![PartFault { detail, ..PartFault::default() }];
        UploadError { refusal: Refusal::Malformed, faults }
    })?;
    let faults = Faults::default();
    let shape = read_shape(&Cursor::root(&members.value, &faults), rules);
    refuse(Refusal::Misshapen, faults.into_vec())?;
    let faults = Faults::default();
    let eval_set = read_content(&Cursor::root(&members.value, &faults), rules);
    refuse(Refusal::Unusable, faults.into_vec())?;
    let (parameters, format) = shape.unwrap_or_default();
    let mut files = TraceFiles::default();
    match Document::from_bytes(TRACES, members.traces.unwrap_or_default().as_bytes().to_vec(), u64::MAX) {
        Ok(document) => files.documents.push(document),
        Err(error) => files.errors.push(error.to_string()),
    }
    let owned = |text: Option<&str>| text.map(str::to_owned);
    Ok(Upload {
        files,
        format,
        eval_set,
        parameters,
        eval_set_error: None,
        texts: Texts { eval_set: owned(members.eval_set), config: owned(members.config) },
        needs_traces: true,
    })
}

fn refuse(refusal: Refusal, faults: Vec<Fault>) -> Result<(), UploadError> {
    let faults = faults.into_iter().map(|fault| PartFault::located(None, fault));
    UploadError::unless_empty(refusal, faults.collect())
}

/// Reads everything but the eval set and the credentials, whose faults are reported only if there are none here.
fn read_shape(cursor: &Cursor<'_, '_>, rules: &UploadRules) -> Option<(Parameters, Option<Format>)> {
    let object = cursor.object(Spelling::SnakeOrCamel)?;
    object.required(TRACES, |traces| traces.map());
    let given = object.optional("trace_format", |format| {
        format.string()?.parse().map_err(|error: String| format.fault(error)).ok()
    });
    let configured = object.optional("config", |config| {
        let (parameters, configured) = Parameters::read_with_format(config, rules.code.rule())?;
        if let Some(fault) = contradiction(given, configured) {
            config.fault(fault);
        }
        Some((parameters, configured))
    });
    object.optional("eval_set", |_| Some(()));
    object.optional("credential_refs", |_| Some(()));
    object.refuse_unknown();
    let (parameters, configured) = configured.unwrap_or_default();
    Some((parameters, given.or(configured)))
}

/// Reads the eval set and checks the credentials.
fn read_content(cursor: &Cursor<'_, '_>, rules: &UploadRules) -> Option<EvalSet> {
    let object = cursor.object(Spelling::SnakeOrCamel)?;
    object.optional("credential_refs", |refs| CredentialRefs::read(refs, &rules.credentials));
    object.optional("eval_set", EvalSet::read)
}

/// The members of a body; large ones also as text.
struct Members<'a> {
    /// The body with an empty object in place of the traces, which are not parsed twice.
    value: Value<'a>,
    traces: Option<&'a str>,
    eval_set: Option<&'a str>,
    config: Option<&'a str>,
}

impl<'a> Members<'a> {
    fn read(text: &'a str) -> Result<Self, SyntaxError> {
        let (mut traces, mut eval_set, mut config) = (None, None, None);
        let mut reader = Reader::new(text);
        let value = members_of(&mut reader, |reader, key| {
            if key == TRACES && reader.peek()? == Token::Map {
                traces = Some(reader.raw()?);
                return Ok(Value::Map(Map::default()));
            }
            let start = reader.offset();
            let value = reader.value()?;
            let written = Some(reader.since(start)).filter(|_| !value.is_null());
            match key {
                "evalSet" | "eval_set" => eval_set = written,
                "config" => config = written,
                _ => {}
            }
            Ok(value)
        })?;
        reader.finish()?;
        Ok(Self { value, traces, eval_set, config })
    }
}
