//! The credentials that a specification names.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use super::rules::{CredentialRules, SecretName};
use crate::json::checked::{Cursor, Object, Spelling, choose, did_you_mean};

/// Most credentials that a run may name.
const MAX_CREDENTIALS: usize = 64;

/// The credentials that a specification names, each with its place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CredentialRefs(BTreeMap<String, Option<Reference>>);

/// The place of a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reference {
    /// An environment variable of the process that uses it.
    Env { name: String },
    /// A file below the directory of credentials.
    File { path: String },
    /// A key in a secret of the Kubernetes cluster.
    Kubernetes { secret: SecretName, key: String },
}

/// The kinds of references.
#[derive(Clone, Copy)]
enum Kind {
    Env,
    File,
    Kubernetes,
}

const KINDS: [(&str, Kind); 3] = [("env", Kind::Env), ("file", Kind::File), ("kubernetes", Kind::Kubernetes)];

impl CredentialRefs {
    /// Reads the member `credential_refs` of a specification; faults are located in its document.
    pub fn read(cursor: &Cursor<'_, '_>, rules: &CredentialRules) -> Option<Self> {
        let map = cursor.map()?;
        if map.len() > MAX_CREDENTIALS {
            cursor.fault(format!("{} credentials are more than {MAX_CREDENTIALS}", map.len()));
            return None;
        }
        let reference = |name: &str| cursor.member(name, |reference| Reference::read(reference, rules));
        // The name of a faulty reference is kept, so that its uses are not reported as faults too.
        Some(Self(map.iter().map(|(name, _)| (name.to_string(), reference(name))).collect()))
    }

    /// The place of the credential of this name.
    pub(super) fn get(&self, name: &str) -> Option<&Reference> {
        self.0.get(name)?.as_ref()
    }

    /// Checks that the specification names this credential.
    pub(super) fn check(&self, name: &str) -> Result<(), String> {
        if self.0.contains_key(name) {
            return Ok(());
        }
        let hint = did_you_mean(name, self.0.keys().map(String::as_str));
        Err(format!("`{name}` is not among the credential_refs of this specification{hint}"))
    }
}

impl Reference {
    fn read(cursor: &Cursor<'_, '_>, rules: &CredentialRules) -> Option<Self> {
        let object = cursor.object(Spelling::SnakeOrCamel)?;
        let kind = object.required("kind", |kind| {
            let chosen = choose(&kind.string()?, &KINDS);
            chosen.map_err(|error| kind.fault(error)).ok()
        })?;
        let reference = match kind {
            Kind::Env => Self::read_env(&object, rules),
            Kind::File => Self::read_file(&object, rules),
            Kind::Kubernetes => Self::read_kubernetes(cursor, &object, rules),
        };
        // Unknown members are refused here, because one may be the secret itself.
        object.refuse_unknown();
        reference
    }

    fn read_env(object: &Object<'_, '_>, rules: &CredentialRules) -> Option<Self> {
        let name = object.required("name", |name| {
            let text = name.string()?;
            rules.check_variable(&text).map_err(|fault| name.fault(fault)).ok()?;
            Some(text)
        })?;
        Some(Self::Env { name })
    }

    fn read_file(object: &Object<'_, '_>, rules: &CredentialRules) -> Option<Self> {
        let path = object.required("path", |path| {
            let text = path.string()?;
            let is_below = Path::new(&text).components().all(|part| matches!(part, Component::Normal(_)));
            if text.is_empty() || !is_below || text.contains('\0') {
                path.fault(format!("`{text}` is no path below the directory of credentials"));
                return None;
            }
            rules.check_files().map_err(|fault| path.fault(fault)).ok()?;
            Some(text)
        })?;
        Some(Self::File { path })
    }

    fn read_kubernetes(
        cursor: &Cursor<'_, '_>,
        object: &Object<'_, '_>,
        rules: &CredentialRules,
    ) -> Option<Self> {
        let namespace = object.required("namespace", |namespace| namespace.string());
        let name = object.required("name", |name| name.string());
        let key = object.required("key", |key| key.string());
        let secret = SecretName { namespace: namespace?, name: name? };
        rules.check_secret(&secret).map_err(|fault| cursor.fault(fault)).ok()?;
        Some(Self::Kubernetes { secret, key: key? })
    }
}
