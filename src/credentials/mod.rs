//! Secrets that runs refer to and never hold: what a specification may refer to, and looking it up.
//!
//! A specification names credentials ([`CredentialRefs`]) and says where they go ([`HeaderSources`],
//! [`SecretSource`]). Both are checked at submission against what the operator allows ([`CredentialRules`]); by
//! default that is nothing. Values are looked up ([`Credentials`]) only when they are about to be used, by the
//! process that uses them, and stand in no error, log line or stored row.

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
