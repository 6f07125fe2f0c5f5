//! What each operation on runs can be answered with.

use poem_openapi::ApiResponse;

use super::answer::{Json, OneRun, ResultPage, RunPage};
use super::problem::Failures;

/// A submission that was accepted.
#[derive(ApiResponse)]
pub(super) enum Accepted {
    /// The run is queued, or was submitted before and is answered as it stands.
    #[oai(status = 202)]
    Run(
        Json<OneRun>,
        /// Where the run is found.
        #[oai(header = "Location")]
        String,
        /// What was granted of `Prefer`.
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

/// A run, unless the client has it already.
#[derive(ApiResponse)]
pub(super) enum Fetched {
    /// The run as it stands.
    #[oai(status = 200)]
    Run(
        Json<OneRun>,
        /// Changes whenever the answer does.
        #[oai(header = "ETag")]
        String,
    ),
    /// The run is as the client knows it.
    #[oai(status = 304)]
    Unchanged(
        /// The same as the client sent.
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
    /// The run as it stands: a queued one is cancelled, a running one will be, a finished one stays as it is.
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
        /// Where the run is found.
        #[oai(header = "Location")]
        String,
    ),
}

/// A deletion that was done.
#[derive(ApiResponse)]
pub(super) enum Deleted {
    /// The run is gone, with its specification, results and events.
    #[oai(status = 204)]
    Gone,
}

macro_rules! failures {
    ($($name:ident: $statuses:expr, $doc:literal;)*) => {
        $(
            #[doc = $doc]
            pub(super) struct $name;

            impl Failures for $name {
                const STATUSES: &'static [u16] = &$statuses;
            }
        )*
    };
}

failures! {
    Submitting: [400, 409, 413, 415, 422], "What can go wrong with a submission.";
    Listing: [422], "What can go wrong with a list of runs.";
    Reading: [404, 422], "What can go wrong with one run.";
    Retrying: [404, 409, 422], "What can go wrong with a retry.";
    Deleting: [404, 409, 422], "What can go wrong with a deletion.";
}
