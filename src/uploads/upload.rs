//! An upload, read and checked.

use std::time::Duration;

use super::form::TraceFiles;
use crate::credentials::CredentialRules;
use crate::eval_set::EvalSet;
use crate::evaluation::config::Parameters;
use crate::evaluators::CodePolicy;
use crate::trace::Format;

/// Rules for uploads.
#[derive(Debug, Clone)]
pub struct UploadRules {
    /// Code evaluators that uploads may name, and those that run.
    pub code: CodePolicy,
    /// Credentials that uploads may refer to.
    pub credentials: CredentialRules,
    /// Longest duration of an evaluation, which is also stored with its run.
    pub deadline: Duration,
}

/// An upload whose traces are not read yet.
#[derive(Debug)]
pub(super) struct Upload {
    /// The traces as documents.
    pub(super) files: TraceFiles,
    /// Format of the traces; detected if `None`.
    pub(super) format: Option<Format>,
    /// The eval set.
    pub(super) eval_set: Option<EvalSet>,
    /// The configuration of the evaluation.
    pub(super) parameters: Parameters,
    /// Why the eval set cannot be used, if so; the evaluation goes on without it.
    pub(super) eval_set_error: Option<String>,
    /// Eval set and configuration as they were written.
    pub(super) texts: Texts,
    /// Whether an upload without a readable trace is refused; otherwise its report lists the errors.
    pub(super) needs_traces: bool,
}

/// Eval set and configuration as they were written.
#[derive(Debug, Default)]
pub(super) struct Texts {
    pub(super) eval_set: Option<String>,
    pub(super) config: Option<String>,
}

/// The fault of two different formats, one given beside the configuration and one in it.
pub(super) fn contradiction(given: Option<Format>, configured: Option<Format>) -> Option<String> {
    let (given, configured) = given.zip(configured)?;
    let text = || format!("says the traces are {configured}, but they are said to be {given}; leave one out");
    (given != configured).then(text)
}
