//! The schema of sinks in a submission, for the OpenAPI document only: [`spec`](crate::spec) parses them.

use std::collections::BTreeMap;

use poem_openapi::{Enum, Object, Union};

use super::credentials::{HeaderFromEnv, Headers};

/// A destination for results.
#[derive(Debug, Union)]
#[oai(discriminator_name = "kind", one_of = true)]
pub(super) enum Sink {
    /// A URL.
    #[oai(mapping = "http_webhook")]
    Webhook(WebhookSink),
    /// A file on the machine of the worker.
    #[oai(mapping = "file")]
    File(FileSink),
    /// The standard output of the worker.
    #[oai(mapping = "stdout")]
    Stdout(StdoutSink),
}

/// Receives POST requests with `{phase, run_id, attempt}` and `results`, `summary` or `error`. An answer with 2xx means
/// delivered. After 408, 425, 429, 5xx, or without an answer, the message is sent again, not before `Retry-After`. After
/// any other answer, redirects included, it is given up. `webhook-id` stays the same over all attempts.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub(super) struct WebhookSink {
    /// The address, http or https; it must be public unless the operator allows it.
    url: String,
    /// Headers to send, by name.
    #[oai(nullable, validator(max_properties = 64))]
    headers: Option<Headers>,
    /// Environment variables by header, as in the reference implementation; only those that the operator listed.
    #[oai(nullable, validator(max_properties = 64))]
    headers_from_env: Option<BTreeMap<String, String>>,
    /// More headers, in the form of the reference implementation.
    #[oai(nullable)]
    auth: Option<WebhookAuth>,
    /// Secret that signs messages as Standard Webhooks define; without it there is no `webhook-signature`.
    #[oai(nullable)]
    signing_secret: Option<SecretSource>,
    /// Longest duration of one attempt, in seconds; 10 if left out.
    #[oai(nullable, validator(minimum(value = "0.001"), maximum(value = "60")))]
    timeout_s: Option<f64>,
    /// Attempts before a message is given up; 12 if left out, which take some hours.
    #[oai(nullable, validator(minimum(value = "1"), maximum(value = "100")))]
    max_attempts: Option<u32>,
}

/// Headers for authentication.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub(super) struct WebhookAuth {
    /// Kind of authentication.
    kind: AuthKind,
    /// Headers by name.
    headers: Headers,
}

/// Kind of authentication.
#[derive(Debug, Enum)]
#[oai(rename_all = "snake_case")]
enum AuthKind {
    /// Headers.
    Headers,
}

/// Appends lines of JSON to a file: one for each result, one for the end of the run.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub(super) struct FileSink {
    /// Path of the file, below the operator's folder for it; refused if there is none.
    path: String,
    /// Longest duration of one attempt, in seconds; 10 if left out.
    #[oai(nullable, validator(minimum(value = "0.001"), maximum(value = "60")))]
    timeout_s: Option<f64>,
    /// Attempts before a message is given up; 12 if left out, which take some hours.
    #[oai(nullable, validator(minimum(value = "1"), maximum(value = "100")))]
    max_attempts: Option<u32>,
}

/// Prints lines of JSON, like those of a file.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub(super) struct StdoutSink {
    /// Longest duration of one attempt, in seconds; 10 if left out.
    #[oai(nullable, validator(minimum(value = "0.001"), maximum(value = "60")))]
    timeout_s: Option<f64>,
    /// Attempts before a message is given up; 12 if left out, which take some hours.
    #[oai(nullable, validator(minimum(value = "1"), maximum(value = "100")))]
    max_attempts: Option<u32>,
}

/// A reference to a secret.
#[derive(Debug, Union)]
#[oai(one_of = true)]
pub(super) enum SecretSource {
    /// A variable of the worker's environment.
    Env(HeaderFromEnv),
    /// A credential.
    Credential(SecretFromCredential),
}

/// A secret from a credential.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub(super) struct SecretFromCredential {
    /// Name of the credential in `credentialRefs`.
    credential_ref: String,
}
