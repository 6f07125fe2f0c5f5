//! HTTP calls to addresses that users name, guarded against server-side request forgery (SSRF).
//!
//! [`OutboundRules`] say which addresses may be called: public ones, and others that an operator allows.
//! [`Outbound`] makes the calls. It checks the addresses of a host name at the moment of connecting, so that the name
//! cannot resolve to another address between check and use; it follows redirects itself and checks each; and it limits
//! time and size. Every call to a URL from a specification goes through it.

mod address;
mod call;
mod client;
mod rules;

pub use call::{Answer, Call, CallError};
pub use client::Outbound;
pub use rules::{OutboundRules, Refusal};

/// Longest URL that a specification may have, since URLs are stored and repeated in messages.
pub const MAX_URL_BYTES: usize = 4 << 10;
