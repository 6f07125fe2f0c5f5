//! What a token is good for, and what each operation needs.

use std::fmt;
use std::str::FromStr;

use poem::http::Method;

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Looking at runs, following them, reading what the service offers.
    RunsRead,
    /// Submitting runs, acting on them, evaluating.
    RunsWrite,
    /// Everything, deleting included.
    Admin,
}

impl Scope {
    /// Every scope with its name.
    pub const NAMES: [(&'static str, Self); 3] =
        [("runs:read", Self::RunsRead), ("runs:write", Self::RunsWrite), ("admin", Self::Admin)];
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(_, scope)| scope == self).map(|(name, _)| *name);
        f.write_str(name.unwrap_or_default())
    }
}

/// No scope has this name, which is not repeated: it may be a secret in the wrong place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a scope is `runs:read`, `runs:write` or `admin`")]
pub struct UnknownScope;

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, scope)| *scope).ok_or(UnknownScope)
    }
}

/// Paths that anyone may use: probes, which say no more than how the service is, and the description of the API.
const OPEN: [&str; 5] = ["/livez", "/readyz", "/api/health", "/openapi.json", "/docs"];

/// Whether a path needs no token. The path is compared as it was sent, so that no other way to write one is open.
pub(super) fn is_open(path: &str) -> bool {
    OPEN.contains(&path)
}

/// What an operation needs that is not open: its method says whether it reads, acts or deletes.
pub(super) fn needed(method: &Method) -> Scope {
    match *method {
        Method::GET | Method::HEAD => Scope::RunsRead,
        Method::POST => Scope::RunsWrite,
        _ => Scope::Admin,
    }
}
