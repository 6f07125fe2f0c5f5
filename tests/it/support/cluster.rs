//! PostgreSQL clusters of our own, from the server binaries of this machine.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

/// How a server is stopped.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stop {
    /// In order: sessions are told.
    Fast,
    /// As if it had crashed.
    Immediate,
}

/// Who is let in: everyone, except that some users have to prove themselves or to use (no) TLS.
const ACCESS: &str = "\
local all all trust
host all locked 127.0.0.1/32 scram-sha-256
hostssl all only_tls 127.0.0.1/32 trust
hostnossl all only_plain 127.0.0.1/32 trust
host all only_tls,only_plain 127.0.0.1/32 reject
host all all 127.0.0.1/32 trust";

/// A cluster that listens on 127.0.0.1 and on a Unix socket, and is removed when it is dropped or this process ends.
pub(crate) struct Cluster {
    port: u16,
    folder: PathBuf,
    supervisor: Arc<Mutex<Supervisor>>,
}

/// A process that ends the server when its standard input does: when this is dropped, or with this process.
struct Supervisor {
    _process: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Cluster {
    /// Creates a cluster and starts its server.
    pub(crate) fn start() -> Self {
        let cluster = Self::create();
        cluster.supervisor.lock().unwrap().command("start");
        cluster
    }

    fn create() -> Self {
        let binaries = binaries();
        let owner = owner();
        let folder = new_folder(owner);
        let port = free_port();
        let mut command = Command::new("sh");
        command
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/supervise.sh"))
            .args([&binaries, &folder])
            .env("SETTINGS", settings(port, &folder))
            .env("ACCESS", ACCESS)
            .env("HOME", &folder)
            .current_dir("/")
            // An interrupt at the terminal goes to the tests; the supervisor has to outlive them.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        if let Some((user, group)) = owner {
            command.uid(user).gid(group);
        }
        let mut process = command.spawn().unwrap();
        let commands = process.stdin.take().unwrap();
        let answers = BufReader::new(process.stdout.take().unwrap());
        let mut supervisor = Supervisor { _process: process, commands, answers };
        supervisor.expect_ok("initdb");
        Self { port, folder, supervisor: Arc::new(Mutex::new(supervisor)) }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// The URL of a database, as the superuser. His name is no schema's, or tables would be found without theirs.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://tester@127.0.0.1:{}/{database}", self.port)
    }

    /// The folder of the Unix socket.
    pub(crate) fn socket_folder(&self) -> &Path {
        &self.folder
    }

    /// The server's self-signed certificate, made out to `localhost`.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.join("data/server.crt")
    }

    /// Stops the server and waits for its end.
    pub(crate) async fn stop(&self, how: Stop) {
        self.command(format!("stop {how:?}").to_lowercase()).await;
    }

    /// Starts the server at its port, and waits until it takes connections.
    pub(crate) async fn start_again(&self) {
        self.command("start".to_owned()).await;
    }

    /// Lets the tasks of the test go on meanwhile: a server waits for clients that have begun to connect.
    async fn command(&self, command: String) {
        let supervisor = Arc::clone(&self.supervisor);
        tokio::task::spawn_blocking(move || supervisor.lock().unwrap().command(&command)).await.unwrap();
    }
}

impl Supervisor {
    fn command(&mut self, command: &str) {
        writeln!(self.commands, "{command}").unwrap();
        self.expect_ok(command);
    }

    fn expect_ok(&mut self, what: &str) {
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        assert_eq!(answer.trim(), "ok", "PostgreSQL: `{what}` failed");
    }
}

/// Fast rather than safe, and with room for many tests at a time.
fn settings(port: u16, folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "port = {port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{folder}'\n\
         fsync = off\nfull_page_writes = off\nmax_connections = 300\nshared_buffers = 64MB\n\
         ssl = on\nssl_cert_file = 'server.crt'\nssl_key_file = 'server.key'"
    )
}

/// The folder of the server's programs: the one `dev/test.sh` has found or installed, the one `pg_config` names,
/// Debian's newest, or one on the search path.
fn binaries() -> PathBuf {
    let has_all =
        |folder: &PathBuf| ["initdb", "pg_ctl", "postgres"].iter().all(|name| folder.join(name).is_file());
    let found = std::env::var_os("AGENTEVALS_TEST_POSTGRES_BIN").map(PathBuf::from);
    let configured = Command::new("pg_config").arg("--bindir").output().ok();
    let configured = configured.map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    let mut debian: Vec<_> = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().collect();
    debian.sort_by_key(|entry| entry.file_name().to_string_lossy().parse::<u32>().unwrap_or(0));
    let debian = debian.into_iter().rev().map(|entry| entry.path().join("bin"));
    let path: OsString = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = found.into_iter().chain(configured).chain(debian).chain(std::env::split_paths(&path));
    folders.find(has_all).unwrap_or_else(|| {
        panic!(
            "these tests start PostgreSQL servers, but there is no `initdb` here; run them with `dev/test.sh`, \
             which installs one"
        )
    })
}

/// Whom the server runs as, if this process is root, whom PostgreSQL refuses: user and group.
fn owner() -> Option<(u32, u32)> {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return None;
    }
    let accounts = fs::read_to_string("/etc/passwd").unwrap();
    let account = |name: &str| {
        let fields: Vec<_> = accounts.lines().find(|line| line.starts_with(name))?.split(':').collect();
        Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
    };
    Some(account("postgres:").or_else(|| account("nobody:")).expect("an account that is not root"))
}

/// A folder that the server's user owns and can reach, with a path short enough for a socket in it.
fn new_folder(owner: Option<(u32, u32)>) -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let is_open = |folder: &Path| fs::metadata(folder).is_ok_and(|it| it.permissions().mode() & 0o001 != 0);
    let is_reachable = owner.is_none() || target.ancestors().all(is_open);
    let parent = match is_reachable && target.as_os_str().len() < 60 {
        true => target.to_owned(),
        false => std::env::temp_dir(),
    };
    // Its owner may remove what is in it.
    let parent = parent.join("postgres");
    let folder = parent.join(format!("{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed)));
    fs::create_dir_all(&folder).unwrap();
    if let Some((user, group)) = owner {
        std::os::unix::fs::chown(&parent, Some(user), Some(group)).unwrap();
        std::os::unix::fs::chown(&folder, Some(user), Some(group)).unwrap();
    }
    folder
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}
