//! Migrations: forth and back, side by side, and when they fail.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use agentevals::storage::postgres::{
    DatabaseSettings, MIGRATIONS, MigrateError, Migration, Migrator, SchemaState,
};
use tempfile::TempDir;
use tokio_postgres::Client;

use crate::support::agentevals;
use crate::support::postgres::TestDb;

const LAST: u32 = MIGRATIONS.len() as u32;

/// A migration that works, and what it leads to.
const TABLE: Migration = Migration {
    version: 1,
    name: "000001_table",
    up: "CREATE TABLE agentevals.thing (id int); INSERT INTO agentevals.thing VALUES (1);",
    down: "DROP TABLE agentevals.thing;",
};

async fn migrator(settings: &DatabaseSettings, migrations: &'static [Migration]) -> Migrator {
    Migrator::with_migrations(settings, migrations).await.unwrap()
}

fn names<'a>(migrations: impl IntoIterator<Item = &'a Migration>) -> Vec<&'a str> {
    migrations.into_iter().map(|migration| migration.name).collect()
}

/// Everything that the catalog says about a schema but the record of migrations.
async fn catalog(client: &Client, schema: &str) -> Vec<String> {
    let sql = include_str!("support/catalog.sql");
    let rows = client.query(sql, &[&schema]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn there_and_back_and_there_leaves_the_same_catalog() {
    let database = TestDb::empty().await;
    let client = database.client().await;
    let mut migrator = Migrator::connect(&database.settings()).await.unwrap();
    let mut catalogs = Vec::new();
    for applied in 0..=LAST {
        catalogs.push(catalog_after(&mut migrator, &client, applied).await);
    }
    assert!(catalogs[0].is_empty() && !catalogs[LAST as usize].is_empty());
    for before in (0..LAST).rev() {
        assert_eq!(migrator.down(1).await.unwrap().len(), 1);
        assert_eq!(catalog(&client, "agentevals").await, catalogs[before as usize], "down to {before}");
    }
    migrator.up().await.unwrap();
    assert_eq!(catalog(&client, "agentevals").await, catalogs[LAST as usize]);
}

/// The catalog with the first migrations applied; there is no `up` by steps, so the later ones are reverted again.
async fn catalog_after(migrator: &mut Migrator, client: &Client, applied: u32) -> Vec<String> {
    migrator.up().await.unwrap();
    if applied < LAST {
        migrator.down(LAST - applied).await.unwrap();
    }
    catalog(client, "agentevals").await
}

#[test]
fn the_program_holds_the_files_of_the_folder() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/migrations");
    let files = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let expected =
        MIGRATIONS.iter().flat_map(|it| ["up", "down"].map(|way| format!("{}.{way}.sql", it.name)));
    assert_eq!(files.collect::<BTreeSet<_>>(), expected.collect());
    for (index, migration) in MIGRATIONS.iter().enumerate() {
        assert_eq!(migration.version as usize, index + 1, "numbers have no gaps");
        let file = folder.join(format!("{}.up.sql", migration.name));
        assert_eq!(migration.up, fs::read_to_string(file).unwrap());
    }
}

#[tokio::test]
async fn each_migration_is_applied_once_however_many_start_together() {
    let database = TestDb::empty().await;
    let settings = database.settings();
    let start = async || migrator(&settings, MIGRATIONS).await.up().await.unwrap().len();
    let (a, b, c, d) = tokio::join!(start(), start(), start(), start());
    assert_eq!(a + b + c + d, MIGRATIONS.len());
}

#[tokio::test]
async fn a_failed_migration_leaves_a_mark_and_says_what_to_do() {
    const BROKEN: &[Migration] = &[
        TABLE,
        Migration { version: 2, name: "000002_broken", up: "DROP TABLE agentevals.thing; SELEC", down: "" },
    ];
    const MENDED: &[Migration] = &[TABLE, Migration { up: "DROP TABLE agentevals.thing", ..BROKEN[1] }];
    let database = TestDb::empty().await;
    let settings = database.settings();
    let mut broken = migrator(&settings, BROKEN).await;
    let error = anyhow::Error::from(broken.up().await.unwrap_err());
    insta::assert_snapshot!(format!("{error:#}"), @r#"migration `000002_broken` failed and was rolled back; fix the cause, then `agentevals migrate force 1` and try again: syntax error at or near "SELEC" (SQLSTATE 42601)"#);
    assert_eq!(broken.state().await.unwrap(), SchemaState { version: 2, is_dirty: true });
    assert_eq!(database.client().await.query("SELECT FROM agentevals.thing", &[]).await.unwrap().len(), 1);
    for outcome in [broken.up().await.err(), broken.down(1).await.err(), broken.verify().await.err()] {
        assert!(matches!(outcome, Some(MigrateError::Dirty(2))), "{outcome:?}");
    }

    let mut mended = migrator(&settings, MENDED).await;
    mended.force(1).await.unwrap();
    assert_eq!(names(mended.up().await.unwrap()), ["000002_broken"]);
    mended.verify().await.unwrap();
}

#[tokio::test]
async fn a_failed_way_back_is_marked_too() {
    const BROKEN: &[Migration] = &[Migration { down: "DROP TABLE agentevals.nothing", ..TABLE }];
    let database = TestDb::empty().await;
    let mut broken = migrator(&database.settings(), BROKEN).await;
    broken.up().await.unwrap();
    let error = broken.down(1).await.unwrap_err();
    assert!(error.to_string().contains("`agentevals migrate force 1`"), "{error}");
    assert_eq!(broken.state().await.unwrap(), SchemaState { version: 0, is_dirty: true });
    broken.force(1).await.unwrap();
    let mut mended = migrator(&database.settings(), &[TABLE]).await;
    assert_eq!(names(mended.down(5).await.unwrap()), ["000001_table"]);
    assert!(matches!(mended.down(1).await, Err(MigrateError::NothingApplied)));
    assert_eq!(mended.state().await.unwrap(), SchemaState::default());
}

#[tokio::test]
async fn a_file_may_ask_to_run_without_a_transaction() {
    const INDEX: &[Migration] = &[
        TABLE,
        Migration {
            version: 2,
            name: "000002_index",
            up: "-- agentevals: no transaction\nCREATE INDEX CONCURRENTLY a ON agentevals.thing (id);\n\
                 CREATE INDEX CONCURRENTLY b ON agentevals.thing (id);\n",
            down: "-- agentevals: no transaction\nDROP INDEX CONCURRENTLY agentevals.a;\n\
                   DROP INDEX CONCURRENTLY agentevals.b;\n",
        },
    ];
    let database = TestDb::empty().await;
    let mut migrator = migrator(&database.settings(), INDEX).await;
    assert_eq!(migrator.up().await.unwrap().len(), 2);
    assert_eq!(names(migrator.down(1).await.unwrap()), ["000002_index"]);
}

#[tokio::test]
async fn a_newer_schema_is_left_alone() {
    let database = TestDb::new().await;
    let update = "UPDATE agentevals.schema_migrations SET version = 999";
    database.client().await.batch_execute(update).await.unwrap();
    let mut migrator = Migrator::connect(&database.settings()).await.unwrap();
    let error = migrator.up().await.unwrap_err();
    assert!(matches!(error, MigrateError::Newer { found: 999, known: LAST }), "{error}");
    assert!(matches!(migrator.force(999).await, Err(MigrateError::Unknown(999, LAST))));
}

#[tokio::test]
async fn a_schema_that_is_behind_is_seen_at_the_start() {
    let database = TestDb::empty().await;
    let mut migrator = Migrator::connect(&database.settings()).await.unwrap();
    let error = migrator.verify().await.unwrap_err();
    assert!(error.to_string().contains("`agentevals migrate up`"), "{error}");
    assert_eq!(names(migrator.pending().await.unwrap()), names(MIGRATIONS));
    assert!(catalog(&database.client().await, "agentevals").await.is_empty(), "looking changes nothing");
    migrator.up().await.unwrap();
    migrator.verify().await.unwrap();
}

#[tokio::test]
async fn another_migration_is_waited_for_only_so_long() {
    const SLOW: &[Migration] = &[Migration { up: "SELECT pg_sleep(60)", ..TABLE }];
    let database = TestDb::empty().await;
    let mut settings = database.settings();
    let mut slow = migrator(&settings, SLOW).await;
    let running = tokio::spawn(async move { slow.up().await.map(<[_]>::len) });
    settings.migrate_lock_timeout = Duration::from_millis(100);
    let mut second = migrator(&settings, &[TABLE]).await;
    while second.state().await.unwrap() == SchemaState::default() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Dirty, but only because somebody is at work: whoever looks waits, too.
    assert!(matches!(second.verify().await, Err(MigrateError::Locked(_))));
    assert!(matches!(second.up().await, Err(MigrateError::Locked(_))));
    running.abort();
}

#[tokio::test]
async fn tables_live_in_the_schema_that_is_named() {
    let database = TestDb::empty().await;
    let mut settings = database.settings();
    settings.schema = "order".parse().unwrap(); // a reserved word
    Migrator::connect(&settings).await.unwrap().up().await.unwrap();
    let client = database.client().await;
    assert!(catalog(&client, "agentevals").await.is_empty());
    let there = catalog(&client, "order").await;
    settings.schema = "agentevals".parse().unwrap();
    Migrator::connect(&settings).await.unwrap().up().await.unwrap();
    let renamed =
        there.iter().map(|line| line.replace("\"order\".", "agentevals.").replace("'order:", "'agentevals:"));
    assert_eq!(renamed.collect::<BTreeSet<_>>(), BTreeSet::from_iter(catalog(&client, "agentevals").await));
}

/// The text of a command about this database, with its exit code.
fn migrate(database: &TestDb, arguments: &[&str]) -> String {
    let mut command = agentevals();
    command.arg("migrate").args(arguments).env("AGENTEVALS_DATABASE_URL", database.url());
    text(&command.output().unwrap())
}

fn text(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{out}{err}exit code {}", output.status.code().unwrap())
}

#[tokio::test]
async fn the_command_says_what_it_did() {
    let database = TestDb::empty().await;
    let last = MIGRATIONS.last().unwrap().name;
    assert_eq!(migrate(&database, &["version"]), "0\nexit code 0");
    assert!(migrate(&database, &["up", "--dry-run"]).contains(&format!("would apply {last}\n")));
    assert_eq!(migrate(&database, &["version"]), "0\nexit code 0");
    assert!(migrate(&database, &["up"]).ends_with(&format!("applied {last}\nexit code 0")));
    assert_eq!(migrate(&database, &["up"]), "the schema is up to date\nexit code 0");
    assert_eq!(migrate(&database, &["version"]), format!("{LAST}\nexit code 0"));
    insta::assert_snapshot!(migrate(&database, &["down", "--steps", "1"]), @r"
    error: reverting migrations deletes data; say --yes
    exit code 2
    ");
    assert_eq!(
        migrate(&database, &["down", "--steps", "1", "--yes"]),
        format!("reverted {last}\nexit code 0")
    );
    assert!(migrate(&database, &["down", "--steps", "0", "--yes"]).ends_with("exit code 2"));
    assert_eq!(migrate(&database, &["force", "1"]), "the schema is declared to be at version 1\nexit code 0");
    let dirty = "UPDATE agentevals.schema_migrations SET dirty = true";
    database.client().await.batch_execute(dirty).await.unwrap();
    assert_eq!(migrate(&database, &["version"]), "1 (dirty)\nexit code 1");
    insta::assert_snapshot!(migrate(&database, &["up"]), @r"
    error: the schema is marked dirty at version 1: a migration stopped half way; look what it has done, complete or undo that, then say where the schema is with `agentevals migrate force VERSION`
    exit code 2
    ");
}

#[test]
fn the_command_writes_the_next_pair_of_files() {
    let folder = TempDir::new().unwrap();
    let create = |name: &str| {
        let mut command = agentevals();
        command.args(["migrate", "create", name, "-o"]).arg(folder.path());
        text(&command.output().unwrap()).replace(folder.path().to_str().unwrap(), "DIR")
    };
    insta::assert_snapshot!(create("first"), @r"
    created DIR/000001_first.up.sql
    created DIR/000001_first.down.sql
    exit code 0
    ");
    assert!(create("second").contains("DIR/000002_second.up.sql"));
    insta::assert_snapshot!(create("No Word"), @r"
    error: creating a migration in `DIR`: `No Word` is no name for a migration; it needs lower case letters, digits and `_`
    exit code 2
    ");
}

#[test]
fn the_command_says_why_there_is_no_database() {
    let with = |url: &str| {
        let mut command = agentevals();
        command.args(["migrate", "version", "--database-connect-timeout-s", "0.1"]);
        text(&command.env("AGENTEVALS_DATABASE_URL", url).output().unwrap())
    };
    insta::assert_snapshot!(with(""), @r"
    error: no database is named; set --database-url or AGENTEVALS_DATABASE_URL
    exit code 2
    ");
    insta::assert_snapshot!(with("host=db colour=red"), @r"
    error: the database URL cannot be used: invalid connection string: unknown option `colour`
    exit code 2
    ");
    insta::assert_snapshot!(with("postgres://me:hunter2@127.0.0.1:1/x"), @r"
     WARN waiting up to 100ms for the database: the database is not available: 127.0.0.1:1: error connecting to server: Connection refused (os error 111)
    error: the database is not available: 127.0.0.1:1: error connecting to server: Connection refused (os error 111)
    exit code 3
    ");
}
