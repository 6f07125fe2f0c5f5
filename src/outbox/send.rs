//! One try to send a message to its sink.

use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::message::ClaimedMessage;
use super::sent::{SendError, Sent};
use super::sinks::{FileWriter, StdoutWriter, Webhook};
use crate::credentials::{CredentialRefs, Credentials};
use crate::net::Outbound;
use crate::spec::{DEFAULT_TRIES, Sink, SinkRules, SinkTarget};

/// Sends messages to sinks.
pub struct Sender {
    outbound: Outbound,
    credentials: Credentials,
    file: FileWriter,
    stdout: StdoutWriter,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Sender {
    /// A sender that calls webhooks by `outbound`, looks up their secrets in `credentials`, appends to files below the
    /// folder `files`, if there is one, and writes to `stdout`.
    pub fn new(
        outbound: Outbound,
        credentials: Credentials,
        files: Option<PathBuf>,
        stdout: Arc<Mutex<dyn Write + Send>>,
    ) -> Self {
        Self { outbound, credentials, file: FileWriter::new(files), stdout: StdoutWriter::new(stdout) }
    }

    /// Tries once, for at most `limit`: the sink's timeout and time to look up credentials.
    pub(super) async fn send(&self, claimed: &ClaimedMessage, limit: Duration) -> Result<Sent, SendError> {
        // The sink was accepted with the run, so this process lacks the configuration; another process, or this one
        // after a restart, may have it.
        let (sink, refs) = Sink::parse(&claimed.sink.document, &self.rules()).map_err(|fault| SendError {
            max_tries: DEFAULT_TRIES,
            ..SendError::for_now(format!("the sink cannot be used where results are delivered: {fault}"))
        })?;
        let sent = tokio::time::timeout(limit, self.send_to(claimed, &sink, &refs)).await;
        let late = |_| Err(SendError::for_now(format!("not done within {} s", limit.as_secs_f64())));
        sent.unwrap_or_else(late).map_err(|failed| SendError { max_tries: sink.max_tries, ..failed })
    }

    async fn send_to(
        &self,
        claimed: &ClaimedMessage,
        sink: &Sink,
        refs: &CredentialRefs,
    ) -> Result<Sent, SendError> {
        let body = &claimed.body;
        match &sink.target {
            SinkTarget::Webhook(target) => {
                let webhook =
                    Webhook { target, outbound: &self.outbound, credentials: &self.credentials, refs };
                webhook.post(&claimed.lease.message.to_string(), body, sink.timeout).await
            }
            SinkTarget::Stdout => self.stdout.print(body, sink.timeout).await,
            SinkTarget::File(path) => self.file.append(path, body, sink.timeout).await,
        }
    }

    fn rules(&self) -> SinkRules<'_> {
        let (credentials, outbound) = (self.credentials.rules(), self.outbound.rules());
        SinkRules { credentials, outbound, files: self.file.folder() }
    }
}
