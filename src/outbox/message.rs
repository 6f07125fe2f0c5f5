//! A message to a sink and its states.
//!
//! ```text
//! pending ──answered──▶ delivered
//!   ▲ │ └──refused, or out of tries──▶ dead
//!   │ └──failed for now──▶ pending, after a wait
//!   └──redeliver───────── delivered │ dead
//! ```

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::ids::{LeaseId, RunId};
use crate::spec::{SinkKind, StoredSink};

/// The kind of a message, by the phase of its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// New results of a run that goes on.
    Partial,
    /// The end of an evaluated run.
    Final,
    /// The end of a failed or cancelled run.
    Error,
}

impl Phase {
    /// The names in messages, answers and SQL.
    pub const NAMES: [(&'static str, Self); 3] =
        [("partial", Self::Partial), ("final", Self::Final), ("error", Self::Error)];
}

/// The state of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageState {
    /// Waits for its turn or for another try, or is being sent.
    Pending,
    /// The sink has it.
    Delivered,
    /// Undeliverable; kept, and can be queued again.
    Dead,
}

impl MessageState {
    /// The names in answers and in SQL.
    pub const NAMES: [(&'static str, Self); 3] =
        [("pending", Self::Pending), ("delivered", Self::Delivered), ("dead", Self::Dead)];
}

/// Id of a message to one sink; the same over all tries, so that receivers can recognise duplicates.
///
/// As text it is `RUN-EVENT-SINK`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId {
    /// The run.
    pub run: RunId,
    /// Number of the event that it reports, within the run.
    pub event: u32,
    /// Index of the sink in the specification, from 0.
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
        // Each id has one spelling: no leading zeros, no upper case.
        id.filter(|id| id.to_string() == text).ok_or(InvalidMessageId)
    }
}

/// A message to a sink in its current state, without its body.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// Kind of the sink.
    pub kind: SinkKind,
    /// Destination of the sink; of a URL only scheme, host and port.
    pub destination: String,
    /// Its kind.
    pub phase: Phase,
    /// Its state.
    pub state: MessageState,
    /// Tries since it was last queued.
    pub tries: u32,
    /// Time of the next try, if the message waits for one.
    pub next_try_at: Option<DateTime<Utc>>,
    /// HTTP status of the last answer.
    pub last_status: Option<u16>,
    /// Why the last try failed.
    pub last_error: Option<String>,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// When it was delivered or given up.
    pub settled_at: Option<DateTime<Utc>>,
}

/// The lease under which a process sends a message; every write names it.
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
    /// Number of this try, from 1.
    pub try_number: u32,
    /// The sink.
    pub sink: StoredSink,
    /// Its kind.
    pub phase: Phase,
    /// Its JSON, as webhooks get it.
    pub body: String,
}

/// The fate of a message after one try to send it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// The sink has it.
    Delivered {
        /// HTTP status of the answer.
        status: Option<u16>,
    },
    /// The try failed for now; later messages to the sink wait with this one.
    Again {
        /// Wait before the next try.
        after: Duration,
        /// HTTP status of the answer.
        status: Option<u16>,
        /// Why.
        error: String,
    },
    /// The sink refused the message; later messages to the sink go on.
    Dead {
        /// HTTP status of the answer.
        status: Option<u16>,
        /// Why.
        error: String,
    },
    /// The message is out of tries. The messages that wait behind it become dead with it, since each would be tried for
    /// as long again.
    GivenUp {
        /// HTTP status of the answer.
        status: Option<u16>,
        /// Why.
        error: String,
    },
    /// The try was interrupted; the message is due at once, and the try does not count.
    GivenBack,
}

/// A message to every sink of a run, written in the transaction of the change that it reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// Number of the event that it reports, among those of the record, from 1.
    pub number: u32,
    /// Its kind.
    pub phase: Phase,
    /// Its JSON.
    pub body: String,
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
