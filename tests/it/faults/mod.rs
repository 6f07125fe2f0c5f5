//! Faults: real processes that are killed, stopped, frozen and cut off, over a real database that goes away.
//!
//! Jobs are held by an evaluator that waits for a file (`work`), so that nothing here sleeps for luck. What came of it
//! is read from the tables (`truth`).

mod access;
mod cancelling;
mod crashes;
mod messages;
mod network;
mod restarts;
mod secrets;
mod starting;
mod stopping;
mod storm;
mod truth;
mod work;
mod workers;

use crate::support::eventually;

/// Leases that end soon.
const SHORT_LEASE: [&str; 4] = ["--lease-s", "2", "--heartbeat-s", "1"];

/// Leases and intervals that do not end during a test: what happens then happens because of a hint.
const LONG_LEASE: [&str; 6] = ["--lease-s", "600", "--heartbeat-s", "300", "--worker-poll-interval-s", "300"];
