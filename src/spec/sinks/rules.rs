//! What the operator allows sinks.

use std::path::Path;

use crate::credentials::CredentialRules;
use crate::net::OutboundRules;

/// What sinks may use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SinkRules<'r> {
    /// What headers and signing secrets may refer to.
    pub(crate) credentials: &'r CredentialRules,
    /// Whom webhooks may call.
    pub(crate) outbound: &'r OutboundRules,
    /// The folder of files that results are appended to; without it there is no such sink.
    pub(crate) files: Option<&'r Path>,
}
