//! Scopes of tokens, and the scope that each operation needs.

use std::fmt;
use std::str::FromStr;

use poem::http::Method;

/// A set of operations that a token may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// List, read and follow runs; read metrics and settings.
    RunsRead,
    /// Submit, cancel and retry runs; evaluate uploads.
    RunsWrite,
    /// All operations, deleting included.
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

/// No scope has this name. The message does not quote it: it may be a secret in the wrong place.
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

/// Paths without access control: probes, which reveal no data, and the description of the API.
const OPEN: [&str; 5] = ["/livez", "/readyz", "/api/health", "/openapi.json", "/docs"];

/// Whether a path needs no token. The path is compared as it was sent, so that no other spelling of it is open.
pub(super) fn is_open(path: &str) -> bool {
    OPEN.contains(&path)
}

/// The scope that an operation needs, by its method.
pub(super) fn needed(method: &Method) -> Scope {
    match *method {
        Method::GET | Method::HEAD => Scope::RunsRead,
        Method::POST => Scope::RunsWrite,
        _ => Scope::Admin,
    }
}
