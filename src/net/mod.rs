//! HTTP calls to addresses that a request names, guarded so that nobody is reached who was not meant.
//!
//! [`OutboundRules`] say which addresses may be called: public ones, and what an operator allows besides.
//! [`Outbound`] makes the calls. It looks at the addresses that a name leads to at the moment of connecting, so that
//! a name cannot lead elsewhere between check and use; it follows redirects by hand and checks each; and it limits
//! time and size. Whoever handles what others wrote into a specification calls out through it and no other way.

mod address;
mod call;
mod client;
mod rules;

pub use call::{Answer, Call, CallError};
pub use client::Outbound;
pub use rules::{OutboundRules, Refusal};

/// Longest URL that a request may name: what is longer is no address, and is repeated in texts.
pub const MAX_URL_BYTES: usize = 4 << 10;
