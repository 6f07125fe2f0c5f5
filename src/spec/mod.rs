//! The work that a run is asked to do: its specification (`RunSpec`), and the request that submits it
//! ([`Submission`]).
//!
//! A specification is stored as it was submitted. Known members may be spelled in snake or camel case; unknown ones
//! are kept and mean nothing. Everything that can be checked at submission is checked then, by the rules of the
//! operator. `digest` tells whether two specifications ask for the same work, `redaction` hides secrets in answers.

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
