//! A sink as it is stored beside its run.

use std::time::Duration;

/// How a sink takes what it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SinkKind {
    /// Lines on the standard output of the process that delivers.
    Stdout,
    /// Lines at the end of a file.
    File,
    /// Requests to a URL.
    HttpWebhook,
}

impl SinkKind {
    /// The names used in specifications, answers and SQL.
    pub const NAMES: [(&'static str, Self); 3] =
        [("stdout", Self::Stdout), ("file", Self::File), ("http_webhook", Self::HttpWebhook)];
}

/// A sink of a run, as it is stored beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSink {
    /// What it is.
    pub kind: SinkKind,
    /// Where it leads, without anything that may be secret; sinks that share it share what they can take.
    pub destination: String,
    /// How long one attempt at a delivery may take.
    pub timeout: Duration,
    /// The sink as submitted and the credential references it may name, as JSON: all that a deliverer needs.
    pub document: String,
}
