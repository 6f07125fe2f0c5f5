//! What uploads can be answered with.

use poem::http::StatusCode;
use poem_openapi::ApiResponse;

use crate::api::answer::{EvaluationEvent, Json, OneConversion, OneReport, OneValidation};
use crate::api::event_stream::EventStream;
use crate::api::problem::{Failures, Problem, ProblemError};
use crate::uploads::{Refusal, UploadError, UploadFault};

/// An evaluation that is done.
#[derive(ApiResponse)]
pub(super) enum Answered {
    /// What came out, whatever it is worth.
    #[oai(status = 200)]
    Report(Json<OneReport>),
}

/// An evaluation that goes on.
#[derive(ApiResponse)]
pub(super) enum StreamAnswer {
    /// How the evaluation goes on; ends with it. Whatever is wrong with what was sent is told by the last event.
    #[oai(status = 200)]
    Events(EventStream<EvaluationEvent>),
}

/// Traces that were converted.
#[derive(ApiResponse)]
pub(super) enum Extracted {
    /// The conversations.
    #[oai(status = 200)]
    Conversations(Json<OneConversion>),
}

/// A golden that was checked.
#[derive(ApiResponse)]
pub(super) enum Validated {
    /// Whether it can be used.
    #[oai(status = 200)]
    Outcome(Json<OneValidation>),
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
    Evaluating: [400, 413, 415, 422, 504], "What can go wrong with an evaluation.";
    Streaming: [400, 413, 415], "What can go wrong with an evaluation before it is told of.";
    Converting: [400, 413, 415, 422], "What can go wrong with a conversion.";
    Validating: [400, 413, 415, 422], "What can go wrong with a check.";
}

impl From<UploadError> for Problem {
    fn from(UploadError { refusal, faults }: UploadError) -> Self {
        let (status, code) = match refusal {
            Refusal::Malformed => (StatusCode::BAD_REQUEST, "malformed_json"),
            Refusal::Incomplete => (StatusCode::UNPROCESSABLE_ENTITY, "missing_part"),
            Refusal::Misshapen => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_upload"),
            Refusal::Unusable => (StatusCode::BAD_REQUEST, "invalid_upload"),
            Refusal::NoTraces => (StatusCode::BAD_REQUEST, "no_traces"),
            Refusal::Late => (StatusCode::GATEWAY_TIMEOUT, "deadline_exceeded"),
        };
        let fault = |UploadFault { part, pointer, detail }| {
            let part = part.map(str::to_owned);
            ProblemError { part, pointer, detail, ..ProblemError::default() }
        };
        Self::of_faults(status, code, faults.into_iter().map(fault).collect())
    }
}
