//! Options of workers.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use uuid::Uuid;

use super::{folder, parse_a_second_or_more, parse_seconds};
use crate::queue::WorkerSettings;

/// Options of workers.
#[derive(Debug, Args)]
#[command(next_help_heading = "Workers")]
pub struct WorkerArguments {
    /// Runs that this process executes at a time; 0 for none
    #[arg(long, env = "AGENTEVALS_MAX_CONCURRENT_RUNS", default_value_t = 4, value_name = "N",
        value_parser = clap::value_parser!(u32).range(..=10_000))]
    workers: u32,
    /// Seconds between heartbeats, which extend the leases of runs
    #[arg(long, env = "AGENTEVALS_HEARTBEAT_S", default_value = "5", value_parser = parse_a_second_or_more,
        value_name = "SECONDS")]
    heartbeat_s: Duration,
    /// Seconds without a heartbeat after which another worker may take over a run
    #[arg(long, env = "AGENTEVALS_LEASE_S", default_value = "30", value_parser = parse_a_second_or_more,
        value_name = "SECONDS")]
    lease_s: Duration,
    /// Longest pause between two queries of the queue, in seconds, in case a notification was lost
    #[arg(long, env = "AGENTEVALS_WORKER_POLL_INTERVAL_S", default_value = "5", value_parser = parse_seconds,
        value_name = "SECONDS")]
    worker_poll_interval_s: Duration,
    /// Seconds that runs may go on after the first signal to stop; unfinished ones return to the queue
    #[arg(long, env = "AGENTEVALS_SHUTDOWN_GRACE_S", default_value = "25", value_parser = parse_seconds,
        value_name = "SECONDS")]
    shutdown_grace_s: Duration,
    /// Seconds before the second attempt after a transient failure; doubles with each attempt
    #[arg(long, env = "AGENTEVALS_RETRY_BACKOFF_S", default_value = "2", value_parser = parse_seconds,
        value_name = "SECONDS")]
    retry_backoff_s: Duration,
    /// Folder of the code evaluators that runs may use; without it they are refused
    #[arg(long, env = "AGENTEVALS_CODE_EVALUATORS_DIR", value_name = "DIR")]
    code_evaluators_dir: Option<PathBuf>,
}

impl WorkerArguments {
    /// Checks the arguments against each other.
    ///
    /// # Errors
    /// The lease is shorter than two heartbeats, so that a late one would lose it.
    pub fn settings(&self) -> anyhow::Result<WorkerSettings> {
        let (lease, heartbeat) = (self.lease_s, self.heartbeat_s);
        if lease < heartbeat * 2 {
            bail!(
                "a lease of {} s is too short for a heartbeat of {} s; make --lease-s at least twice --heartbeat-s",
                lease.as_secs_f64(),
                heartbeat.as_secs_f64()
            );
        }
        Ok(WorkerSettings {
            name: worker_name(),
            slots: self.workers as usize,
            lease,
            heartbeat,
            // Ended leases are found only by looking at the queue, so a longer interval would delay their takeover.
            poll: self.worker_poll_interval_s.min(lease / 2),
            grace: self.shutdown_grace_s,
            first_backoff: self.retry_backoff_s,
        })
    }

    /// Runs that this process executes at a time.
    pub fn slots(&self) -> u32 {
        self.workers
    }

    /// How long a lease holds without a heartbeat.
    pub fn lease(&self) -> Duration {
        self.lease_s
    }

    /// The folder of the code evaluators that runs may use.
    ///
    /// # Errors
    /// It is not a folder.
    pub fn code_evaluators(&self) -> anyhow::Result<Option<PathBuf>> {
        let found = folder("--code-evaluators-dir", self.code_evaluators_dir.as_deref())?;
        found.map(|folder| folder.canonicalize().context("--code-evaluators-dir")).transpose()
    }
}

/// The name of the host, and a random part that tells apart the processes on it.
fn worker_name() -> String {
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy();
    let random = Uuid::new_v4().simple().to_string();
    format!("{host}/{}", &random[..12])
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        worker: WorkerArguments,
    }

    fn settings(arguments: &[&str]) -> anyhow::Result<WorkerSettings> {
        Program::try_parse_from([&["x"], arguments].concat())?.worker.settings()
    }

    #[test]
    fn a_lease_that_a_late_heartbeat_would_lose_is_refused() {
        let error = settings(&["--lease-s", "9", "--heartbeat-s", "5"]).unwrap_err();
        assert!(error.to_string().contains("at least twice"), "{error}");
        assert!(settings(&["--heartbeat-s", "0.5"]).is_err());
        assert!(settings(&["--worker-poll-interval-s", "0"]).is_err());
    }

    #[test]
    fn the_queue_is_looked_at_more_often_than_leases_end() {
        let settings = settings(&["--lease-s", "4", "--heartbeat-s", "1"]).unwrap();
        assert_eq!(settings.poll, Duration::from_secs(2));
    }
}
