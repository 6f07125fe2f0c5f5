//! Traces that are sent along and evaluated while their sender waits.
//!
//! An upload comes as a form ([`Part`]s) or as one JSON body ([`Source`]); [`UploadService`] reads it, evaluates it by
//! the one path there is, and stores it as a run that is over ([`FinishedRun`], port [`FinishedRuns`]). The traces
//! themselves are not kept.

mod body;
mod conversion;
mod fault;
mod finished;
mod form;
mod recording;
mod service;
mod source;
mod upload;

pub use conversion::{Conversion, ValidatedEvalSet, convert, validate_eval_set};
pub use fault::{Refusal, UploadError, UploadFault};
pub use finished::{FinishedRun, FinishedRuns};
pub use form::Part;
pub use service::{EvaluatedUpload, UploadEvaluation, UploadService};
pub use source::Source;
pub use upload::UploadRules;
