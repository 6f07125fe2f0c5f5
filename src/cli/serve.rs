//! `agentevals serve`: the HTTP API, with workers in the same process.

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use poem::Server;
use poem::listener::{Acceptor, Listener, TcpListener};
use tokio::task::JoinSet;
use tracing::info;

use super::{EXIT_PASSED, service};
use crate::api::{self, ApiSettings};
use crate::config::{
    CredentialArguments, LogArguments, OutboundArguments, ServerArguments, SinkArguments, StorageArguments,
    SubmissionArguments, WorkerArguments, api_keys,
};
use crate::shutdown::Stop;
use crate::spec::SubmissionRules;

/// Serve the HTTP API and execute the runs submitted to it
///
/// The first SIGTERM or SIGINT stops gracefully: runs may finish within the grace period, the rest goes back to the
/// queue. The second stops at once.
#[derive(Debug, Args)]
pub struct ServeArguments {
    #[command(flatten)]
    server: ServerArguments,
    #[command(flatten)]
    submissions: SubmissionArguments,
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

/// How long requests under way may take after the first signal to stop.
const REQUEST_GRACE: Duration = Duration::from_secs(10);

/// Runs the command and returns the exit code.
pub(super) fn serve(arguments: &ServeArguments) -> anyhow::Result<u8> {
    service::run(&arguments.workers, |stop| run(arguments, stop))?;
    Ok(EXIT_PASSED)
}

async fn run(arguments: &ServeArguments, stop: Stop) -> anyhow::Result<()> {
    let (address, workers) = (arguments.server.address(), arguments.workers.settings()?);
    let access = arguments.server.access()?;
    let resources = service::resources(&arguments.workers, &arguments.outbound, &arguments.credentials)?;
    let file_sinks = arguments.sinks.files()?;
    let opened = service::open_unless_stopped(&arguments.storage, &arguments.workers, &stop).await?;
    let Some(storage) = opened else { return Ok(()) };
    let listener = TcpListener::bind(address).into_acceptor().await;
    let acceptor = listener.with_context(|| format!("listening on {address}"))?;
    let mut worker = JoinSet::new();
    if workers.slots > 0 {
        let worked = service::worker(&storage, workers, resources.clone(), file_sinks.clone(), stop.clone());
        worker.spawn(worked);
    }
    let settings = ApiSettings {
        max_body_bytes: arguments.server.max_body_bytes(),
        rules: SubmissionRules { file_sinks, ..arguments.submissions.rules(&resources) },
        access,
        code: resources.code.clone(),
        max_evaluations: arguments.server.max_evaluations(),
        api_keys: api_keys(),
    };
    let app = api::app(storage.services(), settings, stop.soon.clone());
    for address in acceptor.local_addr().iter().filter_map(|local| local.as_socket_addr()) {
        info!(%address, "serving http://{address}, documented at http://{address}/docs");
    }
    let server = Server::new_with_acceptor(acceptor);
    let end = stop.soon.clone();
    let served = tokio::select! {
        served = server.run_with_graceful_shutdown(app, end.cancelled_owned(), Some(REQUEST_GRACE)) => {
            served.context("serving")
        }
        () = stop.now.cancelled() => Ok(()), // requests under way are given up
        Some(Err(error)) = worker.join_next() => Err(error).context("the worker ended unexpectedly"),
    };
    stop.soon.cancel();
    while worker.join_next().await.is_some() {}
    storage.close().await;
    served
}
