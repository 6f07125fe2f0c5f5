//! The outbox: messages to the sinks of runs, stored in the transaction of the change that they report and sent
//! afterwards.
//!
//! Storage keeps the messages ([`Message`], port [`Outbox`]). A sink gets the messages of a run in the order of its
//! events: only the first pending one can be claimed, and those behind it wait with it. Messages are sent at least
//! once: a process claims a message under a lease, sends it, and settles it under that lease.
//!
//! [`dispatch()`] is the loop that claims, `settle` writes the fate of a message after a try, [`Sender`] makes one try,
//! `sinks` has the protocol of each kind of sink, `body` the JSON of messages. [`OutboxService`] lists messages and
//! queues them again.

mod body;
mod dispatch;
mod message;
mod port;
mod send;
mod sent;
mod service;
mod settle;
mod shared;
mod sinks;

pub use body::CANCELLED;
#[cfg(test)]
pub(crate) use body::MessageResult;
pub use dispatch::dispatch;
pub use message::{
    ClaimedMessage, InvalidMessageId, Message, MessageId, MessageLease, MessageState, NewMessage, Phase,
    Settlement,
};
pub use port::{Outbox, Room};
pub use send::Sender;
pub use service::OutboxService;
pub use shared::DispatchSettings;
