//! JSON bodies: media type, size limits, and faults as problems.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use poem::http::StatusCode;
use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaMediaType, MetaRequest, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::Described;
use super::problem::{Problem, ProblemError};
use crate::json::{SyntaxError, checked};
use crate::spec::SubmissionError;

/// Limits on the size of one body, and on all bodies in memory: those being read, and those waiting to be stored.
#[derive(Debug, Clone)]
pub(super) struct BodyLimit {
    bytes: usize,
    /// A permit for each kibibyte.
    room: Arc<Semaphore>,
}

impl BodyLimit {
    /// Memory for bodies, in bodies of the largest size.
    const LARGEST_AT_A_TIME: usize = 4;

    /// Longest wait of a request for memory.
    const PATIENCE: Duration = Duration::from_secs(10);

    /// A limit of so many bytes for each body.
    pub(super) fn new(bytes: usize) -> Self {
        Self { bytes, room: Arc::new(Semaphore::new(kibibytes(bytes) as usize * Self::LARGEST_AT_A_TIME)) }
    }

    /// Reserves memory for the body of a request: its declared length, else the limit. Returns the limit too.
    ///
    /// # Errors
    /// The declared length is beyond the limit, or other bodies take all memory for too long.
    pub(super) async fn admit(request: &Request) -> Result<(usize, OwnedSemaphorePermit), Problem> {
        let Some(bodies) = request.data::<Self>() else {
            return Err(Problem::internal(anyhow::anyhow!("no limit is set")));
        };
        let limit = bodies.bytes;
        let declared = request.header("content-length").and_then(|length| length.parse::<usize>().ok());
        if declared.is_some_and(|length| length > limit) {
            return Err(too_large(limit));
        }
        Ok((limit, bodies.room(declared.unwrap_or(limit)).await?))
    }

    /// Waits until there is memory for a body of this size.
    async fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Problem> {
        let room = self.room.clone().acquire_many_owned(kibibytes(bytes));
        match tokio::time::timeout(Self::PATIENCE, room).await {
            Ok(Ok(room)) => Ok(room),
            _ => {
                let text = "too many large bodies at a time; try again later";
                Err(Problem::unavailable(text, anyhow::anyhow!(text)))
            }
        }
    }
}

fn kibibytes(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
}

/// The text of a JSON body. The OpenAPI document describes it as a `T`, but only its UTF-8 is checked here.
#[derive(Debug)]
pub(super) struct JsonText<T> {
    pub(super) text: String,
    /// Its share of the memory for bodies; keep it as long as the text.
    pub(super) room: OwnedSemaphorePermit,
    described: Described<T>,
}

impl<'a, T: Type> ApiExtractor<'a> for JsonText<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let content = MetaMediaType { content_type: "application/json", schema: T::schema_ref() };
        Some(MetaRequest { description: None, content: vec![content], required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        check_media_type(request.content_type())?;
        let (limit, room) = BodyLimit::admit(request).await?;
        // Counted as well, since a chunked body declares no length.
        let bytes = body.take()?.into_bytes_limit(limit).await.map_err(|error| match error {
            poem::error::ReadBodyError::PayloadTooLarge => too_large(limit),
            error => Problem::new(StatusCode::BAD_REQUEST, "unreadable_body", error.to_string()),
        })?;
        let text = String::from_utf8(bytes.into()).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            Problem::new(StatusCode::BAD_REQUEST, "malformed_json", format!("byte {at} is not UTF-8"))
        })?;
        Ok(Self { text, room, described: PhantomData })
    }
}

/// Checks that a body is declared as JSON: `application/json` or `application/…+json`.
pub(super) fn check_media_type(given: Option<&str>) -> Result<(), Problem> {
    let without_parameters = given.and_then(|given| given.split(';').next()).unwrap_or_default();
    let kind = without_parameters.trim().to_ascii_lowercase();
    if kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json")) {
        return Ok(());
    }
    Err(unsupported(given, "application/json"))
}

/// 415: the content type is not the expected one.
pub(super) fn unsupported(given: Option<&str>, expected: &str) -> Problem {
    let detail = match given {
        Some(given) => format!("the content type is `{given}`; expected {expected}"),
        None => format!("the content type is missing; expected {expected}"),
    };
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
}

/// 413: the body is beyond the limit.
pub(super) fn too_large(limit: usize) -> Problem {
    let detail = format!("the body is larger than {limit} bytes");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
}

impl From<SubmissionError> for Problem {
    fn from(error: SubmissionError) -> Self {
        match error {
            SubmissionError::Syntax(SyntaxError { reason, line, column, .. }) => {
                let detail = format!("the body is not JSON: {reason} at line {line} column {column}");
                Self::new(StatusCode::BAD_REQUEST, "malformed_json", detail)
            }
            SubmissionError::Invalid(found) => Self::invalid("invalid_submission", faults(found)),
        }
    }
}

/// Faults of a body as members of a problem, each with its JSON pointer.
pub(super) fn faults(faults: Vec<checked::Fault>) -> Vec<ProblemError> {
    let error = |checked::Fault { pointer, message, .. }| ProblemError {
        pointer: Some(pointer),
        detail: message,
        ..ProblemError::default()
    };
    faults.into_iter().map(error).collect()
}
