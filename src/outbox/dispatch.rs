//! The loop that sends messages: claims due ones, as many as there is room for, and starts a try for each.
//!
//! Storage decides which messages are due and in which order; the loop limits how many are sent at a time, in all and
//! to each destination. Any number of processes can send over one database, and evaluations never wait for them.

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

/// Pauses between claims while storage is unavailable.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// Longest wait for messages to be given back at the end.
const GIVING_BACK: Duration = Duration::from_secs(5);

/// Sends messages until told to stop, then goes on within the grace period: until `is_over`, which says that this
/// process writes no more messages, and until the due ones are sent. Messages that are still on the way after the grace
/// period are given back.
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
        () = end_of_grace(&stop, grace) => {}
    }
    give_back(&shared).await;
}

/// Returns when the grace period after a stop is over.
async fn end_of_grace(stop: &Stop, grace: Duration) {
    stop.soon.cancelled().await;
    tokio::select! {
        () = tokio::time::sleep(grace) => {}
        () = stop.now.cancelled() => {}
    }
}

/// Gives back the messages on the way. A claim whose answer was lost is not among them; its lease ends by itself.
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
        Ok(Err(error)) => warn!("messages to sinks could not be given back; their leases will end: {error}"),
        Err(_) => warn!("messages to sinks could not be given back in time; their leases will end"),
    }
}

struct Dispatcher<'a> {
    shared: &'a Arc<Shared>,
    /// Subscribed before the first look, so that no message is missed.
    hints: HintReceiver,
    /// Dropping it stops the tries.
    tries: JoinSet<()>,
    /// Whether a claim may find something.
    may_be_due: bool,
    /// When to look although no hint came.
    look_at: Instant,
    pace: Pace,
}

impl Dispatcher<'_> {
    async fn run(mut self, is_over: &CancellationToken) {
        let mut was_over = false;
        loop {
            // Messages may have been written after the look before; one that begins after the end finds the last.
            let ends = is_over.is_cancelled() && !was_over;
            self.may_be_due |= ends;
            was_over |= ends;
            let looked = self.look().await;
            let is_idle = self.tries.is_empty() && !self.may_be_due;
            if was_over && (is_idle || looked.is_err()) {
                return;
            }
            self.back_off(looked).await;
            if !self.may_be_due || self.shared.room().total == 0 {
                self.wait(is_over, was_over).await;
            }
        }
    }

    /// Claims as many due messages as there is room for.
    async fn look(&mut self) -> Result<(), StoreError> {
        let (shared, room) = (self.shared, self.shared.room());
        if self.look_at <= Instant::now() {
            self.may_be_due = true;
        }
        if !self.may_be_due || room.total == 0 {
            return Ok(());
        }
        let claimed = shared.outbox.claim_messages(&room, shared.settings.margin).await?;
        // With room to spare, the other messages are not due, or their destinations have no room.
        self.may_be_due = claimed.len() == room.total;
        claimed.into_iter().for_each(|claimed| self.start(claimed));
        if !self.may_be_due {
            let poll = about(shared.settings.poll);
            let next = shared.outbox.next_message().await?;
            // A moment later: `due_at < now()` is false at the very instant.
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
    async fn wait(&mut self, is_over: &CancellationToken, was_over: bool) {
        tokio::select! {
            hint = self.hints.next() => self.note(&hint),
            // There is room, and the message behind it in line can be claimed.
            Some(_) = self.tries.join_next() => self.may_be_due = true,
            () = tokio::time::sleep_until(self.look_at) => {}
            () = is_over.cancelled(), if !was_over => {}
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

    /// Pauses after a failed look, longer each time; logs an outage once and its end once.
    async fn back_off(&mut self, looked: Result<(), StoreError>) {
        let Err(error) = looked else {
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
