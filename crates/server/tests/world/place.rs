//! Where a test's servers keep their data: a database of either kind, and a folder for the images. Also the test's own
//! hand on the database, for what no client can see or do.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use lockstep_server::store::Database;
use lockstep_server::{Blobs, PasswordWork, Service, Settings};
use rusqlite::types::ValueRef;

/// What every test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// `on_every_engine![one, other];` makes of each `async fn one(engine: Engine)` the tests `one::sqlite` and
/// `one::postgres`. A function that is not listed is never used, which is an error.
#[allow(unused_macros, reason = "each test file uses its own part of the world")]
macro_rules! on_every_engine {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                super::$name($crate::world::Engine::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                super::$name($crate::world::Engine::Postgres).await;
            }
        }
    )+};
}

/// Times are milliseconds on both engines.
const LATER: &str = "
    UPDATE image_locks SET locked_at = locked_at - (MS), heartbeat_at = heartbeat_at - (MS), expires_at = expires_at - (MS);
    UPDATE lock_grants SET granted_at = granted_at - (MS), ended_at = ended_at - (MS);
    UPDATE lock_counters SET held_until = held_until - (MS);";

/// Gone with its owner.
pub struct Place {
    pub folder: tempfile::TempDir,
    pub engine: Engine,
    pub url: String,
}

impl Place {
    /// An empty one.
    pub fn new(engine: Engine) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = match engine {
            Engine::Sqlite => format!("sqlite:{}", folder.path().join("lockstep.sqlite").display()),
            Engine::Postgres => lockstep_cluster::shared().new_database().expect("a database"),
        };
        Self { folder, engine, url }
    }

    pub fn database(&self) -> Database {
        self.url.parse().expect("a URL")
    }

    fn blobs(&self) -> PathBuf {
        self.folder.path().join("blobs")
    }

    /// How the program is told of it.
    pub fn arguments(&self) -> [OsString; 4] {
        [
            "--database".into(),
            self.url.clone().into(),
            "--blobs".into(),
            self.blobs().into(),
        ]
    }

    /// A service on it, without its HTTP.
    pub async fn open(&self, settings: Settings) -> Arc<Service> {
        let settings = Settings {
            password_work: PasswordWork::LEAST,
            ..settings
        };
        self.open_as_told(settings).await
    }

    /// With passwords hashed as dearly as the settings say.
    pub async fn open_as_told(&self, settings: Settings) -> Arc<Service> {
        let store = self.database().open().await.expect("a store");
        let blobs = Blobs::folder(&self.blobs()).expect("a folder of images");
        Service::open(store, blobs, settings).await.expect("a service")
    }

    /// What the database answers, as text; NULL is empty.
    pub async fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        match self.engine {
            Engine::Sqlite => self.sqlite_rows(sql),
            Engine::Postgres => self.postgres_rows(sql).await,
        }
    }

    /// The one number it answers.
    pub async fn number(&self, sql: &str) -> i64 {
        self.rows(sql).await[0][0].parse().expect("a number")
    }

    /// As told, in one transaction.
    pub async fn run(&self, sql: &str) {
        match self.engine {
            Engine::Sqlite => {
                let whole = format!("BEGIN IMMEDIATE; {sql}; COMMIT");
                self.sqlite().execute_batch(&whole).expect("SQL");
            }
            // Several statements at once are one transaction.
            Engine::Postgres => self.postgres().await.batch_execute(sql).await.expect("SQL"),
        }
    }

    /// Nobody can write about locks until what comes back is dropped.
    pub async fn held_up(&self) -> Box<dyn std::any::Any + Send> {
        match self.engine {
            Engine::Sqlite => {
                let connection = self.sqlite();
                connection.execute_batch("BEGIN IMMEDIATE").expect("SQL");
                Box::new(connection)
            }
            Engine::Postgres => {
                let connection = self.postgres().await;
                let hold = "BEGIN; LOCK TABLE image_locks IN ACCESS EXCLUSIVE MODE";
                connection.batch_execute(hold).await.expect("SQL");
                Box::new(connection)
            }
        }
    }

    /// The present as the database's columns hold it.
    pub fn now(&self) -> &'static str {
        match self.engine {
            Engine::Sqlite => "CAST(round(unixepoch('now', 'subsec') * 1000) AS INTEGER)",
            Engine::Postgres => "now_ms()",
        }
    }

    /// Time goes by, for locks and for the audit log: everything they hold happened that much earlier.
    pub async fn pass(&self, ms: u64) {
        self.run(&LATER.replace("MS", &ms.to_string())).await;
    }

    /// The database's clock is set forward, or back: as `pass`, and the server's sign of life is as much older.
    pub async fn step_clock(&self, ms: i64) {
        let sign_of_life = "UPDATE server SET alive_at = alive_at - (MS);";
        self.run(&format!("{LATER} {sign_of_life}").replace("MS", &ms.to_string()))
            .await;
    }

    fn sqlite(&self) -> rusqlite::Connection {
        let file = self.url.trim_start_matches("sqlite:");
        let connection = rusqlite::Connection::open(file).expect("a database");
        connection.busy_timeout(super::PATIENCE).expect("a setting");
        connection
    }

    async fn postgres(&self) -> tokio_postgres::Client {
        let (client, connection) = tokio_postgres::connect(&self.url, tokio_postgres::NoTls)
            .await
            .expect("a connection");
        // Until the client is dropped.
        tokio::spawn(connection);
        client
    }

    async fn postgres_rows(&self, sql: &str) -> Vec<Vec<String>> {
        let answer = self.postgres().await.simple_query(sql).await.expect("SQL");
        let rows = answer.iter().filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        rows.map(|row| {
            (0..row.len())
                .map(|column| row.get(column).unwrap_or_default().to_owned())
                .collect()
        })
        .collect()
    }

    fn sqlite_rows(&self, sql: &str) -> Vec<Vec<String>> {
        let connection = self.sqlite();
        let mut ask = connection.prepare(sql).expect("SQL");
        let columns = ask.column_count();
        let text = |value: ValueRef<'_>| match value {
            ValueRef::Null => String::new(),
            ValueRef::Integer(number) => number.to_string(),
            ValueRef::Real(number) => number.to_string(),
            ValueRef::Text(text) | ValueRef::Blob(text) => String::from_utf8_lossy(text).into_owned(),
        };
        let rows = ask.query_map([], |row| {
            (0..columns).map(|column| row.get_ref(column).map(text)).collect()
        });
        rows.expect("rows").collect::<Result<_, _>>().expect("rows")
    }
}
