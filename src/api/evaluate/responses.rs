//! Answers to uploads.

use poem::http::StatusCode;
use poem_openapi::ApiResponse;

use crate::api::answer::{EvaluationUpdate, Json, OneConversion, OneReport, OneValidation};
use crate::api::event_stream::EventStream;
use crate::api::problem::{Problem, ProblemError, failures};
use crate::uploads::{PartFault, Refusal, UploadError};

/// A complete evaluation.
#[derive(ApiResponse)]
pub(super) enum Answered {
    /// The result, with any verdict.
    #[oai(status = 200)]
    Report(Json<OneReport>),
}

/// An evaluation under way.
#[derive(ApiResponse)]
pub(super) enum StreamAnswer {
    /// Updates until the evaluation ends. Faults of the request come as the last event too.
    #[oai(status = 200)]
    Events(EventStream<EvaluationUpdate>),
}

/// Converted traces.
#[derive(ApiResponse)]
pub(super) enum Extracted {
    /// The conversations.
    #[oai(status = 200)]
    Conversations(Json<OneConversion>),
}

/// A checked eval set.
#[derive(ApiResponse)]
pub(super) enum Validated {
    /// Whether the eval set can be used.
    #[oai(status = 200)]
    Outcome(Json<OneValidation>),
}

failures! {
    Evaluating: [400, 413, 415, 422, 504], "Failures of an evaluation.";
    Streaming: [400, 413, 415], "Failures of an evaluation before its stream begins.";
    Converting: [400, 413, 415, 422], "Failures of a conversion.";
    Validating: [400, 413, 415, 422], "Failures of a check.";
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
        let fault = |PartFault { part, pointer, detail }| {
            let part = part.map(str::to_owned);
            ProblemError { part, pointer, detail, ..ProblemError::default() }
        };
        Self::of_faults(status, code, faults.into_iter().map(fault).collect())
    }
}
