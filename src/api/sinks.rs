//! What sinks look like in a submission, for the document only: they are read by
//! [`spec`](crate::spec).

use std::collections::BTreeMap;

use poem_openapi::{Enum, Object, Union};

use super::credentials::{HeaderFromEnv, Headers};

/// Where results are sent.
#[derive(Debug, Union)]
#[oai(discriminator_name = "kind", one_of = true)]
pub(super) enum Sink {
    /// To a URL.
    #[oai(mapping = "http_webhook")]
    Webhook(WebhookSink),
    /// To a file of the process that delivers.
    #[oai(mapping = "file")]
    File(FileSink),
    /// To the standard output of the process that delivers.
    #[oai(mapping = "stdout")]
    Stdout(StdoutSink),
}

/// POST requests with `{phase, run_id, attempt}` and `results`, `summary` or `error`. Answered with 2xx they are
/// delivered; 408, 425, 429, 5xx and what keeps an answer from coming are tried again, `Retry-After` honoured; the rest,
/// redirects included, is given up. `webhook-id` stays the same over all attempts.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub(super) struct WebhookSink {
    /// Whom to call: http or https, and public unless the service allows more.
    url: String,
    /// Sent along.
    #[oai(nullable, validator(max_properties = 64))]
    headers: Option<Headers>,
    /// Names of environment variables by header, as in the reference; only those that the operator listed.
    #[oai(nullable, validator(max_properties = 64))]
    headers_from_env: Option<BTreeMap<String, String>>,
    /// Headers as the reference has them.
    #[oai(nullable)]
    auth: Option<WebhookAuth>,
    /// Secret to sign with, as Standard Webhooks has it: `webhook-signature` is sent with one only.
    #[oai(nullable)]
    signing_secret: Option<SecretSource>,
    /// Seconds that one attempt may take; 10 if left out.
    #[oai(nullable, validator(minimum(value = "0.001"), maximum(value = "60")))]
    timeout_s: Option<f64>,
    /// How often a message is tried, over some hours; 12 if left out.
    #[oai(nullable, validator(minimum(value = "1"), maximum(value = "100")))]
    max_attempts: Option<u32>,
}

/// Headers for authentication.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub(super) struct WebhookAuth {
    /// How.
    kind: AuthKind,
    /// Headers by name.
    headers: Headers,
}

/// How a webhook is authenticated.
#[derive(Debug, Enum)]
#[oai(rename_all = "snake_case")]
enum AuthKind {
    /// By headers.
    Headers,
}

/// Lines of JSON at the end of a file: one for each result, one for the end.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub(super) struct FileSink {
    /// The file, below the folder that the service has for this; refused if it has none.
    path: String,
    /// Seconds that one attempt may take; 10 if left out.
    #[oai(nullable, validator(minimum(value = "0.001"), maximum(value = "60")))]
    timeout_s: Option<f64>,
    /// How often a message is tried, over some hours; 12 if left out.
    #[oai(nullable, validator(minimum(value = "1"), maximum(value = "100")))]
    max_attempts: Option<u32>,
}

/// Lines of JSON, as those of a file.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub(super) struct StdoutSink {
    /// Seconds that one attempt may take; 10 if left out.
    #[oai(nullable, validator(minimum(value = "0.001"), maximum(value = "60")))]
    timeout_s: Option<f64>,
    /// How often a message is tried, over some hours; 12 if left out.
    #[oai(nullable, validator(minimum(value = "1"), maximum(value = "100")))]
    max_attempts: Option<u32>,
}

/// Where a secret comes from.
#[derive(Debug, Union)]
#[oai(one_of = true)]
pub(super) enum SecretSource {
    /// From a variable.
    Env(HeaderFromEnv),
    /// From a credential.
    Credential(SecretFromCredential),
}

/// A secret that is a credential.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub(super) struct SecretFromCredential {
    /// Its name among `credentialRefs`.
    credential_ref: String,
}
