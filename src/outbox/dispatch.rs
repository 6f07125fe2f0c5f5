//! The loop of a process that sends messages: claims due ones, within its room, and starts a try for each.
//!
//! The port decides which message may be sent next; this decides how many at a time. Evaluation never waits for it.
//! Any number of processes can do this over one database.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::message::{ClaimedMessage, Settlement};
use super::port::Outbox;
use super::send::Sender;
use super::settle::send_and_settle;
use super::shared::{DispatchSettings, Shared};
use crate::pace::{Pace, about};
use crate::runs::{Hint, HintReceiver, Hints, StoreError};
use crate::shutdown::Stop;

/// Pauses between attempts to reach storage that cannot be reached.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// How long giving back may take at the end.
const GIVING_BACK: Duration = Duration::from_secs(5);

/// Delivers until told to stop. Then what is due goes on being delivered, within the grace period, until `is_over`:
/// nothing more will be written here. What is on the way after that is given back.
pub async fn dispatch(
    outbox: Arc<dyn Outbox>,
    hints: &Hints,
    sender: Sender,
    settings: DispatchSettings,
    stop: Stop,
    is_over: CancellationToken,
) {
    let grace = settings.grace;
    let shared = Arc::new(Shared::new(outbox, sender, settings));
    let dispatcher = Dispatcher {
        shared: &shared,
        hints: hints.subscribe(),
        tries: JoinSet::new(),
        may_be_due: true,
        look_at: Instant::now(),
        pace: Pace::new(FIRST_PAUSE, MAX_PAUSE),
    };
    tokio::select! {
        () = dispatcher.run(&is_over) => {}
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
            shared.outbox.settle_message(*lease, &Settlement::GivenBack).await?;
        }
        Ok::<_, StoreError>(())
    };
    match tokio::time::timeout(GIVING_BACK, giving_back).await {
        Ok(Ok(())) => info!("gave back {} messages to sinks that were on the way", left.len()),
        Ok(Err(error)) => warn!("messages to sinks could not be given back; their claims will end: {error}"),
        Err(_) => warn!("messages to sinks could not be given back in time; their claims will end"),
    }
}

struct Dispatcher<'a> {
    shared: &'a Arc<Shared>,
    /// Registered before the first look, so that nothing falls between.
    hints: HintReceiver,
    /// Dropping it ends the tries.
    tries: JoinSet<()>,
    /// Whether a claim may find something.
    may_be_due: bool,
    /// When to look although nothing was heard.
    look_at: Instant,
    pace: Pace,
}

impl Dispatcher<'_> {
    async fn run(mut self, is_over: &CancellationToken) {
        loop {
            let looked = self.look().await;
            let is_idle = self.tries.is_empty() && !self.may_be_due;
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
        let claimed = shared.outbox.claim_messages(&room, shared.settings.margin).await?;
        // When there was room for more, what is left is not due, or its destination takes no more for now.
        self.may_be_due = claimed.len() == room.total;
        claimed.into_iter().for_each(|claimed| self.start(claimed));
        if !self.may_be_due {
            let poll = about(shared.settings.poll);
            let next = shared.outbox.next_message().await?;
            // A moment later than due, because it is due only after that instant.
            let next = next.map_or(poll, |next| next + Duration::from_millis(5));
            self.look_at = Instant::now() + next.min(poll);
        }
        Ok(())
    }

    fn start(&mut self, claimed: ClaimedMessage) {
        let entry = (claimed.lease, claimed.sink.destination.clone());
        self.shared.on_the_way().push(entry);
        let shared = self.shared.clone();
        self.tries.spawn(async move {
            let lease = claimed.lease;
            send_and_settle(&shared, claimed).await;
            shared.on_the_way().retain(|(other, _)| *other != lease);
        });
    }

    /// Waits until another look is worth it.
    async fn wait(&mut self, is_over: &CancellationToken) {
        let was_over = is_over.is_cancelled();
        tokio::select! {
            hint = self.hints.next() => self.note(&hint),
            // What was in line behind it can go, and there is room.
            Some(_) = self.tries.join_next() => self.may_be_due = true,
            () = tokio::time::sleep_until(self.look_at) => {}
            // Once more for what was written last.
            () = is_over.cancelled(), if !was_over => self.may_be_due = true,
        }
        while let Some(hint) = self.hints.next().now_or_never() {
            self.note(&hint);
        }
        while self.tries.try_join_next().is_some() {
            self.may_be_due = true;
        }
    }

    fn note(&mut self, hint: &Hint) {
        match hint {
            Hint::Messages | Hint::All => self.may_be_due = true,
            Hint::Due(_) | Hint::Events(_) | Hint::Cancel(_) => {}
        }
    }

    /// Logs an outage once and its end once; waits longer each time.
    async fn note_outcome(&mut self, outcome: Result<(), StoreError>) {
        let Err(error) = outcome else {
            if self.pace.succeeded() {
                info!("storage is back; sending messages to sinks again");
            }
            return;
        };
        if self.pace.failed() {
            warn!("messages to sinks cannot be claimed; trying again: {error}");
        }
        self.may_be_due = true;
        tokio::time::sleep(self.pace.pause()).await;
    }
}
