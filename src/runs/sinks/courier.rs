//! One attempt at one message, whatever the sink.

use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::StatusCode;
use tokio::sync::Semaphore;

use super::file::{self, AppendError};
use super::lines::lines;
use super::{DEFAULT_ATTEMPTS, Sink, SinkRules, SinkTarget};
use crate::net::Outbound;
use crate::runs::credentials::{CredentialRefs, Credentials};
use crate::runs::model::ClaimedDelivery;

/// Threads that may be busy with files; a file system that hangs must not take them all.
const FILE_THREADS: usize = 8;

/// Carries messages to sinks.
pub struct Courier {
    outbound: Outbound,
    credentials: Credentials,
    /// The folder of file sinks.
    files: Option<PathBuf>,
    stdout: Arc<Mutex<dyn Write + Send>>,
    /// One thread at a time may be busy with it.
    stdout_turn: Arc<Semaphore>,
    file_turns: Arc<Semaphore>,
}

impl fmt::Debug for Courier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Courier").field("files", &self.files).finish_non_exhaustive()
    }
}

/// A message that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::runs) struct Sent {
    /// HTTP status of the answer.
    pub(in crate::runs) status: Option<u16>,
}

impl Sent {
    pub(super) fn answered(status: StatusCode) -> Self {
        Self { status: Some(status.as_u16()) }
    }
}

/// A message that did not arrive, as far as we know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::runs) struct Failed {
    /// HTTP status of the answer.
    pub(in crate::runs) status: Option<u16>,
    /// Why, without anything that may be secret.
    pub(in crate::runs) text: String,
    /// Whether the next attempt may do better.
    pub(in crate::runs) is_transient: bool,
    /// How long the receiver wants to be left alone.
    pub(in crate::runs) retry_after: Option<Duration>,
    /// How often a message to this sink is tried.
    pub(in crate::runs) max_attempts: u32,
}

impl Failed {
    /// A failure for good.
    pub(in crate::runs) fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { status: None, text, is_transient: false, retry_after: None, max_attempts: 1 }
    }

    /// A failure for now.
    fn for_now(text: impl Into<String>) -> Self {
        Self { is_transient: true, ..Self::new(text) }
    }
}

impl Courier {
    /// A courier that calls out by `outbound`, looks secrets up in `credentials`, appends to files in the folder
    /// `files`, if there is one, and writes to `stdout` one message at a time.
    pub fn new(
        outbound: Outbound,
        credentials: Credentials,
        files: Option<PathBuf>,
        stdout: Arc<Mutex<dyn Write + Send>>,
    ) -> Self {
        let (stdout_turn, file_turns) = (Arc::new(Semaphore::new(1)), Arc::new(Semaphore::new(FILE_THREADS)));
        Self { outbound, credentials, files, stdout, stdout_turn, file_turns }
    }

    /// Makes one attempt, which takes no longer than `limit`: the sink's timeout, and what looking credentials up takes.
    pub(in crate::runs) async fn carry(
        &self,
        claimed: &ClaimedDelivery,
        limit: Duration,
    ) -> Result<Sent, Failed> {
        // It was accepted with the run: another process, or this one when it is configured anew, may do better.
        let (sink, refs) = Sink::parse(&claimed.sink.document, &self.rules()).map_err(|fault| Failed {
            max_attempts: DEFAULT_ATTEMPTS,
            ..Failed::for_now(format!("the sink cannot be used where results are delivered: {fault}"))
        })?;
        let sent = tokio::time::timeout(limit, self.send(claimed, &sink, &refs)).await;
        let late = |_| Err(Failed::for_now(format!("not done within {} s", limit.as_secs_f64())));
        sent.unwrap_or_else(late).map_err(|failed| Failed { max_attempts: sink.max_attempts, ..failed })
    }

    async fn send(
        &self,
        claimed: &ClaimedDelivery,
        sink: &Sink,
        refs: &CredentialRefs,
    ) -> Result<Sent, Failed> {
        let (id, payload) = (claimed.lease.delivery.to_string(), &claimed.payload);
        match &sink.target {
            SinkTarget::Webhook(webhook) => {
                let credentials = (&self.credentials, refs);
                webhook.send(&id, payload, sink.timeout, &self.outbound, credentials).await
            }
            SinkTarget::Stdout => self.print(payload, sink.timeout).await,
            SinkTarget::File(path) => self.append(path.clone(), payload, sink.timeout).await,
        }
    }

    fn rules(&self) -> SinkRules<'_> {
        let (credentials, outbound) = (self.credentials.rules(), self.outbound.rules());
        SinkRules { credentials, outbound, files: self.files.as_deref() }
    }

    async fn print(&self, payload: &str, timeout: Duration) -> Result<Sent, Failed> {
        let (stdout, text) = (self.stdout.clone(), text(payload)?);
        let print = move || {
            let mut stdout = stdout.lock().unwrap_or_else(PoisonError::into_inner);
            let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
            written.map_err(|error| Failed::for_now(format!("standard output: {error}")))
        };
        blocking(&self.stdout_turn, timeout, print).await
    }

    async fn append(&self, path: String, payload: &str, timeout: Duration) -> Result<Sent, Failed> {
        let (folder, text) = (self.folder()?, text(payload)?);
        let append = move || {
            file::append(&folder, &path, &text, timeout).map_err(|error| match error {
                AppendError::Refused(why) => Failed::new(why),
                AppendError::Failed(error) => Failed::for_now(format!("file `{path}`: {error}")),
            })
        };
        blocking(&self.file_turns, timeout, append).await
    }

    fn folder(&self) -> Result<PathBuf, Failed> {
        self.files.clone().ok_or_else(|| Failed::for_now("files are not written where results are delivered"))
    }
}

fn text(payload: &str) -> Result<String, Failed> {
    lines(payload).map_err(|_| Failed::new("what is stored is no message"))
}

/// Does what may hang on a thread for blocking work, which keeps its turn until it is done, however long that takes.
async fn blocking(
    turns: &Arc<Semaphore>,
    timeout: Duration,
    work: impl FnOnce() -> Result<(), Failed> + Send + 'static,
) -> Result<Sent, Failed> {
    let working = async {
        let turn = turns.clone().acquire_owned().await;
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        done.await.unwrap_or_else(|_| Err(Failed::for_now("writing was interrupted")))
    };
    let seconds = timeout.as_secs_f64();
    let done = tokio::time::timeout(timeout, working).await;
    done.unwrap_or_else(|_| Err(Failed::for_now(format!("not written within {seconds} s"))))?;
    Ok(Sent { status: None })
}
