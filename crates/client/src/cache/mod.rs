//! What this machine remembers of one person's work: a SQLite file for facts, a folder for pictures.
//!
//! **Invariant:** all SQL of the client is below here, and nothing here knows the network or a clock. A
//! transaction that returned is on the disk (`synchronous=FULL`).

pub(crate) mod annotations;
pub(crate) mod conflicts;
pub(crate) mod held_locks;
pub(crate) mod images;
pub(crate) mod installation;
pub(crate) mod journal;
pub(crate) mod kept;
pub(crate) mod labels;
pub(crate) mod outbox;
pub(crate) mod pictures;
pub(crate) mod projects;
pub(crate) mod undo;
pub(crate) mod watches;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use rusqlite_migration::{M, Migrations};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use crate::Error;

/// The cache as a step of it sees it, inside one transaction: handed from one of its files' functions to the next
/// by callers that write no SQL themselves.
pub(crate) type Db = Connection;

/// A second process of the same profile may be finishing; the window's patience is longer.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

const MIGRATIONS: &[M<'static>] = &[M::up(include_str!("migrations/0001.sql"))];

enum Job {
    Run(Box<dyn FnOnce(&mut Connection) + Send>),
    Close(oneshot::Sender<()>),
}

/// A handle on the one thread that has the database; what it is asked is done in order.
#[derive(Clone)]
pub(crate) struct Cache {
    jobs: mpsc::Sender<Job>,
}

impl Cache {
    /// Opens the file, made and brought up to date where needed.
    pub(crate) async fn open(path: &Path) -> Result<Self, Error> {
        let (jobs, inbox) = mpsc::channel();
        let (opened, outcome) = oneshot::channel();
        let path = path.to_owned();
        std::thread::Builder::new()
            .name("lockstep-cache".to_owned())
            .spawn(move || match open_connection(&path) {
                Ok(connection) => {
                    if opened.send(Ok(())).is_ok() {
                        run_jobs(connection, &inbox);
                    }
                }
                // Nobody left to tell means nobody wants it.
                Err(error) => drop(opened.send(Err(error))),
            })
            .map_err(|error| Error::Storage(error.to_string()))?;
        outcome.await.map_err(|_| Error::Closing)??;
        Ok(Self { jobs })
    }

    /// Reads, at one moment.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.run(TransactionBehavior::Deferred, work).await
    }

    /// Writes: all of it is on the disk when this returns `Ok`, and none of it after an `Err`.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.run(TransactionBehavior::Immediate, work).await
    }

    async fn run<T: Send + 'static>(
        &self,
        behavior: TransactionBehavior,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (done, outcome) = oneshot::channel();
        let job = move |connection: &mut Connection| {
            let step = || {
                let transaction = connection.transaction_with_behavior(behavior)?;
                let value = work(&transaction)?;
                transaction.commit()?;
                Ok(value)
            };
            // A panic in one step must not end all later ones; the dropped transaction has rolled back, and the
            // panic hook has said what it was.
            let result = catch_unwind(AssertUnwindSafe(step))
                .unwrap_or_else(|_| Err(Error::Storage("a step failed unexpectedly".to_owned())));
            // A caller that went away does not undo what it asked for.
            drop(done.send(result));
        };
        self.jobs
            .send(Job::Run(Box::new(job)))
            .map_err(|_| Error::Closing)?;
        outcome.await.map_err(|_| Error::Closing)?
    }

    /// Finishes what was asked before and closes the file.
    pub(crate) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.jobs.send(Job::Close(done)).is_ok() {
            // An error means the thread is gone, which is what was asked.
            drop(closed.await);
        }
    }
}

fn run_jobs(mut connection: Connection, inbox: &mpsc::Receiver<Job>) {
    while let Ok(job) = inbox.recv() {
        match job {
            Job::Run(work) => work(&mut connection),
            Job::Close(done) => {
                drop(connection);
                let _ = done.send(());
                return;
            }
        }
    }
}

fn open_connection(path: &Path) -> Result<Connection, Error> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    Migrations::from_slice(MIGRATIONS)
        .to_latest(&mut connection)
        .map_err(|error| Error::Storage(error.to_string()))?;
    Ok(connection)
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Storage(error.to_string())
    }
}

/// A value kept as JSON text in a column.
struct Json<T>(T);

impl<T: Serialize> ToSql for Json<T> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let text = serde_json::to_string(&self.0)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        Ok(text.into())
    }
}

impl<T: DeserializeOwned> FromSql for Json<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        serde_json::from_str(value.as_str()?)
            .map(Json)
            .map_err(|error| FromSqlError::Other(Box::new(error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_migrations_are_sound() {
        Migrations::from_slice(MIGRATIONS)
            .validate()
            .expect("migrations that run");
    }

    #[tokio::test]
    async fn a_failed_transaction_leaves_nothing_behind() {
        let dir = tempfile::tempdir().expect("a folder");
        let cache = Cache::open(&dir.path().join("cache.sqlite"))
            .await
            .expect("a cache");
        let place = crate::Place::new(&"p".into(), &"a".into());
        let failed = cache
            .write(move |tx| {
                watches::put(tx, &place)?;
                Err::<(), _>(Error::Closing)
            })
            .await;
        assert_eq!(failed, Err(Error::Closing));
        assert_eq!(cache.read(|tx| watches::all(tx)).await, Ok(Vec::new()));
    }

    #[tokio::test]
    async fn a_write_that_panics_is_rolled_back_and_the_next_one_works() {
        let dir = tempfile::tempdir().expect("a folder");
        let cache = Cache::open(&dir.path().join("cache.sqlite"))
            .await
            .expect("a cache");
        let place = crate::Place::new(&"p".into(), &"a".into());
        let panicked = cache
            .write(move |tx| -> Result<(), Error> {
                watches::put(tx, &place)?;
                panic!("in the middle")
            })
            .await;
        assert!(panicked.is_err());
        assert_eq!(cache.read(|tx| watches::all(tx)).await, Ok(Vec::new()));
    }

    #[tokio::test]
    async fn a_closed_cache_says_so() {
        let dir = tempfile::tempdir().expect("a folder");
        let cache = Cache::open(&dir.path().join("cache.sqlite"))
            .await
            .expect("a cache");
        cache.close().await;
        assert_eq!(cache.read(|tx| watches::all(tx)).await, Err(Error::Closing));
    }

    #[tokio::test]
    async fn s11_a_folder_that_cannot_be_written_is_a_clear_error() {
        let opened = Cache::open(Path::new("/proc/no such folder/cache.sqlite")).await;
        assert!(matches!(opened.err(), Some(Error::Storage(_))));
    }
}
