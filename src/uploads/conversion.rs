//! Uploads that are read and not evaluated: traces are converted to conversations, eval sets are validated.

use super::fault::{PartFault, Refusal, UploadError};
use super::form::{Part, TRACE_FILES, TraceFiles, UploadForm};
use crate::eval_set::{EvalSet, EvalSetError};
use crate::evaluation::{self, Converted, GroupBy};
use crate::json::checked::{Fault, choose};
use crate::sources::Unusable;
use crate::trace::{self, Document, Format, Join, Warning};

/// The conversations in uploaded traces.
#[derive(Debug)]
pub struct Conversion {
    /// One conversation for each group of traces.
    pub converted: Vec<Converted>,
    /// Files, or parts of files, that could not be read.
    pub errors: Vec<String>,
    /// Losses that belong to no conversation.
    pub warnings: Vec<Warning>,
}

/// The part that selects how traces are grouped.
const GROUP_BY: &str = "group_by";

/// Extracts the conversations from the parts `trace_files`, `trace_format?` and `group_by?` of a form.
///
/// # Errors
/// The form cannot be used, or no trace can be read.
pub fn convert(parts: Vec<Part>) -> Result<Conversion, UploadError> {
    let mut form = UploadForm::new(parts);
    let files = form.trace_files();
    let format = form.trace_format();
    let group_by = form.text(GROUP_BY).map(|text| choose(&text, &GroupBy::NAMES));
    let group_by = group_by.unwrap_or(Ok(GroupBy::Trace));
    let group_by = group_by.map_err(|error| form.fault(PartFault::of(GROUP_BY, error)));
    form.finish()?;
    convert_files(files, format, group_by.unwrap_or(GroupBy::Trace))
}

fn convert_files(
    files: TraceFiles,
    format: Option<Format>,
    group_by: GroupBy,
) -> Result<Conversion, UploadError> {
    let TraceFiles { documents, mut errors, .. } = files;
    let loaded = trace::load(&documents, format, Join::AcrossDocuments);
    if let Some(unusable) = Unusable::of(&loaded) {
        errors.extend(unusable.faults());
        let faults = errors.into_iter().map(|error| PartFault::of(TRACE_FILES, error)).collect();
        return Err(UploadError { refusal: Refusal::NoTraces, faults });
    }
    errors.extend(loaded.errors.iter().map(ToString::to_string));
    let converted = evaluation::convert(&loaded.traces, group_by);
    Ok(Conversion { converted, errors, warnings: loaded.warnings })
}

/// The outcome of validating an eval set.
#[derive(Debug)]
pub struct ValidatedEvalSet {
    /// The eval set, if it can be used.
    pub eval_set: Option<EvalSet>,
    /// Faults that make it unusable, each with its JSON pointer.
    pub errors: Vec<String>,
    /// Members that are accepted but probably mistakes, each with its JSON pointer.
    pub warnings: Vec<String>,
}

/// Validates the eval set in the part `eval_set_file` of a form.
///
/// # Errors
/// The form has no such part, or others.
pub fn validate_eval_set(parts: Vec<Part>) -> Result<ValidatedEvalSet, UploadError> {
    let mut form = UploadForm::new(parts);
    let part = form.required("eval_set_file").unwrap_or_default();
    form.finish()?;
    let refused = |errors| ValidatedEvalSet { eval_set: None, errors, warnings: Vec::new() };
    let document = match Document::from_bytes(part.file_name.unwrap_or_default(), part.bytes, u64::MAX) {
        Ok(document) => document,
        Err(error) => return Ok(refused(vec![error.to_string()])),
    };
    Ok(match EvalSet::parse(document.text()) {
        Ok(eval_set) => {
            let warnings = eval_set.lint().iter().chain(&eval_set.null_members).map(located).collect();
            ValidatedEvalSet { eval_set: Some(eval_set), errors: Vec::new(), warnings }
        }
        Err(EvalSetError::Syntax(error)) => refused(vec![error.to_string()]),
        Err(EvalSetError::Schema(faults)) => refused(faults.iter().map(located).collect()),
    })
}

/// A fault as text, such as `/eval_cases/0/eval_id: missing`.
fn located(fault: &Fault) -> String {
    match &*fault.pointer {
        "" => fault.message.clone(),
        pointer => format!("{pointer}: {}", fault.message),
    }
}
