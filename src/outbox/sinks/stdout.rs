//! The sink `stdout`: lines on the standard output of the process that sends.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::lines::lines;
use super::turns::BlockingTurns;
use crate::outbox::sent::{SendError, Sent};

/// Writes to standard output, one message at a time.
pub(in crate::outbox) struct StdoutWriter {
    stdout: Arc<Mutex<dyn Write + Send>>,
    turns: BlockingTurns,
}

impl StdoutWriter {
    pub(in crate::outbox) fn new(stdout: Arc<Mutex<dyn Write + Send>>) -> Self {
        Self { stdout, turns: BlockingTurns::new(1) }
    }

    /// Writes the lines of a message.
    pub(in crate::outbox) async fn print(&self, body: &str, timeout: Duration) -> Result<Sent, SendError> {
        let (stdout, text) = (self.stdout.clone(), lines(body)?);
        let print = move || {
            let mut stdout = stdout.lock().unwrap_or_else(PoisonError::into_inner);
            let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
            written.map_err(|error| SendError::for_now(format!("standard output: {error}")))
        };
        self.turns.take(timeout, print).await
    }
}
