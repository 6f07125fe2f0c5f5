//! Webhooks as a specification describes them.

use reqwest::Url;

use super::rules::SinkRules;
use crate::credentials::{CredentialRefs, HeaderSources, SecretSource};
use crate::json::checked::{Cursor, Object, Spelling};
use crate::net::MAX_URL_BYTES;

/// A sink of the kind `http_webhook`.
#[derive(Debug)]
pub(crate) struct WebhookTarget {
    /// URL to which messages are posted; user information, path and query may hold secrets.
    pub(crate) url: Url,
    /// Headers of each request; of several with one name the last is sent.
    pub(crate) headers: Vec<HeaderSources>,
    /// The secret that signs messages, if the sink has one.
    pub(crate) signing_secret: Option<SecretSource>,
}

impl WebhookTarget {
    /// Reads the members that only a webhook has.
    pub(super) fn read(
        object: &Object<'_, '_>,
        rules: &SinkRules<'_>,
        refs: &CredentialRefs,
    ) -> Option<Self> {
        let credentials = rules.credentials;
        let url = object.required("url", |url| read_url(url, rules));
        let headers = [
            object.optional("headers", |headers| HeaderSources::read(headers, credentials, refs)),
            object.optional("headers_from_env", |names| HeaderSources::read_variables(names, credentials)),
            object.optional("auth", |auth| read_auth(auth, rules, refs)),
        ];
        let signing_secret =
            object.optional("signing_secret", |secret| SecretSource::read(secret, credentials, refs));
        Some(Self { url: url?, headers: headers.into_iter().flatten().collect(), signing_secret })
    }

    /// Scheme, host and port; path and query may be secrets.
    pub(super) fn destination(&self) -> String {
        self.url.origin().ascii_serialization()
    }
}

fn read_url(cursor: &Cursor<'_, '_>, rules: &SinkRules<'_>) -> Option<Url> {
    let text = cursor.string()?;
    // Faults do not quote the text, which may hold a secret.
    let parsed = Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let Some(url) = parsed.filter(|_| text.len() <= MAX_URL_BYTES) else {
        cursor.fault(format!("expected an absolute http or https URL of at most {MAX_URL_BYTES} bytes"));
        return None;
    };
    rules.outbound.check(&url).map_err(|refusal| cursor.fault(refusal.to_string())).ok()?;
    Some(url)
}

/// Reads the reference's `{kind: headers, headers: {name: {from_env}}}`.
fn read_auth(cursor: &Cursor<'_, '_>, rules: &SinkRules<'_>, refs: &CredentialRefs) -> Option<HeaderSources> {
    let object = cursor.object(Spelling::SnakeOrCamel)?;
    object.required("kind", |kind| kind.choice(&[("headers", ())]));
    let headers = object.required("headers", |headers| HeaderSources::read(headers, rules.credentials, refs));
    object.refuse_unknown();
    headers
}
