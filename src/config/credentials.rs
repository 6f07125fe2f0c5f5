//! The credentials that runs may refer to, and their values from the environment.

use std::collections::{BTreeMap, BTreeSet};
use std::env::{self, VarError};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, bail};
use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};
use reqwest::Url;

use super::folder;
use crate::credentials::{Cluster, CredentialRules, Credentials, Secret, SecretName};

/// Credentials that runs may refer to. Anyone who may submit runs can send listed credentials to any allowed address.
#[derive(Debug, Args)]
#[command(next_help_heading = "Credentials")]
pub struct CredentialArguments {
    /// Environment variables that runs may refer to, separated by commas
    #[arg(long, env = "AGENTEVALS_CREDENTIAL_ENV", default_value = "", hide_default_value = true,
        value_name = "NAMES", value_parser = parse_set::<Variable>)]
    credential_env: BTreeSet<Variable>,
    /// Folder of files that runs may refer to
    #[arg(long, env = "AGENTEVALS_CREDENTIAL_DIR", value_name = "DIR",
        value_parser = OsStringValueParser::new().map(PathBuf::from))]
    credential_dir: Option<PathBuf>,
    /// Kubernetes secrets that runs may refer to, as NAMESPACE/NAME, separated by commas
    #[arg(long, env = "AGENTEVALS_CREDENTIAL_SECRETS", default_value = "", hide_default_value = true,
        value_name = "NAMES", value_parser = parse_set::<SecretName>)]
    credential_secrets: BTreeSet<SecretName>,
}

/// Folder in which Kubernetes gives a pod its token and the certificate of the cluster's API.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

impl CredentialArguments {
    /// The credentials. Environment variables are read now, files and Kubernetes secrets when a run uses them.
    ///
    /// # Errors
    /// The folder is not one, a variable is not UTF-8, or the address of the cluster is malformed.
    pub fn credentials(&self) -> anyhow::Result<Credentials> {
        let variables = self.credential_env.iter().map(|variable| variable.0.clone());
        let rules = CredentialRules {
            variables: variables.collect(),
            directory: folder("--credential-dir", self.credential_dir.as_deref())?,
            secrets: self.credential_secrets.clone(),
        };
        let mut values = BTreeMap::new();
        for name in &rules.variables {
            if let Some(value) = variable(name)? {
                values.insert(name.clone(), Secret::new(value));
            }
        }
        let cluster = match rules.secrets.is_empty() {
            true => None,
            false => cluster(variable("KUBERNETES_SERVICE_HOST")?, variable("KUBERNETES_SERVICE_PORT")?)?,
        };
        Ok(Credentials::new(rules, values, cluster))
    }
}

/// The value of a variable; `None` if it is not set.
fn variable(name: &str) -> anyhow::Result<Option<String>> {
    match env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => bail!("variable `{name}` is not UTF-8"),
    }
}

/// The cluster that this process runs in, by the variables that Kubernetes sets in every pod; `None` outside of one.
fn cluster(host: Option<String>, port: Option<String>) -> anyhow::Result<Option<Cluster>> {
    let (Some(host), Some(port)) = (host, port) else { return Ok(None) };
    let bracketed = if host.contains(':') { format!("[{host}]") } else { host };
    let url = Url::parse(&format!("https://{bracketed}:{port}/"))
        .with_context(|| format!("KUBERNETES_SERVICE_HOST and _PORT, `{bracketed}:{port}`"))?;
    let file = |name: &str| Path::new(SERVICE_ACCOUNT).join(name);
    Ok(Some(Cluster { url, token: file("token"), authority: file("ca.crt") }))
}

/// The name of an environment variable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Variable(String);

/// Beginnings of the names of this program's own variables, which hold the database password and the tokens.
const OWN_VARIABLES: [&str; 2] = ["AGENTEVALS_", "PG"];

impl FromStr for Variable {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || text.contains(['=', '\0']) {
            return Err(format!("`{text}` is no name of a variable"));
        }
        if OWN_VARIABLES.iter().any(|prefix| text.starts_with(prefix)) {
            return Err(format!(
                "`{text}` configures the service itself; let runs refer to a variable of their own"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

/// Parses items separated by commas.
fn parse_set<T: FromStr<Err = String> + Ord>(text: &str) -> Result<BTreeSet<T>, String> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::parse).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        credentials: CredentialArguments,
    }

    fn credentials(arguments: &[&str]) -> anyhow::Result<Credentials> {
        Program::try_parse_from([&["x"], arguments].concat())?.credentials.credentials()
    }

    #[test]
    fn nothing_may_be_referred_to_unless_it_is_said() {
        assert_eq!(*credentials(&[]).unwrap().rules(), CredentialRules::default());
        let empty = ["--credential-env", " ,", "--credential-dir", "", "--credential-secrets", ""];
        assert_eq!(*credentials(&empty).unwrap().rules(), CredentialRules::default());
    }

    #[test]
    fn lists_are_read_with_space_around_their_commas() {
        let found = credentials(&["--credential-env", "A_B, C", "--credential-secrets", "n/s ,n/t"]).unwrap();
        assert_eq!(found.rules().variables, BTreeSet::from(["A_B".to_owned(), "C".to_owned()]));
        let secrets: Vec<_> = found.rules().secrets.iter().map(ToString::to_string).collect();
        assert_eq!(secrets, ["n/s", "n/t"]);
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for (arguments, why) in [
            (["--credential-env", "A=b"], "`A=b` is no name of a variable"),
            (["--credential-secrets", "n/s,x"], "`x` names no secret"),
            (["--credential-dir", "/nowhere/at/all"], "`/nowhere/at/all`"),
            (["--credential-dir", "/dev/null"], "`/dev/null` is no folder"),
        ] {
            let error = credentials(&arguments).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn the_cluster_is_where_kubernetes_says() {
        let found = |host: &str, port: &str| cluster(Some(host.to_owned()), Some(port.to_owned()));
        assert_eq!(found("10.0.0.1", "443").unwrap().unwrap().url.as_str(), "https://10.0.0.1/");
        assert_eq!(found("fd00::1", "6443").unwrap().unwrap().url.as_str(), "https://[fd00::1]:6443/");
        assert!(found("10.0.0.1", "tcp://").is_err());
        assert!(cluster(None, Some("443".to_owned())).unwrap().is_none());
    }

    #[test]
    fn what_configures_the_service_is_not_given_away() {
        for name in ["AGENTEVALS_DATABASE_URL", "AGENTEVALS_TOKENS", "PGPASSWORD"] {
            let refusal = credentials(&["--credential-env", name]).unwrap_err().to_string();
            assert!(refusal.contains("configures the service itself"), "{refusal}");
        }
    }
}
