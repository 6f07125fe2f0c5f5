//! Problem documents (RFC 9457), with which every failure is answered.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use poem::Response;
use poem::error::ResponseError;
use poem::http::{StatusCode, header};
use poem_openapi::registry::{MetaHeader, MetaMediaType, MetaResponse, MetaResponses, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiResponse, Object};
use serde::Serialize;
use serde_json::{Value, json};

use super::answer::{Described, RunAnswer};
use crate::runs::StoreError;

/// A failure to answer with. Users see `detail`; the log gets `cause`.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    errors: Vec<ProblemError>,
    persisted: Option<Box<RunAnswer>>,
    headers: Vec<(header::HeaderName, String)>,
    cause: Option<anyhow::Error>,
}

/// One fault of a request.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Object)]
#[oai(rename = "Fault", skip_serializing_if_is_none)]
pub(super) struct ProblemError {
    /// Name of the part of the form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) part: Option<String>,
    /// JSON pointer (RFC 6901) into the body, or into that part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pointer: Option<String>,
    /// Name of the query, path or header parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parameter: Option<String>,
    /// The fault, and what was expected.
    pub(super) detail: String,
}

/// Faults that `detail` repeats at most; `errors` has all of them.
const FAULTS_IN_DETAIL: usize = 3;

/// Pause that `Retry-After` asks for while the service is unavailable.
const RETRY_AFTER: Duration = Duration::from_secs(2);

impl Problem {
    /// A failure with a stable code; `detail` tells users what to change.
    pub(super) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let (errors, headers) = (Vec::new(), Vec::new());
        Self { status, code, detail: detail.into(), errors, persisted: None, headers, cause: None }
    }

    /// 404: there is no such run.
    pub(super) fn run_not_found(id: impl fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, "run_not_found", format!("there is no run `{id}`"))
    }

    /// 422: a parameter is invalid.
    pub(super) fn parameter(parameter: &'static str, detail: String) -> Self {
        let fault = ProblemError { parameter: Some(parameter.to_owned()), detail, ..ProblemError::default() };
        Self::invalid("invalid_parameter", vec![fault])
    }

    /// 422: a request with these faults, at least one.
    pub(super) fn invalid(code: &'static str, errors: Vec<ProblemError>) -> Self {
        Self::of_faults(StatusCode::UNPROCESSABLE_ENTITY, code, errors)
    }

    /// A failure with these faults, at least one.
    pub(super) fn of_faults(status: StatusCode, code: &'static str, errors: Vec<ProblemError>) -> Self {
        let place = |fault: &ProblemError| {
            let places = [&fault.part, &fault.parameter, &fault.pointer].into_iter().flatten();
            let named: String =
                places.filter(|name| !name.is_empty()).map(|name| format!("`{name}`: ")).collect();
            format!("{named}{}", fault.detail)
        };
        let mut texts: Vec<_> = errors.iter().take(FAULTS_IN_DETAIL).map(place).collect();
        if errors.len() > FAULTS_IN_DETAIL {
            texts.push(format!("and {} more", errors.len() - FAULTS_IN_DETAIL));
        }
        Self { errors, ..Self::new(status, code, texts.join("; ")) }
    }

    /// 500: a fault of the service. The client sees no more than that; the log gets the cause.
    pub(super) fn internal(cause: impl Into<anyhow::Error>) -> Self {
        let problem = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "internal error");
        Self { cause: Some(cause.into()), ..problem }
    }

    /// 503: the service cannot do its work now.
    pub(super) fn unavailable(detail: &str, cause: impl Into<anyhow::Error>) -> Self {
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail);
        let problem = problem.with_header(header::RETRY_AFTER, RETRY_AFTER.as_secs().to_string());
        Self { cause: Some(cause.into()), ..problem }
    }

    /// 500: a handler panicked. The panic hook has logged the place.
    pub(super) fn panicked(payload: &(dyn Any + Send)) -> Self {
        let text = match payload.downcast_ref::<&str>() {
            Some(text) => text,
            None => payload.downcast_ref::<String>().map_or("no text", String::as_str),
        };
        Self::internal(anyhow::anyhow!("panicked: {text}"))
    }

    /// 503: the service is stopping; another process may answer.
    pub(super) fn stopping() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the service is stopping")
    }

    /// Adds the stored run that a submission conflicts with.
    pub(super) fn with_persisted(self, run: RunAnswer) -> Self {
        Self { persisted: Some(Box::new(run)), ..self }
    }

    /// Adds a header.
    pub(super) fn with_header(mut self, name: header::HeaderName, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The stable code, for programs.
    pub(super) fn code(&self) -> &'static str {
        self.code
    }

    /// The cause, for the log; `None` if the client is at fault.
    pub(super) fn cause(&self) -> Option<&anyhow::Error> {
        self.cause.as_ref()
    }

    /// Encodes the answer.
    pub(super) fn into_response(self, request_id: &str) -> Response {
        let document = ProblemDocument {
            kind: "about:blank".to_owned(),
            title: self.status.canonical_reason().unwrap_or("Error").to_owned(),
            status: self.status.as_u16(),
            detail: self.detail,
            code: self.code.to_owned(),
            errors: self.errors,
            request_id: request_id.to_owned(),
            persisted: self.persisted.map(|run| *run),
        };
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let response = Response::builder().status(self.status).content_type(CONTENT_TYPE);
        let with_header = |response: poem::ResponseBuilder, (name, value)| response.header(name, value);
        self.headers.into_iter().fold(response, with_header).body(body)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
    fn status(&self) -> StatusCode {
        self.status
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Self::unavailable("storage is unavailable; try again later", error),
            StoreError::Full(limit) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "storage_full",
                format!("storage is full: {limit}"),
            ),
            StoreError::Other(cause) => Self::internal(cause),
        }
    }
}

