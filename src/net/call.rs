//! One exchange: what is asked, what was answered, and what can go wrong.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Method, StatusCode, Url};

use super::rules::Refusal;

/// Longest wait that an answer can ask for; whoever asks for more is asked again after that.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// A request to send, and its limits.
#[derive(Clone)]
pub struct Call {
    /// GET, POST and so on.
    pub method: Method,
    /// Whom to ask; user information in it becomes basic authentication.
    pub url: Url,
    /// Sent along; not to anybody that a redirect leads to, save for `accept`.
    pub headers: HeaderMap,
    /// Sent along; a request with a body is never redirected.
    pub body: Option<Vec<u8>>,
    /// Limit on the whole exchange, redirects included.
    pub timeout: Duration,
    /// Limit on the answer's body.
    pub max_answer_bytes: usize,
    /// Redirects that are followed; with 0, the answer that redirects is the answer.
    pub max_redirects: usize,
}

/// What was answered, whatever its status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// All of its body; of a failure the beginning, up to the limit.
    pub body: Vec<u8>,
}

impl Answer {
    /// How long to wait before asking again, when that is said; at most an hour.
    pub fn retry_after(&self) -> Option<Duration> {
        let text = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        retry_after(text, Utc::now()).map(|wait| wait.min(MAX_RETRY_AFTER))
    }
}

/// Seconds, or a date (RFC 9110, section 10.2.3); one that has passed is no wait.
fn retry_after(text: &str, now: DateTime<Utc>) -> Option<Duration> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(text.parse().map_or(Duration::MAX, Duration::from_secs));
    }
    let date = DateTime::parse_from_rfc2822(text).ok()?;
    Some((date.to_utc() - now).to_std().unwrap_or_default())
}

/// Why there is no answer; the texts name hosts, but no path, query, user or header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Nobody may be called there.
    #[error("refused: {0}")]
    Refused(#[from] Refusal),
    /// There was no connection, or it broke.
    #[error("{origin} could not be reached: {reason}")]
    Unreachable {
        /// Whom was asked.
        origin: String,
        /// What went wrong.
        reason: String,
    },
    /// The exchange took too long.
    #[error("{origin} did not answer in full within {} s", limit.as_secs_f64())]
    TimedOut {
        /// Whom was asked.
        origin: String,
        /// The limit.
        limit: Duration,
    },
    /// The body of what would have been a success is too large.
    #[error("{origin} answered with more than {limit_bytes} bytes, the limit")]
    TooLarge {
        /// Whom was asked.
        origin: String,
        /// The limit.
        limit_bytes: usize,
        /// HTTP status of the answer.
        status: StatusCode,
    },
    /// A redirect that is not followed.
    #[error("{origin} redirects {reason}")]
    BadRedirect {
        /// Whom was asked.
        origin: String,
        /// Where to, and why it is not followed.
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
