//! The outermost endpoint: request ids, access control, problems for every failure and panic, the access log.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use poem::error::{MethodNotAllowedError, NotFoundError};
use poem::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use poem::{Endpoint, IntoResponse, Request, Response};
use tracing::{error, info};
use uuid::Uuid;

use super::access::{Caller, Guard};
use super::operations::Operations;
use super::problem::Problem;

/// The header that names a request, both ways.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest request id that is accepted from a caller.
const MAX_ID: usize = 64;

/// An endpoint that answers every request, and turns errors and panics into problem documents.
pub(super) struct Edge<E> {
    inner: E,
    guard: Guard,
    operations: Arc<Operations>,
}

impl<E> Edge<E> {
    /// Wraps an endpoint; `operations` are its paths and methods, for the header `Allow`.
    pub(super) fn new(inner: E, guard: Guard, operations: Arc<Operations>) -> Self {
        Self { inner, guard, operations }
    }

    fn problem(&self, error: poem::Error, path: &str) -> Problem {
        let error = match error.downcast::<Problem>() {
            Ok(problem) => return problem,
            Err(error) => error,
        };
        let status = error.status();
        if error.is::<NotFoundError>() {
            Problem::new(status, "not_found", format!("there is nothing at `{path}`; see /docs"))
        } else if error.is::<MethodNotAllowedError>() {
            let allowed = self.operations.allowed(path);
            let detail = format!("`{path}` does not answer to this method; allowed: {allowed}");
            Problem::new(status, "method_not_allowed", detail).with_header(header::ALLOW, allowed)
        } else if status.is_client_error() {
            Problem::new(status, "bad_request", error.to_string())
        } else {
            Problem::internal(anyhow::anyhow!("{error}"))
        }
    }
}

impl<E: Endpoint> Edge<E> {
    /// Admits the request and answers it; sets `caller` for the access log.
    async fn answer(&self, request: Request, caller: &mut Caller) -> poem::Result<Response> {
        if let Some(answer) = self.guard.preflight(&request)? {
            return Ok(answer);
        }
        *caller = self.guard.admit(&request).await?;
        self.inner.call(request).await.map(IntoResponse::into_response)
    }
}

impl<E: Endpoint> Endpoint for Edge<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let started = Instant::now();
        let id = request_id(&request);
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let (reader, mut caller) = (self.guard.reader(&request), None);
        let answer = AssertUnwindSafe(self.answer(request, &mut caller)).catch_unwind().await;
        let mut response = match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => answer_problem(self.problem(error, &path), &id),
            Err(panic) => answer_problem(Problem::panicked(&*panic), &id),
        };
        if let Ok(value) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        self.guard.share(&mut response, reader);
        log(&method, &path, response.status(), started, &id, caller.as_deref());
        Ok(response)
    }
}

/// The caller's id, if it is short and plain enough for the log, else a new one.
fn request_id(request: &Request) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let given = request.header(REQUEST_ID).unwrap_or_default();
    match (1..=MAX_ID).contains(&given.len()) && given.bytes().all(is_plain) {
        true => given.to_owned(),
        false => Uuid::new_v4().to_string(),
    }
}

/// Turns a problem into an answer, and logs its cause if the fault is the service's.
fn answer_problem(problem: Problem, id: &str) -> Response {
    if let Some(cause) = problem.cause() {
        error!(request.id = %id, "request `{id}` failed: {cause:#}");
    }
    problem.into_response(id)
}

/// Writes the access log, without query, token and body, which may hold secrets.
fn log(method: &Method, path: &str, status: StatusCode, started: Instant, id: &str, caller: Option<&str>) {
    let duration_ms = started.elapsed().as_secs_f64() * 1000.0;
    let status = status.as_u16();
    info!(
        http.method = %method,
        http.path = path,
        http.status = status,
        duration_ms,
        request.id = %id,
        token.name = caller,
        "{method} {path} {status} in {duration_ms:.1} ms"
    );
}
