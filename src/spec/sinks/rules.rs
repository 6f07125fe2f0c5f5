//! The operator's rules for sinks.

use std::path::Path;

use crate::credentials::CredentialRules;
use crate::net::OutboundRules;

/// The operator's rules for sinks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SinkRules<'r> {
    /// Secrets that headers and signing secrets may refer to.
    pub(crate) credentials: &'r CredentialRules,
    /// Addresses that webhooks may call.
    pub(crate) outbound: &'r OutboundRules,
    /// The folder of file sinks; without it they are refused.
    pub(crate) files: Option<&'r Path>,
}
