//! What references to secrets look like in a submission, for the document only: they are read by
//! [`credentials`](crate::credentials).

use std::collections::BTreeMap;

use poem_openapi::{Object, Union};

/// Credentials by name.
pub(super) type CredentialRefs = BTreeMap<String, CredentialRef>;

/// Headers by name.
pub(super) type Headers = BTreeMap<String, HeaderSource>;

/// Where a credential is. It is looked up by the worker when it is used, and never stored or shown.
#[derive(Debug, Union)]
#[oai(discriminator_name = "kind", one_of = true)]
pub(super) enum CredentialRef {
    /// In a variable of the worker's environment.
    #[oai(mapping = "env")]
    Env(EnvCredential),
    /// In a file where the worker runs.
    #[oai(mapping = "file")]
    File(FileCredential),
    /// In a secret of the Kubernetes cluster that the worker runs in.
    #[oai(mapping = "kubernetes")]
    Kubernetes(KubernetesCredential),
}

/// A variable of the worker's environment.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub(super) struct EnvCredential {
    /// The variable; one of those that the operator listed.
    name: String,
}

/// A file where the worker runs.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub(super) struct FileCredential {
    /// Relative to the folder that the operator set; does not lead out of it.
    path: String,
}

/// A secret of the Kubernetes cluster that the worker runs in.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub(super) struct KubernetesCredential {
    /// Its namespace; the operator listed it together with the name.
    namespace: String,
    /// Its name.
    name: String,
    /// The key of the value in the secret.
    key: String,
}

/// The value of a header, or where it comes from. Values that stand here themselves are stored with the run, so secrets
/// are better referred to; answers show references and no values.
#[derive(Debug, Union)]
#[oai(one_of = true)]
pub(super) enum HeaderSource {
    /// The value itself.
    Literal(String),
    /// From a variable.
    Env(HeaderFromEnv),
    /// From a credential.
    Credential(HeaderFromCredential),
}

/// A header whose value is in a variable of the worker's environment.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub(super) struct HeaderFromEnv {
    /// The variable; one of those that the operator listed.
    from_env: String,
}

/// A header whose value is a credential.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub(super) struct HeaderFromCredential {
    /// Its name among `credentialRefs`.
    credential_ref: String,
    /// What stands before it, as `Bearer `.
    #[oai(nullable, validator(pattern = "^[A-Za-z0-9_=: -]{0,16}$"))]
    prefix: Option<String>,
}
