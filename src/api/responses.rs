//! Answers of the operations on runs.

use poem_openapi::ApiResponse;

use super::answer::{DeliveryPage, Json, OneRun, Redelivered, ResultPage, RunPage};
use super::problem::failures;

/// A submission that was accepted.
#[derive(ApiResponse)]
pub(super) enum Accepted {
    /// The run: newly queued, or the stored one if it was submitted before.
    #[oai(status = 202)]
    Run(
        Json<OneRun>,
        /// Path of the run.
        #[oai(header = "Location")]
        String,
        /// The preference that was granted.
        #[oai(header = "Preference-Applied")]
        Option<String>,
    ),
}

/// A list of runs.
#[derive(ApiResponse)]
pub(super) enum Listed {
    /// A page of runs, newest first, without their specifications.
    #[oai(status = 200)]
    Page(Json<RunPage>),
}

/// A run, unless the client has its current state already.
#[derive(ApiResponse)]
pub(super) enum Fetched {
    /// The run.
    #[oai(status = 200)]
    Run(
        Json<OneRun>,
        /// Entity tag of the answer.
        #[oai(header = "ETag")]
        String,
    ),
    /// The run has not changed.
    #[oai(status = 304)]
    Unchanged(
        /// The entity tag that the client sent.
        #[oai(header = "ETag")]
        String,
    ),
}

/// A list of results.
#[derive(ApiResponse)]
pub(super) enum ResultsListed {
    /// A page of results, by unit, then by evaluator.
    #[oai(status = 200)]
    Page(Json<ResultPage>),
}

/// A cancellation that was accepted.
#[derive(ApiResponse)]
pub(super) enum Cancelled {
    /// The run: cancelled if it was queued, about to be cancelled if it is running, unchanged if it is finished.
    #[oai(status = 200)]
    Run(Json<OneRun>),
}

/// A retry that was accepted.
#[derive(ApiResponse)]
pub(super) enum Requeued {
    /// The run is queued again.
    #[oai(status = 202)]
    Run(
        Json<OneRun>,
        /// Path of the run.
        #[oai(header = "Location")]
        String,
    ),
}

/// A list of messages to sinks.
#[derive(ApiResponse)]
pub(super) enum DeliveriesListed {
    /// A page of messages, by event, then by sink.
    #[oai(status = 200)]
    Page(Json<DeliveryPage>),
}

/// A redelivery that was accepted.
#[derive(ApiResponse)]
pub(super) enum Requested {
    /// The messages queued again; none if there are no undeliverable ones, or if those named are pending.
    #[oai(status = 202)]
    Messages(Json<Redelivered>),
}

/// A deletion.
#[derive(ApiResponse)]
pub(super) enum Deleted {
    /// The run is gone, with its specification, results, events and messages to sinks.
    #[oai(status = 204)]
    Gone,
}

failures! {
    Submitting: [400, 409, 413, 415, 422], "Failures of a submission.";
    Listing: [422], "Failures of listing runs.";
    Reading: [404, 422], "Failures of reading or cancelling one run.";
    Retrying: [404, 409, 422], "Failures of a retry.";
    Redelivering: [400, 404, 413, 415, 422], "Failures of a redelivery.";
    Deleting: [404, 409, 422], "Failures of a deletion.";
}
