//! The service for messages, which the API calls: list them, queue them again.

use std::sync::Arc;

use super::message::{Message, MessageId};
use super::port::Outbox;
use crate::ids::RunId;
use crate::runs::{RunService, StoreResult};

/// Messages in the storage of this process.
#[derive(Clone)]
pub struct OutboxService {
    outbox: Arc<dyn Outbox>,
    runs: RunService,
}

impl OutboxService {
    /// A service for the messages of `runs`.
    pub fn new(outbox: Arc<dyn Outbox>, runs: RunService) -> Self {
        Self { outbox, runs }
    }

    /// A page of the messages of a run after an event and sink; by event, then by sink. `None` when there is no such
    /// run.
    ///
    /// # Errors
    /// Those of the storage.
    pub async fn messages(
        &self,
        run: RunId,
        after: Option<(u32, u16)>,
        limit: usize,
    ) -> StoreResult<Option<Vec<Message>>> {
        let messages = self.outbox.messages(run, after, limit).await?;
        self.runs.unless_unknown(run, messages).await
    }

    /// Queues messages of a run again: all dead ones, or the named ones that are not pending. Returns the queued
    /// messages; `None` when there is no such run.
    ///
    /// # Errors
    /// Those of the storage.
    pub async fn redeliver(
        &self,
        run: RunId,
        named: Option<&[MessageId]>,
    ) -> StoreResult<Option<Vec<Message>>> {
        let queued = self.outbox.redeliver(run, named).await?;
        self.runs.unless_unknown(run, queued).await
    }
}
