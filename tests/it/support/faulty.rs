//! A port that counts calls and fails, or is slow to answer, when a test wants it to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agentevals::ids::RunId;
use agentevals::outbox::{ClaimedMessage, Message, MessageId, MessageLease, Outbox, Room, Settlement};
use agentevals::queue::{Claimed, Held, Lease, PreparedRecord, Queue, Scan};
use agentevals::runs::{
    Events, Failure, FeedPage, FeedPosition, ResultFilter, Retried, Run, RunEvent, RunFilter, Runs,
    StoreError, StoreResult, StoredResult, Submitted,
};
use agentevals::spec::Submission;
use async_trait::async_trait;
use tokio::sync::Semaphore;

/// When a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Nothing is done.
    Before,
    /// It is done, and the answer is lost.
    After,
}

type Failing = Box<dyn FnMut(&Call<'_>, Moment) -> Option<StoreError> + Send>;

/// What is called.
pub(crate) struct Call<'a> {
    pub(crate) name: &'static str,
    pub(crate) records: &'a [PreparedRecord<'a>],
}

/// A port before a real one.
pub(crate) struct Faulty<P: ?Sized> {
    inner: Arc<P>,
    calls: Mutex<HashMap<&'static str, usize>>,
    fault: Mutex<Option<Failing>>,
    gates: Mutex<HashMap<&'static str, Arc<Semaphore>>>,
}

impl<P: ?Sized> Faulty<P> {
    /// No faults yet.
    pub(crate) fn before(inner: Arc<P>) -> Arc<Self> {
        let (calls, fault, gates) = (Mutex::default(), Mutex::default(), Mutex::default());
        Arc::new(Self { inner, calls, fault, gates })
    }

    /// How often this was called.
    pub(crate) fn calls(&self, name: &str) -> usize {
        self.calls.lock().unwrap().get(name).copied().unwrap_or(0)
    }

    /// From now on, calls fail as this says.
    pub(crate) fn fail(&self, fault: impl FnMut(&Call<'_>, Moment) -> Option<StoreError> + Send + 'static) {
        *self.fault.lock().unwrap() = Some(Box::new(fault));
    }

    /// From now on, this cannot be called.
    pub(crate) fn take_away(&self, names: &'static [&'static str]) {
        self.fail(move |call, _| names.contains(&call.name).then(away));
    }

    /// No call fails any more.
    pub(crate) fn heal(&self) {
        *self.fault.lock().unwrap() = None;
    }

    /// Answers to this wait for permits.
    pub(crate) fn hold(&self, name: &'static str) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        self.gates.lock().unwrap().insert(name, gate.clone());
        gate
    }

    fn enter(&self, call: &Call<'_>) -> StoreResult<()> {
        *self.calls.lock().unwrap().entry(call.name).or_default() += 1;
        self.check(call, Moment::Before)
    }

    async fn leave(&self, call: &Call<'_>) -> StoreResult<()> {
        let gate = self.gates.lock().unwrap().get(call.name).cloned();
        if let Some(gate) = gate {
            gate.acquire().await.unwrap().forget();
        }
        self.check(call, Moment::After)
    }

    fn check(&self, call: &Call<'_>, moment: Moment) -> StoreResult<()> {
        let failure = self.fault.lock().unwrap().as_mut().and_then(|fault| fault(call, moment));
        failure.map_or(Ok(()), Err)
    }
}

/// An outage.
pub(crate) fn away() -> StoreError {
    StoreError::Unavailable("it is away".to_owned())
}

macro_rules! pass_on {
    ($trait:ident { $($method:tt)* } $($name:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl $trait for Faulty<dyn $trait> {
            $($method)*

            $(
                async fn $name(&self, $($argument: $kind),*) -> StoreResult<$answer> {
                    let call = Call { name: stringify!($name), records: &[] };
                    self.enter(&call)?;
                    let answer = self.inner.$name($($argument),*).await?;
                    self.leave(&call).await.map(|()| answer)
                }
            )*
        }
    };
}

pass_on! {
    Queue {
        async fn record(&self, records: &[PreparedRecord<'_>]) -> StoreResult<Vec<bool>> {
            let call = Call { name: "record", records };
            self.enter(&call)?;
            let answer = self.inner.record(records).await?;
            self.leave(&call).await.map(|()| answer)
        }
    }
    claim(worker: &str, limit: usize, lease: Duration) -> Vec<Claimed>;
    heartbeat(leases: &[Lease], lease: Duration) -> Vec<Held>;
    requeue(lease: Lease, reason: &Failure, delay: Duration) -> bool;
    release(leases: &[Lease]) -> ();
    reap() -> usize;
    scan() -> Scan;
}

pass_on! {
    Runs {}
    submit(submissions: &[Submission]) -> Vec<Submitted>;
    run(id: RunId) -> Option<Run>;
    spec(id: RunId) -> Option<String>;
    list(filter: &RunFilter) -> Vec<Run>;
    results(id: RunId, filter: &ResultFilter) -> Vec<StoredResult>;
    cancel(id: RunId) -> Option<Run>;
    retry(id: RunId) -> Option<Retried>;
    check() -> ();
}

pass_on! {
    Events {}
    events(after: &[(RunId, u32)], limit: usize) -> Vec<RunEvent>;
    feed(after: FeedPosition, limit: usize) -> FeedPage;
    feed_end() -> FeedPosition;
    missing(runs: &[RunId]) -> Vec<RunId>;
}

pass_on! {
    Outbox {}
    claim_messages(room: &Room, margin: Duration) -> Vec<ClaimedMessage>;
    settle_message(lease: MessageLease, settlement: &Settlement) -> bool;
    next_message() -> Option<Duration>;
    messages(run: RunId, after: Option<(u32, u16)>, limit: usize) -> Vec<Message>;
    redeliver(run: RunId, named: Option<&[MessageId]>) -> Vec<Message>;
}
