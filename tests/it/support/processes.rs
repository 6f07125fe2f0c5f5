//! The program as real processes: started on a free port, their logs captured, killed when dropped.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::NamedTempFile;

use super::client::Api;
use super::eventually;

/// A process to be started.
pub(crate) struct Launch(Command);

/// The HTTP API, at a free port.
pub(crate) fn serve() -> Launch {
    Launch::new("serve").with(&["--port", "0"])
}

/// A worker.
pub(crate) fn worker() -> Launch {
    Launch::new("worker")
}

impl Launch {
    /// A command, without what the caller's environment says.
    fn new(command: &str) -> Self {
        let mut process = Command::new(assert_cmd::cargo::cargo_bin!("agentevals"));
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if ["OTEL_", "AGENTEVALS_", "PG"].iter().any(|prefix| text.starts_with(prefix)) {
                process.env_remove(&name);
            }
        }
        process.arg(command).stdin(Stdio::null());
        Self(process)
    }

    /// Adds arguments.
    pub(crate) fn with(mut self, arguments: &[&str]) -> Self {
        self.0.args(arguments);
        self
    }

    /// Sets a variable of the environment.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.0.env(name, value);
        self
    }

    /// Keeps runs in this database.
    pub(crate) fn over(self, url: &str) -> Self {
        self.with(&["--storage", "postgres"]).env("AGENTEVALS_DATABASE_URL", url)
    }

    /// Executes so many runs at a time, whose code evaluators are in this folder.
    pub(crate) fn slots(self, slots: u32, evaluators: &Path) -> Self {
        self.with(&["--workers", &slots.to_string(), "--code-evaluators-dir", evaluators.to_str().unwrap()])
    }

    /// Takes submissions that name evaluators in this folder, and executes none.
    pub(crate) fn without_slots(self, evaluators: &Path) -> Self {
        self.slots(0, evaluators)
    }

    /// Starts the process and waits for nothing.
    pub(crate) fn start(mut self) -> Process {
        let log = NamedTempFile::new().unwrap();
        self.0.stdout(log.reopen().unwrap()).stderr(log.reopen().unwrap());
        Process { child: self.0.spawn().unwrap(), log }
    }

    /// Starts the process and waits until it works.
    pub(crate) async fn ready(self) -> Process {
        let mut process = self.start();
        // `serve` without slots says only the one, `worker` only the other.
        process.logged_any(&["serving http://", "takes runs"]).await;
        process
    }

    /// Starts `serve` and waits until it answers.
    pub(crate) async fn answering(self) -> (Process, Api) {
        let mut process = self.start();
        process.logged_any(&["serving http://"]).await;
        let api = Api::at(process.address().unwrap());
        (process, api)
    }
}

/// A process that was started, killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    log: NamedTempFile,
}

impl Process {
    /// What it has said.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log.path()).unwrap()).into_owned()
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        let log = self.log();
        let (_, rest) = log.split_once("serving http://")?;
        rest.split(',').next()?.parse().ok()
    }

    /// The name that its worker has in runs and events.
    pub(crate) fn worker_name(&self) -> String {
        let log = self.log();
        let (_, rest) = log.split_once("worker `").unwrap();
        rest.split('`').next().unwrap().to_owned()
    }

    /// Waits until it has said this.
    pub(crate) async fn logged(&mut self, text: &str) {
        self.logged_any(&[text]).await;
    }

    async fn logged_any(&mut self, texts: &[&str]) {
        let what = format!("the log says one of {texts:?}");
        eventually(&what, || {
            let log = self.log();
            let is_said = texts.iter().any(|text| log.contains(text));
            let ended = self.child.try_wait().unwrap();
            assert!(is_said || ended.is_none(), "it ended before it said {texts:?}: {ended:?}\n{log}");
            async move { is_said.then_some(()) }
        })
        .await;
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.child.id().cast_signed()).unwrap(), signal).unwrap();
    }

    /// Whether it goes on.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }

    /// Checks that nothing went wrong in the process itself.
    pub(crate) fn assert_calm(&self) {
        let log = self.log();
        assert!(!log.contains("ERROR") && !log.contains("panicked"), "{log}");
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        eventually("the process ends", || std::future::ready(self.child.try_wait().unwrap())).await
    }

    /// Asks it to end, and checks that it does so in good order.
    pub(crate) async fn terminated(mut self) {
        self.signal(Signal::TERM);
        let status = self.ended().await;
        assert_eq!(status.code(), Some(0), "{}", self.log());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            let end = lines[lines.len().saturating_sub(40)..].join("\n");
            eprintln!("---- end of the log of process {}\n{end}", self.child.id());
        }
        self.kill();
    }
}
