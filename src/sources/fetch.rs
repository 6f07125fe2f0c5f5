//! Fetches a trace and sorts failures into transient and permanent ones.

use std::time::{Duration, Instant};

use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use tracing::info;

use super::target::HttpTarget;
use super::traces::BAD_TRACE;
use crate::credentials::{CredentialError, CredentialRefs, CredentialRules, Credentials};
use crate::ids::RunId;
use crate::net::{Answer, Call, CallError, Outbound, OutboundRules};
use crate::trace::{Document, LoadError};

/// Most redirects that are followed: more than any sensible set-up has.
const MAX_REDIRECTS: usize = 5;

/// Limits on fetching a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchLimits {
    /// Longest duration of the whole exchange.
    pub timeout: Duration,
    /// Largest answer, before and after decompression.
    pub max_bytes: usize,
}

impl Default for FetchLimits {
    /// The timeout of the reference, and the default limit on request bodies.
    fn default() -> Self {
        Self { timeout: Duration::from_secs(30), max_bytes: 64 << 20 }
    }
}

/// Why a trace was not fetched.
#[derive(Debug)]
pub(crate) struct FetchError {
    /// Stable code of the reason.
    pub(crate) code: &'static str,
    /// The reason in words, without secrets.
    pub(crate) message: String,
    /// Whether the same call may succeed later.
    pub(crate) is_transient: bool,
    /// Shortest wait before the next call, as the server asked for it.
    pub(crate) retry_after: Option<Duration>,
}

impl FetchError {
    fn permanent(code: &'static str, message: String) -> Self {
        Self { code, message, is_transient: false, retry_after: None }
    }

    fn transient(code: &'static str, message: String, retry_after: Option<Duration>) -> Self {
        Self { code, message, is_transient: true, retry_after }
    }
}

/// Fetches traces.
#[derive(Clone)]
pub(crate) struct Fetcher {
    outbound: Outbound,
    credentials: Credentials,
    limits: FetchLimits,
}

impl Fetcher {
    /// A fetcher that calls by `outbound`, with secrets from `credentials` in the headers.
    pub(crate) fn new(outbound: Outbound, credentials: Credentials, limits: FetchLimits) -> Self {
        Self { outbound, credentials, limits }
    }

    /// The credentials that a target may refer to.
    pub(crate) fn credential_rules(&self) -> &CredentialRules {
        self.credentials.rules()
    }

    /// The addresses that a target may name.
    pub(crate) fn outbound_rules(&self) -> &OutboundRules {
        self.outbound.rules()
    }

    /// Fetches the trace of a run; dropping the future ends the exchange.
    pub(crate) async fn fetch(
        &self,
        run: RunId,
        target: &HttpTarget,
        refs: &CredentialRefs,
    ) -> Result<Document, FetchError> {
        let (from, started) = (shown(&target.url), Instant::now());
        let headers = self.credentials.headers(&target.headers, refs).await.map_err(no_credential)?;
        let answered = self.outbound.call(self.call_for(target, headers)).await;
        let answer = answered.map_err(|error| no_answer(&from, &error))?;
        check_status(&from, &answer)?;
        let (bytes, elapsed_ms) = (answer.body.len(), started.elapsed().as_millis());
        info!(run.id = %run, bytes, elapsed_ms, "fetched {bytes} bytes from {from} for run `{run}`");
        self.document(from, &answer.body)
    }

    fn call_for(&self, target: &HttpTarget, mut headers: HeaderMap) -> Call {
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("application/json"));
        Call {
            method: Method::GET,
            url: target.url.clone(),
            headers,
            body: None,
            timeout: self.limits.timeout,
            max_answer_bytes: self.limits.max_bytes,
            max_redirects: MAX_REDIRECTS,
        }
    }

    /// The text of an answer, which may be compressed.
    fn document(&self, from: String, body: &[u8]) -> Result<Document, FetchError> {
        let limit = self.limits.max_bytes as u64;
        let bad = |error: &dyn std::fmt::Display| FetchError::permanent(BAD_TRACE, error.to_string());
        match Document::read(from, body, limit) {
            Ok(Ok(document)) => Ok(document),
            Ok(Err(error @ LoadError::TooLarge { .. })) => {
                Err(FetchError::permanent("trace_too_large", error.to_string()))
            }
            Ok(Err(error)) => Err(bad(&error)),
            Err(error) => Err(bad(&error)),
        }
    }
}

/// A URL as failures and logs show it: without user information and query.
fn shown(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

fn no_credential(error: CredentialError) -> FetchError {
    match error.is_transient() {
        true => FetchError::transient("credential_unavailable", error.to_string(), None),
        false => FetchError::permanent("bad_credential", error.to_string()),
    }
}

fn no_answer(from: &str, error: &CallError) -> FetchError {
    let code = match error {
        CallError::Refused(_) => "fetch_refused",
        CallError::TooLarge { .. } => "trace_too_large",
        CallError::Unreachable { .. } | CallError::TimedOut { .. } | CallError::BadRedirect { .. } => {
            "fetch_failed"
        }
    };
    let message = format!("fetching {from}: {error}");
    match error.is_transient() {
        true => FetchError::transient(code, message, None),
        false => FetchError::permanent(code, message),
    }
}

/// Checks the status of an answer. The body of a failure is not quoted, because it may hold secrets.
fn check_status(from: &str, answer: &Answer) -> Result<(), FetchError> {
    let status = answer.status;
    let message = format!("fetching {from}: the answer was {status}");
    match status {
        _ if status.is_success() => Ok(()),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            Err(FetchError::transient("fetch_failed", message, answer.retry_after()))
        }
        _ if status.is_server_error() => {
            Err(FetchError::transient("fetch_failed", message, answer.retry_after()))
        }
        StatusCode::NOT_FOUND | StatusCode::GONE => {
            let hint = "is the trace stored already, and the id right?";
            Err(FetchError::permanent("trace_not_found", format!("{message}; {hint}")))
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            let hint = "check the credentials in `context.headers`";
            Err(FetchError::permanent("fetch_failed", format!("{message}; {hint}")))
        }
        _ => Err(FetchError::permanent("fetch_failed", message)),
    }
}
