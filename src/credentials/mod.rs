//! Credentials: references to secrets in specifications, and looking up the secrets.
//!
//! A specification names credentials ([`CredentialRefs`]) and uses them in headers and signing secrets
//! ([`HeaderSources`], [`SecretSource`]). Submission checks both against the operator's rules ([`CredentialRules`]),
//! which by default allow nothing. The process that uses a secret looks it up ([`Credentials`]) right before the use. No
//! error, log line or stored row contains its value.

mod error;
mod kubernetes;
mod lookup;
mod refs;
mod rules;
mod secret;
mod sources;

pub use error::CredentialError;
pub use kubernetes::Cluster;
pub use lookup::Credentials;
pub use refs::CredentialRefs;
pub use rules::{CredentialRules, SecretName};
pub use secret::Secret;
pub use sources::{HeaderSources, SecretSource};

pub(crate) use sources::is_prefix;
