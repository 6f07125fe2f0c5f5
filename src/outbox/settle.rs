//! Sends a claimed message and settles it: writes its fate after the try.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use super::message::{ClaimedMessage, Settlement};
use super::sent::{SendError, Sent};
use super::shared::Shared;
use crate::pace::{Pace, about};
use crate::runs::{StoreError, StoreResult};

/// Longest wait between tries. With a first wait of a second, twelve tries take six to seven hours.
const MAX_WAIT: Duration = Duration::from_secs(2 * 3600);

/// Pauses between writes of a message's fate while storage is unavailable.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// Sends a message and writes its fate.
pub(super) async fn send_and_settle(shared: &Shared, claimed: ClaimedMessage) {
    let sent = send(shared, &claimed).await;
    let settlement = settlement(sent, claimed.try_number, shared.settings.first_pause);
    // The second half of the margin, after which the lease ends and another process may send the message.
    let patience = shared.settings.margin / 2;
    match settle(shared, &claimed, &settlement, patience).await {
        Ok(true) => log(&claimed, &settlement),
        Ok(false) => {
            let id = claimed.lease.message;
            debug!(run.id = %id.run, "the lease on message `{id}` is not held any more");
        }
        Err(error) => {
            let id = claimed.lease.message;
            warn!(run.id = %id.run, "the fate of message `{id}` could not be written; it is sent again: {error}");
        }
    }
}

/// Writes the fate of a message, again and again while storage is unavailable, at most for `patience`.
async fn settle(
    shared: &Shared,
    claimed: &ClaimedMessage,
    settlement: &Settlement,
    patience: Duration,
) -> StoreResult<bool> {
    let end = Instant::now() + patience;
    let mut pace = Pace::new(FIRST_PAUSE, MAX_PAUSE);
    loop {
        let written = shared.outbox.settle_message(claimed.lease, settlement).await;
        let pause = pace.pause();
        match written {
            Err(StoreError::Unavailable(_)) if Instant::now() + pause < end => {}
            written => return written,
        }
        tokio::time::sleep(pause).await;
    }
}

/// Tries once, within the part of the lease that is meant for it.
async fn send(shared: &Shared, claimed: &ClaimedMessage) -> Result<Sent, SendError> {
    let limit = claimed.sink.timeout + shared.settings.margin / 2;
    let sending = AssertUnwindSafe(shared.sender.send(claimed, limit)).catch_unwind();
    sending.await.unwrap_or_else(|_| {
        // The panic hook has logged the place and the text.
        error!("sending message `{}` panicked", claimed.lease.message);
        Err(SendError::new("internal error; see the server's log"))
    })
}

/// The fate of a message after try `number`, from 1.
fn settlement(sent: Result<Sent, SendError>, number: u32, first_pause: Duration) -> Settlement {
    let SendError { status, text, is_transient, retry_after, max_tries } = match sent {
        Ok(Sent { status }) => return Settlement::Delivered { status },
        Err(failed) => failed,
    };
    if !is_transient {
        return Settlement::Dead { status, error: text };
    }
    if number >= max_tries {
        return Settlement::GivenUp { status, error: format!("given up after {number} attempts: {text}") };
    }
    let after = wait(number, first_pause).max(retry_after.unwrap_or_default()).min(MAX_WAIT);
    Settlement::Again { after, status, error: text }
}

/// Wait after try `number` failed: three times the wait before, give or take a fifth, so that messages that failed
/// together do not come back together.
fn wait(number: u32, first_pause: Duration) -> Duration {
    let tripled = first_pause.saturating_mul(3_u32.saturating_pow(number.saturating_sub(1)));
    about(tripled.min(MAX_WAIT))
}

/// Logs the first failure of a message and how it ended; the tries in between only at debug level.
fn log(claimed: &ClaimedMessage, settlement: &Settlement) {
    let (id, number) = (claimed.lease.message, claimed.try_number);
    let destination = &claimed.sink.destination;
    match settlement {
        Settlement::Delivered { .. } if number > 1 => {
            info!(run.id = %id.run, "message `{id}` was delivered to {destination} at attempt {number}");
        }
        Settlement::Delivered { .. } => {
            debug!(run.id = %id.run, "message `{id}` was delivered to {destination}");
        }
        Settlement::Again { error, .. } if number == 1 => {
            info!(run.id = %id.run, "message `{id}` could not be delivered to {destination}, trying again: {error}");
        }
        Settlement::Again { error, after, .. } => {
            let seconds = after.as_secs_f64();
            debug!(
                run.id = %id.run,
                "message `{id}` failed at attempt {number} and is tried again in {seconds:.1} s: {error}"
            );
        }
        Settlement::Dead { error, .. } | Settlement::GivenUp { error, .. } => {
            warn!(
                run.id = %id.run,
                "message `{id}` to {destination} is given up; POST /api/runs/{}/redeliver sends it again: {error}",
                id.run
            );
        }
        Settlement::GivenBack => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(is_transient: bool, retry_after: Option<u64>) -> Result<Sent, SendError> {
        let retry_after = retry_after.map(Duration::from_secs);
        Err(SendError { is_transient, retry_after, max_tries: 12, ..SendError::new("why") })
    }

    fn after(number: u32, retry_after: Option<u64>) -> Duration {
        match settlement(failed(true, retry_after), number, Duration::from_secs(1)) {
            Settlement::Again { after, .. } => after,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn waits_grow_up_to_a_limit_and_take_hours_in_all() {
        for (attempt, seconds) in [(1, 1.0), (2, 3.0), (3, 9.0), (8, 2187.0), (9, 6561.0), (11, 7200.0)] {
            let wait = after(attempt, None).as_secs_f64();
            assert!((seconds * 0.8..=seconds * 1.2).contains(&wait), "{attempt}: {wait}");
            assert!(wait <= 7200.0);
        }
        let hours = (1..12).map(|attempt| after(attempt, None)).sum::<Duration>().as_secs_f64() / 3600.0;
        assert!((5.0..8.0).contains(&hours), "{hours}");
    }

    #[test]
    fn a_receiver_that_names_a_time_is_left_alone_until_then() {
        assert_eq!(after(1, Some(600)), Duration::from_secs(600));
        assert!(after(5, Some(2)) > Duration::from_secs(60));
        assert_eq!(after(1, Some(100_000)), MAX_WAIT);
    }

    #[test]
    fn what_will_not_be_different_and_what_was_tried_often_is_given_up() {
        let settled = |sent, number| settlement(sent, number, Duration::from_secs(1));
        assert_eq!(settled(Ok(Sent { status: Some(204) }), 1), Settlement::Delivered { status: Some(204) });
        let dead = Settlement::Dead { status: None, error: "why".to_owned() };
        assert_eq!(settled(failed(false, Some(1)), 1), dead);
        let error = "given up after 12 attempts: why".to_owned();
        assert_eq!(settled(failed(true, None), 12), Settlement::GivenUp { status: None, error });
    }
}
