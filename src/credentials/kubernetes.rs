//! Secrets of the Kubernetes cluster that this process runs in.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use reqwest::{Certificate, Client, StatusCode, Url};

use super::error::CredentialError;
use super::rules::SecretName;
use super::secret::Secret;
use crate::json;

/// Longest wait for the answer of the cluster.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Largest answer that is read: a secret has at most 1 MiB, a third more in base64, and annotations may repeat it.
const MAX_ANSWER_BYTES: usize = 4 << 20;

/// Access to the API of the cluster that this pod runs in.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// URL of the API.
    pub url: Url,
    /// File with this pod's token; read at each use, because Kubernetes replaces it every hour.
    pub token: PathBuf,
    /// PEM file with the certificate authority of the API.
    pub authority: PathBuf,
}

impl Cluster {
    /// The value under a key of a secret.
    pub(super) async fn secret(&self, secret: &SecretName, key: &str) -> Result<Secret, CredentialError> {
        let unusable = |why: &str| CredentialError::Unusable(format!("secret `{secret}`: {why}"));
        let body = tokio::time::timeout(TIMEOUT, self.ask(secret)).await.unwrap_or_else(|_| {
            let seconds = TIMEOUT.as_secs();
            Err(CredentialError::Unavailable(format!("the Kubernetes API did not answer within {seconds} s")))
        })?;
        let text = std::str::from_utf8(&body).ok();
        let answer = text.and_then(|text| json::parse(text).ok());
        let answer = answer.ok_or_else(|| unusable("the Kubernetes API answered with what is no JSON"))?;
        let value = answer.get("data").and_then(|data| data.get(key)).and_then(|value| value.as_str());
        let value = value.ok_or_else(|| unusable(&format!("has no key `{key}`")))?;
        let decoded = STANDARD.decode(value).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        decoded.map(Secret::new).ok_or_else(|| unusable(&format!("its key `{key}` holds no text")))
    }

    /// Gets a secret as a JSON document.
    async fn ask(&self, secret: &SecretName) -> Result<Vec<u8>, CredentialError> {
        let unavailable = |why: String| CredentialError::Unavailable(format!("the Kubernetes API: {why}"));
        let mut url = self.url.clone();
        // Both names were checked by `is_name` and hold no character that is special in URLs.
        url.set_path(&format!("/api/v1/namespaces/{}/secrets/{}", secret.namespace, secret.name));
        let request = self.client().await?.get(url).header(AUTHORIZATION, self.bearer().await?);
        let sent = request.header(ACCEPT, "application/json").send().await;
        let mut response = sent.map_err(|error| unavailable(root_cause(error)))?;
        check_status(response.status(), secret)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| unavailable(root_cause(error)))? {
            if chunk.len() > MAX_ANSWER_BYTES - body.len() {
                return Err(CredentialError::Unusable(format!(
                    "secret `{secret}`: larger than {MAX_ANSWER_BYTES} bytes"
                )));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// A new client for each look-up, which are few, so that a changed authority file takes effect at once.
    async fn client(&self) -> Result<Client, CredentialError> {
        let unusable = |why: String| {
            CredentialError::Unusable(format!(
                "the cluster's authority `{}`: {why}",
                self.authority.display()
            ))
        };
        // An error means that an earlier call has installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let pem = tokio::fs::read(&self.authority).await.map_err(|error| unusable(error.to_string()))?;
        let authorities = Certificate::from_pem_bundle(&pem).map_err(|error| unusable(error.to_string()))?;
        let client = Client::builder()
            .tls_certs_only(authorities)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build();
        client.map_err(|error| unusable(error.to_string()))
    }

    async fn bearer(&self) -> Result<HeaderValue, CredentialError> {
        let unusable = |why: String| {
            CredentialError::Unusable(format!("the pod's token `{}`: {why}", self.token.display()))
        };
        let token =
            tokio::fs::read_to_string(&self.token).await.map_err(|error| unusable(error.to_string()))?;
        let value = HeaderValue::try_from(format!("Bearer {}", token.trim()));
        let mut value = value.map_err(|_| unusable("holds control characters".to_owned()))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

fn check_status(status: StatusCode, secret: &SecretName) -> Result<(), CredentialError> {
    let why = match status {
        StatusCode::OK => return Ok(()),
        StatusCode::NOT_FOUND => "does not exist".to_owned(),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            format!("the Kubernetes API answered {status}; let the service account get this secret")
        }
        status => format!("the Kubernetes API answered {status}"),
    };
    let text = format!("secret `{secret}`: {why}");
    let passes = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
    Err(if passes { CredentialError::Unavailable(text) } else { CredentialError::Unusable(text) })
}

/// The innermost cause, which names the reason; the outer ones only say that a request failed.
fn root_cause(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
