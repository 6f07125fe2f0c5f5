//! The operator's rules: credentials that specifications may refer to.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Credentials that specifications may refer to; none by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CredentialRules {
    /// Names of environment variables that may be read.
    pub variables: BTreeSet<String>,
    /// The directory of files that may be read, if there is one.
    pub directory: Option<PathBuf>,
    /// Secrets of the Kubernetes cluster that may be read.
    pub secrets: BTreeSet<SecretName>,
}

impl CredentialRules {
    /// Checks that a variable may be read.
    pub(super) fn check_variable(&self, name: &str) -> Result<(), String> {
        match self.variables.contains(name) {
            true => Ok(()),
            false => Err(format!(
                "variable `{name}` may not be read; an operator can list it in AGENTEVALS_CREDENTIAL_ENV"
            )),
        }
    }

    /// Checks that files may be read; returns their directory.
    pub(super) fn check_files(&self) -> Result<&PathBuf, String> {
        self.directory.as_ref().ok_or_else(|| {
            "credentials are not read from files here; an operator can set AGENTEVALS_CREDENTIAL_DIR"
                .to_owned()
        })
    }

    /// Checks that a secret may be read.
    pub(super) fn check_secret(&self, name: &SecretName) -> Result<(), String> {
        match self.secrets.contains(name) {
            true => Ok(()),
            false => Err(format!(
                "secret `{name}` may not be read; an operator can list it in AGENTEVALS_CREDENTIAL_SECRETS"
            )),
        }
    }
}

/// A secret of a Kubernetes cluster: `namespace/name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretName {
    pub(super) namespace: String,
    pub(super) name: String,
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl FromStr for SecretName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split_once('/').filter(|(namespace, name)| is_name(namespace) && is_name(name));
        let (namespace, name) = parts.ok_or_else(|| {
            format!("`{text}` names no secret; expected NAMESPACE/NAME as Kubernetes has them")
        })?;
        Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
    }
}

/// Whether a text is a valid name in Kubernetes (a DNS subdomain, RFC 1123).
fn is_name(text: &str) -> bool {
    let is_inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_label = |label: &str| {
        label.bytes().all(|byte| is_inside(byte) || byte == b'-')
            && label.bytes().next().is_some_and(is_inside)
            && label.bytes().last().is_some_and(is_inside)
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_named_as_kubernetes_names_them() {
        assert_eq!("team-a/tempo.token".parse::<SecretName>().unwrap().to_string(), "team-a/tempo.token");
        for text in ["", "x", "a/", "/b", "a/b/c", "A/b", "a/-b", "a/b-", "a/..", "../b", "a/b?c", "a/%2e"] {
            assert!(text.parse::<SecretName>().unwrap_err().contains(&format!("`{text}`")), "{text}");
        }
    }
}
