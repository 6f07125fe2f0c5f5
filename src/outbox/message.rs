//! A message to a sink and its states.
//!
//! ```text
//! pending ──answered──▶ delivered
//!   ▲ │ └──refused, or out of attempts──▶ dead
//!   │ └──failed for now──▶ pending, after a wait
//!   └──redeliver───────── delivered │ dead
//! ```

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::ids::{LeaseId, RunId};
use crate::spec::{SinkKind, StoredSink};

/// What a message tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Results of a run that goes on.
    Partial,
    /// The end of a run that was evaluated.
    Final,
    /// The end of a run that failed or was cancelled.
    Error,
}

impl Phase {
    /// The names used in messages, answers and SQL.
    pub const NAMES: [(&'static str, Self); 3] =
        [("partial", Self::Partial), ("final", Self::Final), ("error", Self::Error)];
}

/// Where a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageState {
    /// Waits for its turn, for another attempt, or for an answer.
    Pending,
    /// The sink has it.
    Delivered,
    /// Given up; it is kept and can be sent again.
    Dead,
}

impl MessageState {
    /// The names used in answers and in SQL.
    pub const NAMES: [(&'static str, Self); 3] =
        [("pending", Self::Pending), ("delivered", Self::Delivered), ("dead", Self::Dead)];
}

/// Names one message to one sink; the same over all attempts, so that a receiver knows what it has seen.
///
/// As text it is `RUN-EVENT-SINK`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId {
    /// The run.
    pub run: RunId,
    /// Number of the event that it tells of, within the run.
    pub event: u32,
    /// Place of the sink in the specification, from 0.
    pub sink: u16,
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.run, self.event, self.sink)
    }
}

/// A text that is no [`MessageId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no id of a delivery; expected one that `deliveries` of the run lists")]
pub struct InvalidMessageId;

impl FromStr for MessageId {
    type Err = InvalidMessageId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.rsplitn(3, '-');
        let (sink, event, run) = (parts.next(), parts.next(), parts.next());
        let id = (|| {
            Some(Self { run: run?.parse().ok()?, event: event?.parse().ok()?, sink: sink?.parse().ok()? })
        })();
        // One spelling for each.
        id.filter(|id| id.to_string() == text).ok_or(InvalidMessageId)
    }
}

/// A message to a sink as it stands, without what it says.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// What the sink is.
    pub kind: SinkKind,
    /// Where the sink leads.
    pub destination: String,
    /// What it tells of.
    pub phase: Phase,
    /// Where it stands.
    pub state: MessageState,
    /// How often it was tried, since it was last queued.
    pub attempts: u32,
    /// When it is tried again, if it waits for that.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// HTTP status of the last answer.
    pub last_status: Option<u16>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// When it was delivered or given up.
    pub settled_at: Option<DateTime<Utc>>,
}

/// The lease on a message that a process is sending; every write names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageLease {
    /// The message.
    pub message: MessageId,
    /// Random; each claim makes a new one.
    pub id: LeaseId,
}

/// A message that has just been claimed.
#[derive(Debug, Clone)]
pub struct ClaimedMessage {
    /// The lease.
    pub lease: MessageLease,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// The sink.
    pub sink: StoredSink,
    /// What it tells of.
    pub phase: Phase,
    /// What it says: the body of a webhook.
    pub payload: String,
}

/// The fate of a message after one try to send it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// The sink has it.
    Delivered {
        /// HTTP status of the answer.
        status: Option<u16>,
    },
    /// It failed for now; later messages to the sink wait with it.
    Again {
        /// How long until the next attempt.
        after: Duration,
        /// HTTP status of the answer.
        status: Option<u16>,
        /// Why.
        error: String,
    },
    /// It is refused; later messages to the sink go on.
    Dead {
        /// HTTP status of the answer.
        status: Option<u16>,
        /// Why.
        error: String,
    },
    /// The sink is given up after many attempts; so are the later messages that wait for this one, since each would be
    /// tried as long again.
    GivenUp {
        /// HTTP status of the answer.
        status: Option<u16>,
        /// Why.
        error: String,
    },
    /// It was not tried to the end; due at once, and the attempt does not count.
    GivenBack,
}

/// A message to every sink of a run, to be written together with the change that it tells of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// Number of the event that it tells of, among those of the record, from 1.
    pub number: u32,
    /// What it tells of.
    pub phase: Phase,
    /// What it says, as JSON.
    pub payload: String,
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn ids_survive_the_way_through_text() {
        let id = MessageId { run: RunId(Uuid::from_u128(7)), event: 12, sink: 3 };
        assert_eq!(id.to_string(), "00000000-0000-0000-0000-000000000007-12-3");
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in ["", "1-2", "00000000-0000-0000-0000-000000000007-12", "x-1-2"] {
            assert_eq!(text.parse::<MessageId>(), Err(InvalidMessageId), "{text}");
        }
        let padded = "00000000-0000-0000-0000-000000000007-012-3";
        assert_eq!(padded.parse::<MessageId>(), Err(InvalidMessageId));
    }
}
