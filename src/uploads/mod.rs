//! Uploads: traces that are evaluated at once, while their sender waits.
//!
//! An upload is a form ([`Part`]s) or one JSON body ([`Source`]). [`UploadService`] reads it, evaluates it on the code
//! path of all evaluations, and stores the report as a finished run ([`FinishedRun`], port [`FinishedRuns`]). The traces
//! are not kept. [`convert`] and [`validate_eval_set`] only read uploads.

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
pub use fault::{PartFault, Refusal, UploadError};
pub use finished::{FinishedRun, FinishedRuns};
pub use form::Part;
pub use service::{EvaluatedUpload, UploadEvaluation, UploadService};
pub use source::Source;
pub use upload::UploadRules;
