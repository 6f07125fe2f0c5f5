//! Runs an evaluator script with limits on time and output, and kills it together with the processes it started.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tracing::debug;

use super::policy::CodePolicy;
use super::protocol::read_output;
use crate::metrics::custom::{CustomEvaluator, EvaluatorError, EvaluatorInput, EvaluatorOutput};

/// Longest standard output of an evaluator; details of thousands of turns fit.
const MAX_STDOUT_BYTES: usize = 32 << 20;

/// How long the pipes of a script that has ended are still read.
const PIPE_GRACE: Duration = Duration::from_millis(500);

/// Length of the end of standard error that is kept, to quote in errors.
const KEPT_STDERR_BYTES: usize = 4 << 10;

/// Environment variables that every evaluator sees: those that interpreters need to start, none that hold secrets.
const PASSED_ENV: [&str; 20] = [
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "TEMP",
    "TMP",
    "VIRTUAL_ENV",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONUTF8",
    "PYTHONDONTWRITEBYTECODE",
    "NODE_PATH",
    "NODE_OPTIONS",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "XDG_CACHE_HOME",
];

/// A script that speaks the evaluator protocol over standard input and output.
#[derive(Debug, Clone)]
pub struct ProcessEvaluator {
    name: String,
    script: PathBuf,
    policy: CodePolicy,
    timeout: Duration,
    env: Vec<String>,
}

impl ProcessEvaluator {
    /// Prepares to run `script`, which `policy` looks up and checks each time it runs.
    ///
    /// Of the environment the script sees the variables that interpreters need, and those named in `env`.
    pub fn new(
        name: impl Into<String>,
        script: PathBuf,
        policy: CodePolicy,
        timeout: Duration,
        env: Vec<String>,
    ) -> Self {
        Self { name: name.into(), script, policy, timeout, env }
    }

    async fn run(&self, input: &EvaluatorInput<'_>) -> Result<EvaluatorOutput, EvaluatorError> {
        let document = serde_json::to_vec(input).map_err(|error| {
            EvaluatorError::Failed(format!("evaluator `{}`: writing its input: {error}", self.name))
        })?;
        let mut group = ProcessGroup::start(self.command()?, &self.name)?;
        match tokio::time::timeout(self.timeout, group.exchange(&document)).await {
            Ok(outcome) => self.judge(outcome?),
            Err(_) => {
                group.kill();
                let seconds = self.timeout.as_secs();
                Err(EvaluatorError::TimedOut(format!(
                    "evaluator `{}` was killed after {seconds} s; raise its `timeout` or make it faster",
                    self.name
                )))
            }
        }
    }

