//! The outbox: messages to the sinks of runs, written together with the change that they tell of and sent afterwards.
//!
//! Storage keeps the messages ([`Message`], port [`Outbox`]). Those of a run to one sink are sent in the order of its
//! events: only the first that is neither delivered nor given up can be claimed, and those behind it wait as long as
//! it does. Delivery is at least once; a process holds a message under a lease and writes the message's fate under it.
//! [`dispatch()`] is the loop that sends, [`Sender`] one try, `payload` what messages say. [`OutboxService`] lists
//! messages, and sends them again.

mod dispatch;
mod message;
mod payload;
mod port;
mod send;
mod sent;
mod service;
mod settle;
mod shared;
mod sinks;

pub use dispatch::dispatch;
pub use message::{
    ClaimedMessage, InvalidMessageId, Message, MessageId, MessageLease, MessageState, NewMessage, Phase,
    Settlement,
};
pub use payload::CANCELLED;
#[cfg(test)]
pub(crate) use payload::ResultPayload;
pub use port::{Outbox, Room};
pub use send::Sender;
pub use service::OutboxService;
pub use shared::DispatchSettings;
