//! Storage: adapters of the ports [`Runs`], [`Queue`], [`Events`], [`Retention`], [`Outbox`] and [`FinishedRuns`], in
//! memory and over PostgreSQL.

pub mod memory;
pub mod postgres;

use crate::outbox::Outbox;
use crate::queue::Queue;
use crate::runs::{Events, Retention, Runs};
use crate::uploads::FinishedRuns;

/// All ports of one storage; each consumer gets only those that it needs.
pub trait Storage: Runs + Queue + Events + Retention + Outbox + FinishedRuns {}

impl<S: Runs + Queue + Events + Retention + Outbox + FinishedRuns> Storage for S {}
