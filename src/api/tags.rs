//! The groups of operations in the OpenAPI document.

use poem_openapi::Tags;

/// Groups of operations.
#[derive(Tags)]
pub(super) enum Tag {
    /// Submit runs, look at them, cancel, retry and delete them.
    Runs,
    /// Evaluate traces in the request itself, while the caller waits.
    Evaluation,
    /// The state of messages to the sinks of runs, and sending them again.
    Deliveries,
    /// Follow runs as they happen, by server-sent events.
    Events,
    /// Probes for operators.
    Health,
}
