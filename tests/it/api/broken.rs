//! A store that never does what it is asked.

use std::sync::Arc;
use std::time::Duration;

use agentevals::api::ApiSettings;
use agentevals::ids::RunId;
use agentevals::runs::hints::Hints;
use agentevals::runs::model::{
    Claimed, Failure, Lease, NewRun, Record, Run, RunEvent, StoredResult, Submitted,
};
use agentevals::runs::store::{
    Deletion, FeedPage, FeedPosition, Held, Result, ResultFilter, Retried, RunFilter, RunStore, Scan,
    StoreError,
};
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
        Api::over(Arc::new(self), &Hints::default(), ApiSettings::default())
    }

    async fn fail<T>(self) -> Result<T> {
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
    ($($name:ident($($argument:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl RunStore for Broken {
            $(
                async fn $name(&self, $(_: $argument),*) -> Result<$answer> {
                    self.fail().await
                }
            )*
        }
    };
}

failing! {
    submit(&[NewRun]) -> Vec<Submitted>;
    run(RunId) -> Option<Run>;
    spec(RunId) -> Option<String>;
    list(&RunFilter) -> Vec<Run>;
    results(RunId, &ResultFilter) -> Vec<StoredResult>;
    cancel(RunId) -> Option<Run>;
    retry(RunId) -> Option<Retried>;
    delete(RunId) -> Option<Deletion>;
    purge(Duration, usize) -> usize;
    missing(&[RunId]) -> Vec<RunId>;
    claim(&str, usize, Duration) -> Vec<Claimed>;
    heartbeat(&[Lease], Duration) -> Vec<Held>;
    record(&[Record]) -> Vec<bool>;
    requeue(Lease, &Failure, Duration) -> bool;
    release(&[Lease]) -> ();
    settle() -> usize;
    scan() -> Scan;
    events(&[(RunId, u32)], usize) -> Vec<RunEvent>;
    feed(FeedPosition, usize) -> FeedPage;
    feed_end() -> FeedPosition;
    check() -> ();
}
