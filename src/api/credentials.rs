//! The schema of references to secrets, for the OpenAPI document only: [`credentials`](crate::credentials) parses them.

use std::collections::BTreeMap;

use poem_openapi::{Object, Union};

/// Credentials by name.
pub(super) type CredentialRefs = BTreeMap<String, CredentialRef>;

/// Headers by name.
pub(super) type Headers = BTreeMap<String, HeaderSource>;

/// A reference to a credential. The worker looks it up when it needs it; its value is never stored or shown.
#[derive(Debug, Union)]
#[oai(discriminator_name = "kind", one_of = true)]
pub(super) enum CredentialRef {
    /// A variable of the worker's environment.
    #[oai(mapping = "env")]
    Env(EnvCredential),
    /// A file on the worker's machine.
    #[oai(mapping = "file")]
    File(FileCredential),
    /// A secret of the Kubernetes cluster that the worker runs in.
    #[oai(mapping = "kubernetes")]
    Kubernetes(KubernetesCredential),
}

/// A variable of the worker's environment.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub(super) struct EnvCredential {
    /// Name of the variable; the operator must have listed it.
    name: String,
}

/// A file on the worker's machine.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub(super) struct FileCredential {
    /// Path relative to the folder that the operator set, without leaving it.
    path: String,
}

/// A secret of the Kubernetes cluster that the worker runs in.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub(super) struct KubernetesCredential {
    /// Namespace of the secret; the operator must have listed it together with the name.
    namespace: String,
    /// Name of the secret.
    name: String,
    /// Key of the value in the secret.
    key: String,
}

/// The value of a header, or a reference to it. Literal values are stored with the run, so use references for secrets.
/// Answers show references and redact values.
#[derive(Debug, Union)]
#[oai(one_of = true)]
pub(super) enum HeaderSource {
    /// The value itself.
    Literal(String),
    /// A variable of the worker's environment.
    Env(HeaderFromEnv),
    /// A credential.
    Credential(HeaderFromCredential),
}

/// A header whose value is in a variable of the worker's environment.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub(super) struct HeaderFromEnv {
    /// Name of the variable; the operator must have listed it.
    from_env: String,
}

/// A header whose value is a credential.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub(super) struct HeaderFromCredential {
    /// Name of the credential in `credentialRefs`.
    credential_ref: String,
    /// Text in front of the value, as `Bearer `.
    #[oai(nullable, validator(pattern = "^[A-Za-z0-9_=: -]{0,16}$"))]
    prefix: Option<String>,
}
