//! Blocking writes that may hang: how many at a time, and how long a message waits for one.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::outbox::sent::{SendError, Sent};

/// Limits the threads that write to a file system or a terminal, which may hang and must not take all blocking threads.
#[derive(Debug)]
pub(super) struct BlockingTurns(Arc<Semaphore>);

impl BlockingTurns {
    /// Allows so many threads at a time.
    pub(super) fn new(threads: usize) -> Self {
        Self(Arc::new(Semaphore::new(threads)))
    }

    /// Runs `write` on a blocking thread. The thread keeps its turn until the write has ended, even if `timeout` is over
    /// before: a hanging write cannot be stopped.
    pub(super) async fn take(
        &self,
        timeout: Duration,
        write: impl FnOnce() -> Result<(), SendError> + Send + 'static,
    ) -> Result<Sent, SendError> {
        let working = async {
            let turn = self.0.clone().acquire_owned().await;
            let done = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                write()
            });
            done.await.unwrap_or_else(|_| Err(SendError::for_now("writing was interrupted")))
        };
        let seconds = timeout.as_secs_f64();
        let done = tokio::time::timeout(timeout, working).await;
        done.unwrap_or_else(|_| Err(SendError::for_now(format!("not written within {seconds} s"))))?;
        Ok(Sent { status: None })
    }
}
