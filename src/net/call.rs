//! One exchange: the request, the answer, and the ways to fail.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Method, StatusCode, Url};

use super::rules::Refusal;

/// Longest wait that an answer can ask for; a longer one is cut to this.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// A request to send, and its limits.
#[derive(Clone)]
pub struct Call {
    /// GET, POST and so on.
    pub method: Method,
    /// The address; user and password in it become basic authentication.
    pub url: Url,
    /// Headers. A redirect to another origin keeps only `accept`, since the others may hold secrets.
    pub headers: HeaderMap,
    /// Body; a request with a body is never redirected.
    pub body: Option<Vec<u8>>,
    /// Limit on the whole exchange, redirects included.
    pub timeout: Duration,
    /// Limit on the answer's body.
    pub max_answer_bytes: usize,
    /// Redirects that are followed; with 0, a redirecting answer is returned as it is.
    pub max_redirects: usize,
}

/// An answer of any status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its whole body; of an answer that is not a success, the beginning up to the limit.
    pub body: Vec<u8>,
}

impl Answer {
    /// The wait that `Retry-After` asks for, at most an hour.
    pub fn retry_after(&self) -> Option<Duration> {
        let text = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        retry_after(text, Utc::now()).map(|wait| wait.min(MAX_RETRY_AFTER))
    }
}

/// Reads seconds or a date (RFC 9110, section 10.2.3); a past date means no wait.
fn retry_after(text: &str, now: DateTime<Utc>) -> Option<Duration> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(text.parse().map_or(Duration::MAX, Duration::from_secs));
    }
    let date = DateTime::parse_from_rfc2822(text).ok()?;
    Some((date.to_utc() - now).to_std().unwrap_or_default())
}

/// Why there is no answer. The texts show scheme, host and port, never path, query, user or headers, which may be
/// secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The rules forbid the address.
    #[error("refused: {0}")]
    Refused(#[from] Refusal),
    /// There was no connection, or it broke.
    #[error("{origin} could not be reached: {reason}")]
    Unreachable {
        /// Scheme, host and port.
        origin: String,
        /// The cause.
        reason: String,
    },
    /// The exchange took too long.
    #[error("{origin} did not answer in full within {} s", limit.as_secs_f64())]
    TimedOut {
        /// Scheme, host and port.
        origin: String,
        /// The limit.
        limit: Duration,
    },
    /// The body of a successful answer is too large.
    #[error("{origin} answered with more than {limit_bytes} bytes, the limit")]
    TooLarge {
        /// Scheme, host and port.
        origin: String,
        /// The limit.
        limit_bytes: usize,
        /// HTTP status of the answer.
        status: StatusCode,
    },
    /// A redirect that is not followed.
    #[error("{origin} redirects {reason}")]
    BadRedirect {
        /// Scheme, host and port of the answer that redirects.
        origin: String,
        /// The target, and why the redirect is not followed.
        reason: String,
    },
}

impl CallError {
    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } => true,
            Self::Refused(_) | Self::TooLarge { .. } | Self::BadRedirect { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_read_as_seconds_and_as_dates() {
        let now = DateTime::parse_from_rfc3339("1994-11-06T08:49:00Z").unwrap().to_utc();
        for (text, expected) in [
            ("0", Some(0)),
            ("120", Some(120)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(37)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("99999999999999999999", Some(u64::MAX)),
            ("-1", None),
            ("1.5", None),
            ("", None),
            ("soon", None),
        ] {
            assert_eq!(retry_after(text, now).map(|wait| wait.as_secs()), expected, "{text}");
        }
    }

    #[test]
    fn a_wait_is_at_most_an_hour() {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, "86400".parse().unwrap())]);
        let answer = Answer { status: StatusCode::SERVICE_UNAVAILABLE, headers, body: Vec::new() };
        assert_eq!(answer.retry_after(), Some(MAX_RETRY_AFTER));
    }
}
