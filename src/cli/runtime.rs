//! The tokio runtime of commands that are not services.

use anyhow::Context;
use tokio::runtime::{Builder, Runtime};

/// A runtime on the current thread: such commands wait for a few things at a time.
pub(super) fn runtime() -> anyhow::Result<Runtime> {
    Builder::new_current_thread().enable_all().build().context("starting the runtime")
}
