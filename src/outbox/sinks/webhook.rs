//! The sink `http_webhook`: messages as POST requests to a URL, signed if the sink has a signing secret.
//!
//! Redirects are not followed, because results go only to receivers that the specification names. The status of the
//! answer decides: 2xx is delivered; 408, 425, 429, 5xx and a missing answer are tried again; other statuses are final.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::Utc;
use percent_encoding::percent_decode_str;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode, Url};

use super::signature::sign;
use crate::credentials::{CredentialRefs, Credentials};
use crate::net::{Answer, Call, CallError, Outbound};
use crate::outbox::sent::{SendError, Sent};
use crate::spec::WebhookTarget;

/// Most bytes of an answer that are read.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// Most characters of a failure's body that are stored as its reason.
const EXCERPT_CHARS: usize = 160;

/// Length from which a segment of the path is taken for a token.
const TOKEN_BYTES: usize = 12;

/// The headers of Standard Webhooks.
const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// A webhook and the means to call it.
pub(in crate::outbox) struct Webhook<'a> {
    /// Its URL, headers and signing secret.
    pub(in crate::outbox) target: &'a WebhookTarget,
    /// The client for HTTP calls.
    pub(in crate::outbox) outbound: &'a Outbound,
    /// Looks up the secrets that `target` and `refs` name.
    pub(in crate::outbox) credentials: &'a Credentials,
    /// The credentials that the specification names.
    pub(in crate::outbox) refs: &'a CredentialRefs,
}

impl Webhook<'_> {
    /// Posts a message, whose id stays the same over all tries.
    pub(in crate::outbox) async fn post(
        &self,
        id: &str,
        body: &str,
        timeout: Duration,
    ) -> Result<Sent, SendError> {
        let headers = self.headers(id, body).await?;
        let secrets = secrets(&self.target.url, &headers);
        let call = Call {
            method: Method::POST,
            url: self.target.url.clone(),
            headers,
            body: Some(body.as_bytes().to_vec()),
            timeout,
            max_answer_bytes: MAX_ANSWER_BYTES,
            max_redirects: 0,
        };
        match self.outbound.call(call).await {
            Ok(answer) => judge(&answer, &secrets),
            Err(CallError::TooLarge { status, .. }) if status.is_success() => Ok(Sent::answered(status)),
            // A refused address is tried again: another process, or this one after a restart, may allow it.
            Err(error) => {
                let is_transient = error.is_transient() || matches!(error, CallError::Refused(_));
                Err(SendError { is_transient, ..SendError::new(error.to_string()) })
            }
        }
    }

    async fn headers(&self, id: &str, body: &str) -> Result<HeaderMap, SendError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for sources in &self.target.headers {
            headers.extend(self.credentials.headers(sources, self.refs).await?);
        }
        let now = Utc::now().timestamp();
        headers.insert(ID, text_value(id)?);
        headers.insert(TIMESTAMP, now.into());
        headers.remove(SIGNATURE); // a sink without signing secret cannot set one by its headers
        if let Some(source) = &self.target.signing_secret {
            let secret = self.credentials.secret(source, self.refs).await?;
            let signature = sign(&secret, id, now, body.as_bytes()).map_err(SendError::new)?;
            headers.insert(SIGNATURE, text_value(&signature)?);
        }
        Ok(headers)
    }
}

fn text_value(text: &str) -> Result<HeaderValue, SendError> {
    HeaderValue::try_from(text).map_err(|_| SendError::new("a header of ours cannot be written"))
}

fn judge(answer: &Answer, secrets: &[String]) -> Result<Sent, SendError> {
    let status = answer.status;
    if status.is_success() {
        return Ok(Sent::answered(status));
    }
    let mut text = format!("answered {status}");
    if status.is_redirection() {
        text.push_str(", a redirect, which is not followed; name the URL that it leads to");
    } else if let Some(excerpt) = excerpt(&answer.body, secrets) {
        text.push_str(&format!(": {excerpt}"));
    }
    let passes = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
    Err(SendError {
        status: Some(status.as_u16()),
        is_transient: status.is_server_error() || passes.contains(&status),
        retry_after: answer.retry_after(),
        ..SendError::new(text)
    })
}

