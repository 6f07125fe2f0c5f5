//! A store that never does what it is asked.

use std::sync::Arc;
use std::time::Duration;

use agentevals::api::{ApiSettings, Services};
use agentevals::ids::RunId;
use agentevals::outbox::{
    ClaimedMessage, Message, MessageId, MessageLease, Outbox, OutboxService, Room, Settlement,
};
use agentevals::runs::{
    Deletion, Events, FeedPage, FeedPosition, Hints, ResultFilter, Retention, Retried, Run, RunEvent,
    RunFilter, RunService, Runs, StoreError, StoreResult, StoredResult, Submitted,
};
use agentevals::spec::Submission;
use agentevals::uploads::{FinishedRun, FinishedRuns};
use async_trait::async_trait;

use super::harness::Api;

/// What it does instead.
#[derive(Debug, Clone, Copy)]
pub(super) enum Broken {
    /// Says that it cannot be reached.
    Unavailable,
    /// Fails with an error that has a secret in it.
    Other,
    /// Panics.
    Panic,
    /// Never answers.
    Hang,
}

impl Broken {
    /// An API over such a store.
    pub(super) fn api(self) -> Api {
        let store = Arc::new(self);
        let runs = RunService::new(store.clone(), store.clone(), store.clone(), &Hints::default());
        let outbox = OutboxService::new(store.clone(), runs.clone());
        Api::of(Services { runs, outbox, finished: store }, ApiSettings::default())
    }

    async fn fail<T>(self) -> StoreResult<T> {
        match self {
            Self::Unavailable => Err(StoreError::Unavailable("connection to db-7.internal refused".into())),
            Self::Other => {
                Err(anyhow::anyhow!("syntax error").context("reading with password hunter2").into())
            }
            Self::Panic => panic!("the store panics"),
            Self::Hang => std::future::pending().await,
        }
    }
}

macro_rules! failing {
    ($trait:ident: $($name:ident($($argument:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl $trait for Broken {
            $(
                async fn $name(&self, $(_: $argument),*) -> StoreResult<$answer> {
                    self.fail().await
                }
            )*
        }
    };
}

failing! {
    Runs:
    submit(&[Submission]) -> Vec<Submitted>;
    run(RunId) -> Option<Run>;
    spec(RunId) -> Option<String>;
    list(&RunFilter) -> Vec<Run>;
    results(RunId, &ResultFilter) -> Vec<StoredResult>;
    cancel(RunId) -> Option<Run>;
    retry(RunId) -> Option<Retried>;
    check() -> ();
}

failing! {
    Retention:
    delete(RunId) -> Option<Deletion>;
    purge(Duration, usize) -> usize;
}

failing! {
    Events:
    events(&[(RunId, u32)], usize) -> Vec<RunEvent>;
    feed(FeedPosition, usize) -> FeedPage;
    feed_end() -> FeedPosition;
    missing(&[RunId]) -> Vec<RunId>;
}

failing! {
    FinishedRuns:
    record_finished(&FinishedRun) -> ();
}

failing! {
    Outbox:
    claim_messages(&Room, Duration) -> Vec<ClaimedMessage>;
    settle_message(MessageLease, &Settlement) -> bool;
    next_message() -> Option<Duration>;
    messages(RunId, Option<(u32, u16)>, usize) -> Vec<Message>;
    redeliver(RunId, Option<&[MessageId]>) -> Vec<Message>;
}