/// The media type of problem documents.
const CONTENT_TYPE: &str = "application/problem+json";

/// A problem document (RFC 9457).
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "Problem", rename_all = "camelCase", skip_serializing_if_is_none)]
struct ProblemDocument {
    /// Always `about:blank`: `code` tells problems apart.
    #[serde(rename = "type")]
    #[oai(rename = "type")]
    kind: String,
    /// Name of the HTTP status.
    title: String,
    /// The HTTP status.
    status: u16,
    /// The failure and, where there is one, its remedy; for people.
    detail: String,
    /// Stable code of the failure, for programs.
    code: String,
    /// All faults of the request; empty if the failure concerns no single part of it.
    errors: Vec<ProblemError>,
    /// Id of the request in the service's log; the same as the header `X-Request-Id`.
    request_id: String,
    /// `run_conflict`: the run that is stored under this id or key.
    #[serde(skip_serializing_if = "Option::is_none")]
    persisted: Option<RunAnswer>,
}

/// The failures of an operation, besides 500 and 503.
pub(super) trait Failures: Send + Sync + 'static {
    /// The HTTP statuses.
    const STATUSES: &'static [u16];
}

/// Declares types of [`Failures`] by their HTTP statuses.
macro_rules! failures {
    ($($name:ident: $statuses:expr, $doc:literal;)*) => {
        $(
            #[doc = $doc]
            pub(super) struct $name;

            impl $crate::api::problem::Failures for $name {
                const STATUSES: &'static [u16] = &$statuses;
            }
        )*
    };
}

pub(super) use failures;

/// A problem as the answer of an operation with the failures `F`.
#[derive(Debug)]
pub(super) struct Failed<F> {
    problem: Problem,
    described: Described<F>,
}

impl<F, P: Into<Problem>> From<P> for Failed<F> {
    fn from(problem: P) -> Self {
        Self { problem: problem.into(), described: PhantomData }
    }
}

impl<F> From<Failed<F>> for poem::Error {
    fn from(failed: Failed<F>) -> Self {
        failed.problem.into()
    }
}

impl<F: Failures> ApiResponse for Failed<F> {
    fn meta() -> MetaResponses {
        let statuses = F::STATUSES.iter().chain(&[500, 503]);
        MetaResponses { responses: statuses.map(|status| described(*status)).collect() }
    }

    fn register(registry: &mut Registry) {
        ProblemDocument::register(registry);
    }
}

/// Answers of access control, for the OpenAPI document: 401 and 403.
pub(super) fn refusals() -> [(&'static str, Value); 2] {
    let schema = json!({"$ref": format!("#/components/schemas/{}", ProblemDocument::name())});
    let answer = |description: &str, challenge: &str| {
        json!({
            "description": description,
            "headers": {"WWW-AUTHENTICATE": {"description": challenge, "schema": {"type": "string"}}},
            "content": {CONTENT_TYPE: {"schema": schema}},
        })
    };
    let forbidden = "The token lacks the scope, or a browser sends the request for a page of another site.";
    [
        (
            "401",
            answer("The token is missing or unknown.", "The expected scheme: a bearer token (RFC 6750)."),
        ),
        ("403", answer(forbidden, "The missing scope (RFC 6750), if that is the reason.")),
    ]
}

fn described(status: u16) -> MetaResponse {
    let description = match status {
        400 => "The body cannot be read, or parts of it cannot be used.",
        404 => "There is no such run.",
        409 => "The status of the run does not allow it, or the id or key belongs to a different submission.",
        413 => "The body is too large.",
        415 => "The body has an unsupported content type.",
        422 => "Parameters or members of the body are invalid; `errors` names them.",
        503 => "The service is too busy or stopping, or storage is unavailable or full; try again later.",
        504 => "The evaluation took too long; submit a run instead.",
        _ => "An internal error of the service.",
    };
    let retry_after = || MetaHeader {
        name: "RETRY-AFTER".to_owned(),
        description: Some("Seconds to wait.".to_owned()),
        required: false,
        deprecated: false,
        schema: u32::schema_ref(),
    };
    MetaResponse {
        description,
        status: Some(status),
        status_range: None,
        content: vec![MetaMediaType { content_type: CONTENT_TYPE, schema: ProblemDocument::schema_ref() }],
        headers: (status == 503).then(retry_after).into_iter().collect(),
    }
}
