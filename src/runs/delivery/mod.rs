//! Delivers messages to sinks: claims what is due, makes attempts, writes what became of them.
//!
//! The outbox decides what may be sent next; this decides how much at a time, and when something that failed is tried
//! again. Evaluation never waits for it. Any number of processes can do this over one database.

mod attempt;

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::hints::{Hint, HintReceiver, Hints};
use super::model::{ClaimedDelivery, DeliveryLease, Settlement};
use super::outbox::Room;
use super::sinks::Courier;
use super::store::{RunStore, StoreError};
use super::worker::Stop;

/// How a process delivers.
#[derive(Debug, Clone)]
pub struct DeliverySettings {
    /// What a claim holds beyond the timeout of its sink: for looking up credentials and for writing the outcome.
    pub margin: Duration,
    /// How often the outbox is looked at although no hint came.
    pub poll: Duration,
    /// How long attempts may go on after a stop was asked for.
    pub grace: Duration,
    /// Wait before the second attempt; three times as long with each further one.
    pub first_pause: Duration,
}

impl DeliverySettings {
    /// Wait before the second attempt unless a test wants another: a receiver that is being restarted is soon back.
    pub const FIRST_PAUSE: Duration = Duration::from_secs(1);
}

/// Messages on the way at a time.
const TOTAL: usize = 32;

/// Of which so many to one destination, so that one that is slow leaves room for others.
const PER_DESTINATION: usize = 8;

/// Waits between attempts to reach storage that cannot be reached.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// How long giving back may take at the end.
const GIVING_BACK: Duration = Duration::from_secs(5);

/// What the attempts share.
struct Shared {
    store: Arc<dyn RunStore>,
    courier: Courier,
    settings: DeliverySettings,
    /// Messages on the way, with their destinations.
    on_the_way: Mutex<Vec<(DeliveryLease, String)>>,
}

impl Shared {
    fn on_the_way(&self) -> MutexGuard<'_, Vec<(DeliveryLease, String)>> {
        // Single insertions and removals leave the list whole.
        self.on_the_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn room(&self) -> Room {
        let on_the_way = self.on_the_way();
        let mut left: HashMap<String, usize> = HashMap::new();
        for (_, destination) in &*on_the_way {
            let left = left.entry(destination.clone()).or_insert(PER_DESTINATION);
            *left = left.saturating_sub(1);
        }
        Room { total: TOTAL.saturating_sub(on_the_way.len()), per_destination: PER_DESTINATION, left }
    }
}

/// Delivers until told to stop. Then what is due goes on being delivered, within the grace period, until `is_over`:
/// nothing more will be written here. What is on the way after that is given back.
pub async fn deliver(
    store: Arc<dyn RunStore>,
    hints: &Hints,
    courier: Courier,
    settings: DeliverySettings,
    stop: Stop,
    is_over: CancellationToken,
) {
    let grace = settings.grace;
    let shared = Arc::new(Shared { store, courier, settings, on_the_way: Mutex::default() });
    let deliverer = Deliverer {
        shared: &shared,
        hints: hints.subscribe(),
        attempts: JoinSet::new(),
        may_be_due: true,
        look_at: Instant::now(),
        pause: FIRST_PAUSE,
        is_storage_away: false,
    };
    tokio::select! {
        () = deliverer.run(&is_over) => {}
        () = deadline(&stop, grace) => {}
    }
    give_back(&shared).await;
}

async fn deadline(stop: &Stop, grace: Duration) {
    stop.soon.cancelled().await;
    tokio::select! {
        () = tokio::time::sleep(grace) => {}
        () = stop.now.cancelled() => {}
    }
}

/// Gives back what was interrupted; claims that were lost with their answer end by themselves.
async fn give_back(shared: &Shared) {
    let left = std::mem::take(&mut *shared.on_the_way());
    if left.is_empty() {
        return;
    }
    let giving_back = async {
        for (lease, _) in &left {
            shared.store.settle_delivery(*lease, &Settlement::GivenBack).await?;
        }
        Ok::<_, StoreError>(())
    };
    match tokio::time::timeout(GIVING_BACK, giving_back).await {
        Ok(Ok(())) => info!("gave back {} messages to sinks that were on the way", left.len()),
        Ok(Err(error)) => warn!("messages to sinks could not be given back; their claims will end: {error}"),
        Err(_) => warn!("messages to sinks could not be given back in time; their claims will end"),
    }
}