/// The beginning of a body as one printable line; `None` if the body holds a secret anywhere.
fn excerpt(body: &[u8], secrets: &[String]) -> Option<String> {
    let body = String::from_utf8_lossy(body);
    if secrets.iter().any(|secret| body.contains(secret)) {
        return None;
    }
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    let text: String = body.chars().map(printable).collect();
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut excerpt: String = words.chars().take(EXCERPT_CHARS).collect();
    if excerpt.len() < words.len() {
        excerpt.push('…');
    }
    Some(excerpt).filter(|excerpt| !excerpt.is_empty())
}

/// Secrets that a receiver could repeat in its answer: words of sensitive headers, and parts of the URL.
fn secrets(url: &Url, headers: &HeaderMap) -> Vec<String> {
    let values = headers.values().filter(|value| value.is_sensitive());
    let words = values.filter_map(|value| value.to_str().ok()).flat_map(str::split_whitespace);
    let mut secrets: Vec<_> = words.map(str::to_owned).collect();
    secrets.extend(user_secrets(url));
    secrets.extend(url.query().map(str::to_owned));
    secrets.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
    // Very short ones occur in any text.
    secrets.retain(|secret| secret.len() > 3);
    // Some receivers have a token in the path; short segments are ordinary words.
    let is_token = |part: &&str| part.len() >= TOKEN_BYTES;
    secrets.extend(url.path_segments().into_iter().flatten().filter(is_token).map(str::to_owned));
    secrets
}

/// User and password of a URL: as written, decoded, and as the basic authentication made of them.
fn user_secrets(url: &Url) -> Vec<String> {
    let parts = [url.username(), url.password().unwrap_or_default()];
    let meant = parts.map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned());
    let header = STANDARD.encode(meant.join(":"));
    parts.map(str::to_owned).into_iter().chain(meant).chain([header]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_of_an_answer_is_short_printable_and_holds_no_secret() {
        let url = Url::parse("https://us%40er:pass-w%6frd@h/hooks/T012x8Ab93kfQ/x?token=s3cr3t&n=1").unwrap();
        let mut sensitive = HeaderValue::from_static("Bearer abc-def");
        sensitive.set_sensitive(true);
        let headers = HeaderMap::from_iter([(HeaderName::from_static("authorization"), sensitive)]);
        let secrets = secrets(&url, &headers);
        for body in [
            "you sent abc-def",
            "pass-word",
            "pass-w%6frd",
            "us@er",
            "us%40er",
            "Basic dXNAZXI6cGFzcy13b3Jk",
            "token=s3cr3t&n=1",
            "s3cr3t",
            "/hooks/T012x8Ab93kfQ/x",
        ] {
            assert_eq!(excerpt(body.as_bytes(), &secrets), None, "{body}");
        }
        assert_eq!(
            excerpt(b" no\n\tsuch\x1b[31m thing \xff", &secrets).unwrap(),
            "no such [31m thing \u{fffd}"
        );
        assert_eq!(excerpt(b" \n", &secrets), None);
        assert_eq!(excerpt(b"no hooks", &secrets).as_deref(), Some("no hooks"));
        assert_eq!(excerpt("ä".repeat(500).as_bytes(), &secrets).unwrap().chars().count(), EXCERPT_CHARS + 1);
    }

    #[test]
    fn the_status_decides() {
        let judged = |status: u16| {
            let status = StatusCode::from_u16(status).unwrap();
            let judged = judge(&Answer { status, headers: HeaderMap::new(), body: b"why".to_vec() }, &[]);
            judged.map(|_| ()).map_err(|failed| (failed.is_transient, failed.text))
        };
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(judged(status), Ok(()), "{status}");
        }
        for status in [408, 425, 429, 500, 502, 503, 504, 599] {
            assert!(matches!(judged(status), Err((true, _))), "{status}");
        }
        for status in [301, 302, 304, 307, 308, 400, 401, 403, 404, 410, 413, 422, 451] {
            assert!(matches!(judged(status), Err((false, _))), "{status}");
        }
        assert_eq!(judged(400).unwrap_err().1, "answered 400 Bad Request: why");
        assert!(judged(302).unwrap_err().1.contains("not followed"));
    }
}
