//! Where a test's server keeps its data: a database of either kind, and a folder for the images. Also the test's own
//! hand on the database, for what no client can see or do.

use std::path::PathBuf;
use std::sync::Arc;

use lockstep_server::store::sqlite::SqliteStore;
use lockstep_server::{Blobs, Service, Settings};
use rusqlite::types::ValueRef;

/// What every test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    Sqlite,
}

/// `on_every_database![one, other];` makes of each `async fn one(database: Database)` the tests `one::sqlite` and
/// `one::postgres`. A function that is not listed is never used, which is an error.
#[allow(unused_macros, reason = "each test file uses its own part of the world")]
macro_rules! on_every_database {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                super::$name($crate::world::Database::Sqlite).await;
            }
        }
    )+};
}

/// Gone with its owner.
pub struct Place {
    pub folder: tempfile::TempDir,
    pub database: Database,
}

impl Place {
    /// An empty one.
    pub fn new(database: Database) -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            database,
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("lockstep.sqlite")
    }

    /// A service on it, without its HTTP.
    pub async fn open(&self, settings: Settings) -> Arc<Service> {
        let store = match self.database {
            Database::Sqlite => SqliteStore::open(&self.file()).expect("a store"),
        };
        let blobs = Blobs::folder(&self.folder.path().join("blobs")).expect("a folder of images");
        Service::open(Arc::new(store), blobs, settings)
            .await
            .expect("a service")
    }

    /// What the database answers, as text; NULL is empty.
    pub async fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        match self.database {
            Database::Sqlite => self.sqlite_rows(sql),
        }
    }

    fn sqlite_rows(&self, sql: &str) -> Vec<Vec<String>> {
        let connection = rusqlite::Connection::open(self.file()).expect("a database");
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
