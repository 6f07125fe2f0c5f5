//! Turns at something that may hang.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::outbox::sent::{SendError, Sent};

/// Bounds how many threads are busy with a file system or a terminal, which may hang and must not take them all.
#[derive(Debug)]
pub(super) struct Turns(Arc<Semaphore>);

impl Turns {
    /// So many threads at a time.
    pub(super) fn new(threads: usize) -> Self {
        Self(Arc::new(Semaphore::new(threads)))
    }

    /// Does `work` on a thread for blocking work. The thread keeps its turn until the work is done, also when
    /// `timeout` is over before.
    pub(super) async fn take(
        &self,
        timeout: Duration,
        work: impl FnOnce() -> Result<(), SendError> + Send + 'static,
    ) -> Result<Sent, SendError> {
        let working = async {
            let turn = self.0.clone().acquire_owned().await;
            let done = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                work()
            });
            done.await.unwrap_or_else(|_| Err(SendError::for_now("writing was interrupted")))
        };
        let seconds = timeout.as_secs_f64();
        let done = tokio::time::timeout(timeout, working).await;
        done.unwrap_or_else(|_| Err(SendError::for_now(format!("not written within {seconds} s"))))?;
        Ok(Sent { status: None })
    }
}
