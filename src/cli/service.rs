//! Parts that `serve` and `worker` share: storage, its hints, and the worker.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::api::Services;
use crate::config::{Backend, CredentialArguments, OutboundArguments, StorageArguments, WorkerArguments};
use crate::evaluators::CodePolicy;
use crate::outbox::{DispatchSettings, OutboxService, Sender, dispatch};
use crate::queue::{Evaluation, Resources, WorkerSettings, work};
use crate::runs::{Hints, RunService, keep_for};
use crate::shutdown::{self, Stop};
use crate::storage::Storage;
use crate::storage::memory::{MemoryLimits, MemoryStore};
use crate::storage::postgres::{
    Database, DatabaseSettings, Migrator, PoolSize, PostgresStore, forward_hints,
};

/// Opened storage.
pub(super) struct OpenStorage {
    store: Arc<dyn Storage>,
    hints: Hints,
    /// Ends the tasks when it is cancelled.
    closed: CancellationToken,
    /// The listener, and the deletion of old runs.
    tasks: Vec<JoinHandle<()>>,
}

impl OpenStorage {
    /// Opens the storage that the arguments name.
    ///
    /// # Errors
    /// Storage cannot be reached, or has a schema that this version cannot use.
    pub(super) async fn open(
        arguments: &StorageArguments,
        workers: &WorkerArguments,
    ) -> anyhow::Result<Self> {
        let mut storage = Self::connect(arguments, workers).await?;
        if let Some(age) = arguments.retention() {
            let (store, closed) = (storage.store.clone(), storage.closed.clone());
            storage.tasks.push(tokio::spawn(keep_for(age, store, closed)));
        }
        Ok(storage)
    }

    async fn connect(arguments: &StorageArguments, workers: &WorkerArguments) -> anyhow::Result<Self> {
        let (hints, closed) = (Hints::default(), CancellationToken::new());
        if arguments.backend() == Backend::Memory {
            warn!(
                "runs are kept in memory and are lost when this process ends; --storage postgres keeps them"
            );
            let store = Arc::new(MemoryStore::new(MemoryLimits::default(), hints.clone()));
            return Ok(Self { store, hints, closed, tasks: Vec::new() });
        }
        let settings = arguments.database()?;
        let settings = DatabaseSettings {
            pool: PoolSize::for_runs(workers.slots().min(MAX_POOLED_SLOTS)),
            // A heartbeat on a dead connection must time out while the lease still has time for another one.
            command_timeout: settings.command_timeout.min(workers.lease() / 2),
            ..settings
        };
        migrate(&settings, arguments.auto_migrate()).await?;
        let database = Database::connect(&settings).await.context("connecting to the database")?;
        let listener = forward_hints(&settings, hints.clone(), closed.clone())?;
        let store = Arc::new(PostgresStore::open(database).await?);
        Ok(Self { store, hints, closed, tasks: vec![listener] })
    }

    /// The services that the API is made of.
    pub(super) fn services(&self) -> Services {
        let store = &self.store;
        let runs = RunService::new(store.clone(), store.clone(), store.clone(), &self.hints);
        let outbox = OutboxService::new(store.clone(), runs.clone());
        Services { runs, outbox, finished: store.clone() }
    }

    /// Ends the tasks.
    pub(super) async fn close(self) {
        self.closed.cancel();
        for task in self.tasks {
            let _ = task.await;
        }
    }
}

/// Slots beyond these need no larger pool: runs write in groups and share a few connections.
const MAX_POOLED_SLOTS: u32 = 4;

async fn migrate(settings: &DatabaseSettings, is_automatic: bool) -> anyhow::Result<()> {
    let mut migrator = Migrator::connect(settings).await.context("connecting to the database")?;
    if !is_automatic {
        return migrator.verify().await.context("checking the database's schema");
    }
    // The migrator logs what it applies.
    migrator.up().await.context("bringing the database's schema up to date")?;
    Ok(())
}

/// The resources that runs may use, according to the arguments.
///
/// # Errors
/// A folder is missing, or a variable is malformed.
pub(super) fn resources(
    workers: &WorkerArguments,
    outbound: &OutboundArguments,
    credentials: &CredentialArguments,
) -> anyhow::Result<Resources> {
    Ok(Resources {
        code: CodePolicy::for_requests(workers.code_evaluators()?),
        outbound: outbound.outbound()?,
        credentials: credentials.credentials()?,
        fetch: outbound.fetch_limits(),
    })
}

/// A worker, which executes runs and sends messages to their sinks until `stop`. File sinks append to files below `files`,
/// if it is given.
pub(super) fn worker(
    storage: &OpenStorage,
    settings: WorkerSettings,
    resources: Resources,
    files: Option<PathBuf>,
    stop: Stop,
) -> impl Future<Output = ()> + Send + use<> {
    let (store, hints) = (storage.store.clone(), storage.hints.clone());
    let (outbound, credentials) = (resources.outbound.clone(), resources.credentials.clone());
    let sender = Sender::new(outbound, credentials, files, Arc::new(Mutex::new(std::io::stdout())));
    let executor = Arc::new(Evaluation::new(resources));
    let dispatching = DispatchSettings {
        margin: settings.lease,
        poll: settings.poll,
        grace: settings.grace,
        first_pause: DispatchSettings::FIRST_PAUSE,
    };
    async move {
        let is_over = CancellationToken::new();
        let sending = dispatch(store.clone(), &hints, sender, dispatching, stop.clone(), is_over.clone());
        let working = async {
            let _ends_sending = is_over.drop_guard();
            work(store, &hints, executor, settings, stop).await;
        };
        tokio::join!(sending, working);
    }
}

/// Threads for blocking work besides those of evaluations, such as parsing large requests.
const OTHER_THREADS: usize = 64;

/// Runs a service until it ends; `service` is given a [`Stop`] that signals trigger.
///
/// # Errors
/// The runtime or the service cannot start.
pub(super) fn run<F>(workers: &WorkerArguments, service: impl FnOnce(Stop) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(workers.slots() as usize + OTHER_THREADS)
        .build();
    let runtime = runtime.context("starting the runtime")?;
    let outcome = runtime.block_on(async {
        let stop = Stop::default();
        shutdown::on_signals(&stop).context("listening for signals")?;
        service(stop).await
    });
    // Evaluations that have not noticed their interruption must not keep the process alive.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

/// Opens storage; `None` if a signal comes first.
pub(super) async fn open_unless_stopped(
    arguments: &StorageArguments,
    workers: &WorkerArguments,
    stop: &Stop,
) -> anyhow::Result<Option<OpenStorage>> {
    tokio::select! {
        storage = OpenStorage::open(arguments, workers) => storage.map(Some),
        () = stop.soon.cancelled() => Ok(None),
    }
}