struct Deliverer<'a> {
    shared: &'a Arc<Shared>,
    /// Registered before the first look, so that nothing falls between.
    hints: HintReceiver,
    /// Dropping it ends the attempts.
    attempts: JoinSet<()>,
    /// Whether a claim may find something.
    may_be_due: bool,
    /// When to look although nothing was heard.
    look_at: Instant,
    pause: Duration,
    is_storage_away: bool,
}

impl Deliverer<'_> {
    async fn run(mut self, is_over: &CancellationToken) {
        loop {
            let looked = self.look().await;
            let is_idle = self.attempts.is_empty() && !self.may_be_due;
            if is_over.is_cancelled() && (is_idle || looked.is_err()) {
                return;
            }
            self.note_outcome(looked).await;
            if !self.may_be_due || self.shared.room().total == 0 {
                self.wait(is_over).await;
            }
        }
    }

    /// Claims as much as there is room for.
    async fn look(&mut self) -> Result<(), StoreError> {
        let (shared, room) = (self.shared, self.shared.room());
        if self.look_at <= Instant::now() {
            self.may_be_due = true;
        }
        if !self.may_be_due || room.total == 0 {
            return Ok(());
        }
        let claimed = shared.store.claim_deliveries(&room, shared.settings.margin).await?;
        // When there was room for more, what is left is not due, or its destination takes no more for now.
        self.may_be_due = claimed.len() == room.total;
        claimed.into_iter().for_each(|claimed| self.start(claimed));
        if !self.may_be_due {
            // Jitter keeps processes that started together from looking together.
            let poll = shared.settings.poll.mul_f64(0.8 + fastrand::f64() * 0.4);
            let next = shared.store.next_delivery().await?;
            // A moment later than due, because it is due only after that instant.
            let next = next.map_or(poll, |next| next + Duration::from_millis(5));
            self.look_at = Instant::now() + next.min(poll);
        }
        Ok(())
    }

    fn start(&mut self, claimed: ClaimedDelivery) {
        let entry = (claimed.lease, claimed.sink.destination.clone());
        self.shared.on_the_way().push(entry);
        let shared = self.shared.clone();
        self.attempts.spawn(async move {
            let lease = claimed.lease;
            attempt::make(&shared, claimed).await;
            shared.on_the_way().retain(|(other, _)| *other != lease);
        });
    }

    /// Waits until another look is worth it.
    async fn wait(&mut self, is_over: &CancellationToken) {
        let was_over = is_over.is_cancelled();
        tokio::select! {
            hint = self.hints.next() => self.note(&hint),
            // What was in line behind it can go, and there is room.
            Some(_) = self.attempts.join_next() => self.may_be_due = true,
            () = tokio::time::sleep_until(self.look_at) => {}
            // Once more for what was written last.
            () = is_over.cancelled(), if !was_over => self.may_be_due = true,
        }
        while let Some(hint) = self.hints.next().now_or_never() {
            self.note(&hint);
        }
        while self.attempts.try_join_next().is_some() {
            self.may_be_due = true;
        }
    }

    fn note(&mut self, hint: &Hint) {
        match hint {
            Hint::Deliveries | Hint::All => self.may_be_due = true,
            Hint::Due(_) | Hint::Events(_) | Hint::Cancel(_) => {}
        }
    }

    /// Logs an outage once and its end once; waits longer each time.
    async fn note_outcome(&mut self, outcome: Result<(), StoreError>) {
        let Err(error) = outcome else {
            if std::mem::take(&mut self.is_storage_away) {
                info!("storage is back; delivering to sinks again");
            }
            self.pause = FIRST_PAUSE;
            return;
        };
        if !std::mem::replace(&mut self.is_storage_away, true) {
            warn!("messages to sinks cannot be claimed; trying again: {error}");
        }
        self.may_be_due = true;
        tokio::time::sleep(self.pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        self.pause = (self.pause * 2).min(MAX_PAUSE);
    }
}

/// Repeats a write for as long as storage cannot be reached, at most for `patience`.
async fn write_persistently<F: Future<Output = Result<bool, StoreError>>>(
    patience: Duration,
    mut write: impl FnMut() -> F,
) -> Result<bool, StoreError> {
    let end = Instant::now() + patience;
    let mut pause = FIRST_PAUSE;
    loop {
        match write().await {
            Err(StoreError::Unavailable(_)) if Instant::now() + pause < end => {}
            written => return written,
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(MAX_PAUSE);
    }
}
