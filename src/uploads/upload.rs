//! An upload, read and checked.

use std::time::Duration;

use super::form::TraceFiles;
use crate::credentials::CredentialRules;
use crate::eval_set::EvalSet;
use crate::evaluation::config::Parameters;
use crate::evaluators::CodePolicy;
use crate::trace::Format;

/// What uploads may ask for.
#[derive(Debug, Clone)]
pub struct UploadRules {
    /// Which code evaluators they may name, and which of them run.
    pub code: CodePolicy,
    /// Which credentials they may refer to.
    pub credentials: CredentialRules,
    /// How long their evaluation may take, as it is stored.
    pub deadline: Duration,
}

/// An upload whose traces are not looked into yet.
#[derive(Debug)]
pub(super) struct Upload {
    /// The traces, unread; what is wrong with those that are no text; the names of all.
    pub(super) files: TraceFiles,
    /// Format to assume of the traces.
    pub(super) format: Option<Format>,
    /// The golden.
    pub(super) eval_set: Option<EvalSet>,
    /// How to evaluate.
    pub(super) parameters: Parameters,
    /// What is wrong with the golden, if it is left out for that.
    pub(super) eval_set_error: Option<String>,
    /// Golden and configuration as they were written.
    pub(super) texts: Texts,
    /// Whether it is refused when no trace can be read; else that is what is reported.
    pub(super) needs_traces: bool,
}

/// Golden and configuration as they were written.
#[derive(Debug, Default)]
pub(super) struct Texts {
    pub(super) eval_set: Option<String>,
    pub(super) config: Option<String>,
}

/// What is wrong when the format is given twice.
pub(super) fn contradiction(given: Option<Format>, configured: Option<Format>) -> Option<String> {
    let (given, configured) = given.zip(configured)?;
    let text = || format!("says the traces are {configured}, but they are said to be {given}; leave one out");
    (given != configured).then(text)
}
