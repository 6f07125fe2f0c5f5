//! A sink that is called at a URL.

use reqwest::Url;

use super::rules::SinkRules;
use crate::credentials::{CredentialRefs, HeaderSources, SecretSource};
use crate::json::checked::{Cursor, Object, Spelling};
use crate::net::MAX_URL_BYTES;

/// A sink that is called at a URL.
#[derive(Debug)]
pub(crate) struct WebhookTarget {
    /// Where messages are posted; user information, path and query may hold secrets.
    pub(crate) url: Url,
    /// Sent along; later ones take the place of earlier ones.
    pub(crate) headers: Vec<HeaderSources>,
    /// Signs messages, if there is one.
    pub(crate) signing_secret: Option<SecretSource>,
}

impl WebhookTarget {
    /// Reads the members of a sink that only a webhook has.
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

    /// Scheme, host and port; what follows them may be secret.
    pub(super) fn destination(&self) -> String {
        self.url.origin().ascii_serialization()
    }
}

fn read_url(cursor: &Cursor<'_, '_>, rules: &SinkRules<'_>) -> Option<Url> {
    let text = cursor.string()?;
    // Not quoted in faults: it may hold a secret.
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
