//! Looks up secrets in environment variables, files and the Kubernetes cluster.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::error::CredentialError;
use super::kubernetes::Cluster;
use super::refs::{CredentialRefs, Reference};
use super::rules::CredentialRules;
use super::secret::Secret;
use super::sources::{HeaderSource, HeaderSources, MAX_VALUE_BYTES, SecretSource};

/// Largest file of a credential.
const MAX_FILE_BYTES: u64 = 64 << 10;

/// Looks up secrets. Clones share the stores.
#[derive(Debug, Clone, Default)]
pub struct Credentials(Arc<SecretStores>);

#[derive(Debug, Default)]
struct SecretStores {
    rules: CredentialRules,
    variables: BTreeMap<String, Secret>,
    cluster: Option<Cluster>,
}

impl Credentials {
    /// Looks up secrets that `rules` allow, in `variables` of the environment at the start, in files, and in the cluster
    /// that this process runs in, if there is one.
    pub fn new(
        rules: CredentialRules,
        variables: BTreeMap<String, Secret>,
        cluster: Option<Cluster>,
    ) -> Self {
        Self(Arc::new(SecretStores { rules, variables, cluster }))
    }

    /// The rules about secrets that may be looked up.
    pub fn rules(&self) -> &CredentialRules {
        &self.0.rules
    }

    /// The headers with their values, which are marked as sensitive.
    ///
    /// # Errors
    /// The first failed look-up, or a value that cannot stand in a header.
    pub async fn headers(
        &self,
        sources: &HeaderSources,
        refs: &CredentialRefs,
    ) -> Result<HeaderMap, CredentialError> {
        let mut headers = HeaderMap::new();
        for (name, source) in sources.iter() {
            let value = match source {
                HeaderSource::Literal(value) => value.clone(),
                HeaderSource::Referred { prefix, source } => {
                    let secret = self.secret(source, refs).await?;
                    header_value(prefix, &secret).ok_or_else(|| {
                        let why = "its value cannot stand in a header: control characters, or too long";
                        CredentialError::Unusable(format!("header `{name}`: {why}"))
                    })?
                }
            };
            if let Ok(name) = HeaderName::try_from(name) {
                headers.insert(name, value);
            }
        }
        Ok(headers)
    }

    /// Looks up a secret, which is never empty.
    ///
    /// # Errors
    /// The look-up failed.
    pub async fn secret(
        &self,
        source: &SecretSource,
        refs: &CredentialRefs,
    ) -> Result<Secret, CredentialError> {
        match source {
            SecretSource::Env(name) => self.variable(name),
            SecretSource::Credential(name) => {
                self.credential(refs, name).await.map_err(|error| error.within(name))
            }
        }
    }

    async fn credential(&self, refs: &CredentialRefs, name: &str) -> Result<Secret, CredentialError> {
        let reference = refs.get(name).ok_or_else(|| {
            CredentialError::Unusable("is not among the credential_refs of the specification".to_owned())
        })?;
        match reference {
            Reference::Env { name } => self.variable(name),
            Reference::File { path } => self.file(path).await,
            Reference::Kubernetes { secret, key } => {
                self.0.rules.check_secret(secret).map_err(CredentialError::Unusable)?;
                let cluster = self.0.cluster.as_ref().ok_or_else(|| {
                    CredentialError::Unusable(format!(
                        "secret `{secret}`: this worker runs in no Kubernetes cluster"
                    ))
                })?;
                let found = cluster.secret(secret, key).await?;
                non_empty(found, || format!("key `{key}` of secret `{secret}`"))
            }
        }
    }

    fn variable(&self, name: &str) -> Result<Secret, CredentialError> {
        self.0.rules.check_variable(name).map_err(CredentialError::Unusable)?;
        let value = self.0.variables.get(name).cloned().ok_or_else(|| {
            CredentialError::Unusable(format!("variable `{name}` is not set where the worker runs"))
        })?;
        non_empty(value, || format!("variable `{name}`"))
    }

    async fn file(&self, path: &str) -> Result<Secret, CredentialError> {
        let directory = self.0.rules.check_files().map_err(CredentialError::Unusable)?.clone();
        let relative = path.to_owned();
        let read = tokio::task::spawn_blocking(move || read_below(&directory, &relative)).await;
        let read = read.unwrap_or_else(|_| Err("reading it was interrupted".to_owned()));
        let value = read.map_err(|why| CredentialError::Unusable(format!("file `{path}`: {why}")))?;
        non_empty(value, || format!("file `{path}`"))
    }
}

fn non_empty(value: Secret, place: impl FnOnce() -> String) -> Result<Secret, CredentialError> {
    match value.expose().is_empty() {
        true => Err(CredentialError::Unusable(format!("{} is empty", place()))),
        false => Ok(value),
    }
}

/// Reads a file. Links are resolved, and the file they lead to must be below the directory too.
fn read_below(directory: &Path, path: &str) -> Result<Secret, String> {
    let say = |error: std::io::Error| error.to_string();
    let inside =
        directory.canonicalize().map_err(|error| format!("the directory of credentials: {error}"))?;
    let file = inside.join(path).canonicalize().map_err(say)?;
    if !file.starts_with(&inside) {
        return Err("leads out of the directory of credentials".to_owned());
    }
    // Checked before opening, because opening a named pipe blocks until it has a writer.
    if !file.metadata().map_err(say)?.is_file() {
        return Err("is no regular file".to_owned());
    }
    let mut text = String::new();
    let opened = std::fs::File::open(file).map_err(say)?;
    match opened.take(MAX_FILE_BYTES + 1).read_to_string(&mut text) {
        Ok(length) if length as u64 > MAX_FILE_BYTES => Err(format!("is larger than {MAX_FILE_BYTES} bytes")),
        Ok(_) => Ok(Secret::new(text)),
        Err(error) => Err(say(error)),
    }
}

fn header_value(prefix: &str, secret: &Secret) -> Option<HeaderValue> {
    let text = format!("{prefix}{}", secret.expose());
    let mut value = HeaderValue::try_from(text).ok().filter(|value| value.len() <= MAX_VALUE_BYTES)?;
    value.set_sensitive(true);
    Some(value)
}
