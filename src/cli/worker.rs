//! `agentevals worker`: executes runs that other processes accept.

use anyhow::{Context, bail};
use clap::Args;

use super::{EXIT_PASSED, service};
use crate::config::{
    Backend, CredentialArguments, LogArguments, OutboundArguments, SinkArguments, StorageArguments,
    WorkerArguments,
};
use crate::shutdown::Stop;

/// Execute runs from a database that `serve` processes accept them into
///
/// The first SIGTERM or SIGINT stops gracefully: runs may finish within the grace period, the rest goes back to the
/// queue. The second stops at once.
#[derive(Debug, Args)]
pub struct WorkArguments {
    #[command(flatten)]
    workers: WorkerArguments,
    #[command(flatten)]
    outbound: OutboundArguments,
    #[command(flatten)]
    credentials: CredentialArguments,
    #[command(flatten)]
    sinks: SinkArguments,
    #[command(flatten)]
    storage: StorageArguments,
    #[command(flatten)]
    pub(super) log: LogArguments,
}

/// Runs the command and returns the exit code.
pub(super) fn work(arguments: &WorkArguments) -> anyhow::Result<u8> {
    if arguments.storage.backend() == Backend::Memory {
        bail!("a worker needs a database that it shares with `serve`; say --storage postgres");
    }
    if arguments.workers.slots() == 0 {
        bail!("a worker with --workers 0 would do nothing");
    }
    service::run(&arguments.workers, |stop| run(arguments, stop))?;
    Ok(EXIT_PASSED)
}

async fn run(arguments: &WorkArguments, stop: Stop) -> anyhow::Result<()> {
    let settings = arguments.workers.settings()?;
    let resources = service::resources(&arguments.workers, &arguments.outbound, &arguments.credentials)?;
    let file_sinks = arguments.sinks.files()?;
    let opened = service::open_unless_stopped(&arguments.storage, &arguments.workers, &stop).await?;
    let Some(storage) = opened else { return Ok(()) };
    let worked = tokio::spawn(service::worker(&storage, settings, resources, file_sinks, stop)).await;
    storage.close().await;
    worked.context("the worker ended unexpectedly")
}
