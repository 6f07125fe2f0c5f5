//! Where everything is kept: adapters of the ports [`Runs`], [`Queue`], [`Events`], [`Retention`], [`Outbox`] and
//! [`FinishedRuns`].

pub mod memory;
pub mod postgres;

use crate::outbox::Outbox;
use crate::queue::Queue;
use crate::runs::{Events, Retention, Runs};
use crate::uploads::FinishedRuns;

/// Every port of one storage, from which each consumer is handed those that it needs.
pub trait Storage: Runs + Queue + Events + Retention + Outbox + FinishedRuns {}

impl<S: Runs + Queue + Events + Retention + Outbox + FinishedRuns> Storage for S {}
