//! A database for each test.
//!
//! One cluster serves the whole test run (or the server that `AGENTEVALS_TEST_DATABASE_URL` names); a database is copied
//! from a template with all migrations, which takes some 30 ms. Not a schema per test: channels cross schemas.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::OnceLock;
use std::time::Duration;

use agentevals::storage::postgres::{DatabaseSettings, MIGRATIONS, Migrator};
use tokio::sync::{Mutex, OnceCell};
use tokio_postgres::{Client, NoTls};

use super::cluster::Cluster;

/// The server of this test run.
enum Server {
    Own(Cluster),
    /// Somebody's, by the URL of a database on it.
    Existing(String),
}

impl Server {
    fn shared() -> &'static Self {
        static SERVER: OnceLock<Server> = OnceLock::new();
        SERVER.get_or_init(|| match std::env::var("AGENTEVALS_TEST_DATABASE_URL") {
            Ok(url) if !url.is_empty() => Self::Existing(url),
            _ => Self::Own(Cluster::start()),
        })
    }

    fn url(&self, database: &str) -> String {
        match self {
            Self::Own(cluster) => cluster.url(database),
            Self::Existing(url) => with_database(url, database),
        }
    }

    fn admin_url(&self) -> String {
        match self {
            Self::Own(cluster) => cluster.url("postgres"),
            Self::Existing(url) => url.clone(),
        }
    }
}

/// A database of one test, dropped with it.
pub(crate) struct TestDb {
    name: String,
}

impl TestDb {
    /// A database with all migrations.
    pub(crate) async fn new() -> Self {
        static TEMPLATE: OnceCell<String> = OnceCell::const_new();
        let template = TEMPLATE.get_or_init(create_template).await;
        Self::create(template).await
    }

    /// A database without any.
    pub(crate) async fn empty() -> Self {
        Self::create("template0").await
    }

    async fn create(template: &str) -> Self {
        // Copies of one template get into each other's way.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());
        let name = format!("test_{}", uuid::Uuid::new_v4().simple());
        let _guard = ONE_AT_A_TIME.lock().await;
        let sql = format!("CREATE DATABASE {name} TEMPLATE {template}");
        execute(&Server::shared().admin_url(), &sql).await.unwrap();
        Self { name }
    }

    /// Its URL, as the superuser.
    pub(crate) fn url(&self) -> String {
        Server::shared().url(&self.name)
    }

    /// Settings that lead to it.
    pub(crate) fn settings(&self) -> DatabaseSettings {
        settings(&self.url())
    }

    /// A plain connection to it.
    pub(crate) async fn client(&self) -> Client {
        client(&self.url()).await
    }
}

impl Drop for TestDb {
    /// Best effort: it does not matter on a server of our own, save for space.
    fn drop(&mut self) {
        let sql = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(execute(&Server::shared().admin_url(), &sql)).ok();
        });
        dropping.join().ok();
    }
}

/// Settings for a URL, with little patience.
pub(crate) fn settings(url: &str) -> DatabaseSettings {
    let mut settings = DatabaseSettings::new(url.parse().unwrap());
    settings.connect_timeout = Duration::from_secs(30);
    settings
}

/// A plain connection, driven in the background.
pub(crate) async fn client(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// The template with all migrations, made once; its name says which, since it outlives us on somebody's server.
async fn create_template() -> String {
    let mut hasher = DefaultHasher::new();
    MIGRATIONS.iter().for_each(|migration| (migration.up, migration.down).hash(&mut hasher));
    let name = format!("agentevals_template_{:016x}", hasher.finish());
    // Another process may be making it, or have made it.
    execute(&Server::shared().admin_url(), &format!("CREATE DATABASE {name} TEMPLATE template0")).await.ok();
    let mut migrator = Migrator::connect(&settings(&Server::shared().url(&name))).await.unwrap();
    migrator.up().await.unwrap();
    name
}

/// Executes a statement over a connection of its own, which is closed afterwards.
async fn execute(url: &str, sql: &str) -> Result<(), tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    let driver = tokio::spawn(connection);
    let outcome = client.batch_execute(sql).await;
    drop(client);
    driver.await.unwrap().ok();
    outcome
}

/// The URL with another database.
fn with_database(url: &str, database: &str) -> String {
    let (address, query) = url.split_once('?').map_or((url, None), |(address, query)| (address, Some(query)));
    let authority = address.find("://").map_or(0, |index| index + 3);
    let end = address[authority..].find('/').map_or(address.len(), |index| authority + index);
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{}/{database}{query}", &address[..end])
}
