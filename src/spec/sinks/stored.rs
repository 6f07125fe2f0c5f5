//! Sinks as they are stored beside their run.

use std::time::Duration;

/// The kind of a sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SinkKind {
    /// Lines on the standard output of the process that sends.
    Stdout,
    /// Lines at the end of a file.
    File,
    /// Requests to a URL.
    HttpWebhook,
}

impl SinkKind {
    /// The names in specifications, answers and SQL.
    pub const NAMES: [(&'static str, Self); 3] =
        [("stdout", Self::Stdout), ("file", Self::File), ("http_webhook", Self::HttpWebhook)];
}

/// A sink of a run, as it is stored beside the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSink {
    /// Its kind.
    pub kind: SinkKind,
    /// Its destination without secrets. Each process limits the messages on the way to one destination.
    pub destination: String,
    /// Longest duration of one try.
    pub timeout: Duration,
    /// The sink and the credential references it may name, as JSON as submitted; a sender needs nothing else.
    pub document: String,
}
