//! Reads an upload, either a form or a JSON body.

use super::body;
use super::fault::{PartFault, UploadError};
use super::form::{Part, UploadForm};
use super::upload::{Texts, Upload, UploadRules, contradiction};
use crate::credentials::CredentialRefs;
use crate::eval_set::EvalSet;
use crate::evaluation::config::Parameters;
use crate::json::checked::Cursor;
use crate::trace::Document;

/// An upload as it was received.
#[derive(Debug)]
pub enum Source {
    /// The parts of a form.
    Form(Vec<Part>),
    /// One JSON body.
    Body(String),
}

impl Source {
    /// Reads the upload except for its traces.
    pub(super) fn read(self, rules: &UploadRules) -> Result<Upload, UploadError> {
        match self {
            Self::Form(parts) => read_form(parts, rules),
            Self::Body(text) => body::read(&text, rules),
        }
    }
}

/// The part with the configuration.
const CONFIG: &str = "config";

/// The part with the eval set.
const EVAL_SET_FILE: &str = "eval_set_file";

/// The part that names credentials.
const CREDENTIAL_REFS: &str = "credential_refs";

fn read_form(parts: Vec<Part>, rules: &UploadRules) -> Result<Upload, UploadError> {
    let mut form = UploadForm::new(parts);
    let files = form.trace_files();
    let config = form.required_text(CONFIG);
    let parameters = config.as_deref().and_then(|text| {
        form.read_json(CONFIG, text, |value, faults| {
            Parameters::read_with_format(&Cursor::root(value, faults), rules.code.rule())
        })
    });
    if let Some(refs) = form.text(CREDENTIAL_REFS) {
        form.read_json(CREDENTIAL_REFS, &refs, |value, faults| {
            CredentialRefs::read(&Cursor::root(value, faults), &rules.credentials)
        });
    }
    let (parameters, configured) = parameters.unwrap_or_default();
    let format = form.trace_format();
    if let Some(fault) = contradiction(format, configured) {
        form.fault(PartFault::of(CONFIG, fault));
    }
    let uploaded = form.optional(EVAL_SET_FILE).map(read_eval_set).unwrap_or_default();
    form.finish()?;
    Ok(Upload {
        files,
        format: format.or(configured),
        eval_set: uploaded.eval_set,
        parameters,
        eval_set_error: uploaded.error,
        texts: Texts { eval_set: uploaded.text, config },
        needs_traces: false,
    })
}

/// An eval set, or why it cannot be used.
#[derive(Default)]
struct UploadedEvalSet {
    eval_set: Option<EvalSet>,
    text: Option<String>,
    error: Option<String>,
}

fn read_eval_set(Part { file_name, bytes, .. }: Part) -> UploadedEvalSet {
    let name = file_name.unwrap_or_else(|| EVAL_SET_FILE.to_owned());
    let document = match Document::from_bytes(name, bytes, u64::MAX) {
        Ok(document) => document,
        Err(error) => {
            return UploadedEvalSet { error: Some(error.to_string()), ..UploadedEvalSet::default() };
        }
    };
    match EvalSet::parse(document.text()) {
        Ok(eval_set) => {
            UploadedEvalSet { eval_set: Some(eval_set), text: Some(document.text().to_owned()), error: None }
        }
        Err(error) => {
            let error = Some(format!("eval set `{}`: {error}", document.name()));
            UploadedEvalSet { error, ..UploadedEvalSet::default() }
        }
    }
}
