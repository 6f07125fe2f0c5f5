//! Around every request: its id, one shape of failures, panics, the access log.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use poem::error::{MethodNotAllowedError, NotFoundError};
use poem::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use poem::{Endpoint, IntoResponse, Request, Response};
use tracing::{error, info};
use uuid::Uuid;

use super::document;
use super::problem::Problem;

/// The header that names a request, both ways.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id that is taken over from a caller.
const MAX_ID: usize = 64;

/// An endpoint that answers everything, and never with an error.
pub(super) struct Edge<E> {
    inner: E,
    methods: Arc<[(String, Vec<Method>)]>,
}

impl<E> Edge<E> {
    /// Wraps an endpoint; `extra` are paths outside the document, which answer to GET.
    pub(super) fn new(inner: E, extra: &[&str]) -> Self {
        let extra = extra.iter().map(|path| ((*path).to_owned(), vec![Method::GET]));
        Self { inner, methods: document::methods().into_iter().chain(extra).collect() }
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
            let allowed = self.allowed(path);
            let detail = format!("`{path}` does not answer to this method; allowed: {allowed}");
            Problem::new(status, "method_not_allowed", detail).with_header(header::ALLOW, allowed)
        } else if status.is_client_error() {
            Problem::new(status, "bad_request", error.to_string())
        } else {
            Problem::internal(anyhow::anyhow!("{error}"))
        }
    }

    /// The methods that the best described path answers to.
    fn allowed(&self, path: &str) -> String {
        let matching = self.methods.iter().filter(|(template, _)| matches(template, path));
        let best = matching.min_by_key(|(template, _)| template.matches('{').count());
        let methods = best.into_iter().flat_map(|(_, methods)| methods);
        let names = methods.map(|method| if method == Method::GET { "GET, HEAD" } else { method.as_str() });
        names.collect::<Vec<_>>().join(", ")
    }
}

fn matches(template: &str, path: &str) -> bool {
    let fits = |(wanted, given): (&str, &str)| wanted.starts_with('{') || wanted == given;
    template.split('/').count() == path.split('/').count()
        && template.split('/').zip(path.split('/')).all(fits)
}

impl<E: Endpoint> Endpoint for Edge<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let started = Instant::now();
        let id = request_id(&request);
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let answer = AssertUnwindSafe(self.inner.call(request)).catch_unwind().await;
        let mut response = match answer {
            Ok(Ok(answer)) => answer.into_response(),
            Ok(Err(error)) => answer_problem(self.problem(error, &path), &id),
            Err(panic) => answer_problem(Problem::panicked(&*panic), &id),
        };
        if let Ok(value) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        log(&method, &path, response.status(), started, &id);
        Ok(response)
    }
}

/// The caller's id if it can be logged as it is, else a new one.
fn request_id(request: &Request) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let given = request.header(REQUEST_ID).unwrap_or_default();
    match (1..=MAX_ID).contains(&given.len()) && given.bytes().all(is_plain) {
        true => given.to_owned(),
        false => Uuid::new_v4().to_string(),
    }
}

/// Turns a problem into an answer; what is our fault is logged here, once.
fn answer_problem(problem: Problem, id: &str) -> Response {
    if let Some(cause) = problem.cause() {
        error!(request.id = %id, "request `{id}` failed: {cause:#}");
    }
    problem.into_response(id)
}

/// Writes the access log: never the query or the body, which may hold secrets.
fn log(method: &Method, path: &str, status: StatusCode, started: Instant, id: &str) {
    let duration_ms = started.elapsed().as_secs_f64() * 1000.0;
    let status = status.as_u16();
    info!(
        http.method = %method,
        http.path = path,
        http.status = status,
        duration_ms,
        request.id = %id,
        "{method} {path} {status} in {duration_ms:.1} ms"
    );
}