    fn command(&self) -> Result<Command, EvaluatorError> {
        let unavailable =
            |why: String| Err(EvaluatorError::Unavailable(format!("evaluator `{}`: {why}", self.name)));
        let script = match self.policy.resolve(&self.script) {
            Ok(script) => script,
            Err(why) => return unavailable(why),
        };
        let interpreter = match extension(&script).as_deref() {
            Some("py") => "python3",
            Some("js" | "ts") => "node",
            _ => return unavailable(format!("`{}` is no .py, .js or .ts file", script.display())),
        };
        let mut command = Command::new(interpreter);
        let passed = PASSED_ENV.iter().copied().chain(self.env.iter().map(String::as_str));
        let env = passed.filter_map(|name| Some((name, std::env::var_os(name)?)));
        command
            .arg(&script)
            .env_clear()
            .envs(env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        Ok(command)
    }

    fn judge(&self, outcome: Exit) -> Result<EvaluatorOutput, EvaluatorError> {
        let name = &self.name;
        let stderr = String::from_utf8_lossy(&outcome.stderr);
        debug!(evaluator = %name, "evaluator `{name}` ended with {}: {}", outcome.status, stderr.trim());
        let said = if stderr.trim().is_empty() { String::new() } else { format!(": {}", stderr.trim()) };
        if !outcome.status.success() {
            let hint = self.missing_module_hint(&stderr);
            let status = outcome.status;
            return Err(EvaluatorError::Failed(format!(
                "evaluator `{name}` ended with {status}{said}{hint}"
            )));
        }
        if outcome.stdout.len() > MAX_STDOUT_BYTES {
            let text = format!("evaluator `{name}` printed more than {MAX_STDOUT_BYTES} bytes");
            return Err(EvaluatorError::InvalidOutput(text));
        }
        let stdout = String::from_utf8_lossy(&outcome.stdout);
        if stdout.trim().is_empty() {
            return Err(EvaluatorError::InvalidOutput(format!("evaluator `{name}` printed nothing{said}")));
        }
        read_output(name, &stdout)
    }

    /// The remedy for a missing Python module, if there is a `requirements.txt` beside the script.
    fn missing_module_hint(&self, stderr: &str) -> String {
        let script = self.policy.resolve(&self.script).unwrap_or_default();
        let requirements = script.with_file_name("requirements.txt");
        if stderr.contains("ModuleNotFoundError") && requirements.exists() {
            return format!("; install what it needs: python3 -m pip install -r {}", requirements.display());
        }
        String::new()
    }
}

impl CustomEvaluator for ProcessEvaluator {
    fn evaluate<'a>(
        &'a self,
        input: &'a EvaluatorInput<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<EvaluatorOutput, EvaluatorError>> + Send + 'a>> {
        Box::pin(self.run(input))
    }
}

fn extension(path: &Path) -> Option<String> {
    Some(path.extension()?.to_str()?.to_ascii_lowercase())
}

/// The end of a process and its output.
struct Exit {
    status: std::process::ExitStatus,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// A process and its process group, which has the processes that it starts; dropping this kills them all.
struct ProcessGroup {
    name: String,
    child: Child,
    id: Option<rustix::process::Pid>,
}

impl ProcessGroup {
    fn start(mut command: Command, name: &str) -> Result<Self, EvaluatorError> {
        let child = command.spawn().map_err(|error| {
            let program = command.as_std().get_program().to_string_lossy().into_owned();
            EvaluatorError::Unavailable(format!(
                "evaluator `{name}`: `{program}` could not be started: {error}; is it on PATH?"
            ))
        })?;
        let id = child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
        Ok(Self { name: name.to_owned(), child, id })
    }

    /// Writes the input, reads both outputs, and waits for the end of the process.
    async fn exchange(&mut self, document: &[u8]) -> Result<Exit, EvaluatorError> {
        let (stdin, stdout, stderr) =
            (self.child.stdin.take(), self.child.stdout.take(), self.child.stderr.take());
        let (mut said, mut complained) = (Vec::new(), Vec::new());
        let status = {
            let talk = async {
                let write = async {
                    if let Some(mut stdin) = stdin {
                        // A script may answer without reading its input, so a closed pipe is not a failure.
                        let _ = stdin.write_all(document).await;
                    }
                };
                tokio::join!(write, read_head(stdout, &mut said), read_tail(stderr, &mut complained));
            };
            tokio::pin!(talk);
            tokio::select! {
                status = self.child.wait() => {
                    // Processes that the script left running may hold the pipes open. They are killed with it;
                    // those that moved to another process group are not waited for.
                    self.kill();
                    let _ = tokio::time::timeout(PIPE_GRACE, talk).await;
                    status
                }
                () = &mut talk => self.child.wait().await,
            }
        };
        self.kill();
        let status = status.map_err(|error| {
            EvaluatorError::Failed(format!("evaluator `{}`: waiting for it: {error}", self.name))
        })?;
        Ok(Exit { status, stdout: said, stderr: complained })
    }

    fn kill(&mut self) {
        kill_group(self.id.take());
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.kill();
    }
}

fn kill_group(id: Option<rustix::process::Pid>) {
    if let Some(id) = id {
        // Fails if the group has ended already.
        let _ = rustix::process::kill_process_group(id, rustix::process::Signal::KILL);
    }
}

/// Reads to the end, keeping at most one byte more than the limit, which shows that it was exceeded.
async fn read_head(source: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut source) = source else { return };
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = source.read(&mut buffer).await {
        let room = (MAX_STDOUT_BYTES + 1).saturating_sub(kept.len());
        kept.extend_from_slice(&buffer[..read.min(room)]);
    }
}

/// Reads to the end, keeping the last part.
async fn read_tail(source: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut source) = source else { return };
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = source.read(&mut buffer).await {
        kept.extend_from_slice(&buffer[..read]);
        let excess = kept.len().saturating_sub(KEPT_STDERR_BYTES);
        kept.drain(..excess);
    }
}
