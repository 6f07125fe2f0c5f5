//! Specifications of runs (`RunSpec`) and the requests that submit them ([`Submission`]).
//!
//! A specification is stored as it was submitted. Known members may be spelled in snake or camel case; unknown ones
//! are kept and have no effect. Submission checks everything that can be checked then, by the operator's rules. `digest`
//! compares specifications, `redaction` hides secrets in answers, `sinks` has the receivers of results.

mod digest;
mod redaction;
mod run_spec;
mod sinks;
mod submission;
mod target;

pub use digest::SpecDigest;
pub use redaction::redacted;
pub use sinks::{SinkKind, StoredSink};
pub use submission::{Submission, SubmissionError, SubmissionRules};
pub use target::TargetKind;

pub(crate) use digest::digest;
pub(crate) use run_spec::{RunSpec, RunTarget, SpecRules};
pub(crate) use sinks::{DEFAULT_TRIES, Sink, SinkRules, SinkTarget, WebhookTarget, path_below};
pub(crate) use submission::storable;
