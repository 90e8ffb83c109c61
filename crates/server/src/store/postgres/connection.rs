//! Connections, transactions, and which failures are worth another try.
//!
//! **Invariant:** a connection whose transaction was not ended properly never goes back to the pool.

use std::io;
use std::ops::Deref;

use anyhow::Context as _;
use deadpool_postgres::{HookError, Object, Pool, PoolError};
use tokio::time::error::Elapsed;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};

use crate::store::StoreError;

pub(super) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// A connection of the pool's.
pub(super) struct Connection(Object);

impl Connection {
    pub(super) async fn of(pool: &Pool) -> anyhow::Result<Self> {
        Ok(Self(pool.get().await?))
    }

    /// Prepared once per connection.
    pub(super) async fn prepare(&self, sql: &str) -> anyhow::Result<Statement> {
        Ok(self.0.prepare_cached(sql).await?)
    }

    pub(super) async fn query(&self, sql: &str, params: Params<'_>) -> anyhow::Result<Vec<Row>> {
        Ok(self.0.query(&self.prepare(sql).await?, params).await?)
    }

    /// Sent as soon as it is first polled.
    pub(super) async fn query_prepared(
        &self,
        statement: &Statement,
        params: Params<'_>,
    ) -> anyhow::Result<Vec<Row>> {
        Ok(self.0.query(statement, params).await?)
    }

    pub(super) async fn query_opt(&self, sql: &str, params: Params<'_>) -> anyhow::Result<Option<Row>> {
        Ok(self.0.query_opt(&self.prepare(sql).await?, params).await?)
    }

    pub(super) async fn query_one(&self, sql: &str, params: Params<'_>) -> anyhow::Result<Row> {
        Ok(self.0.query_one(&self.prepare(sql).await?, params).await?)
    }

    pub(super) async fn execute(&self, sql: &str, params: Params<'_>) -> anyhow::Result<u64> {
        Ok(self.0.execute(&self.prepare(sql).await?, params).await?)
    }

    /// Several statements without parameters.
    pub(super) async fn run(&self, sql: &str) -> anyhow::Result<()> {
        Ok(self.0.batch_execute(sql).await?)
    }
}

/// A connection in a transaction. Dropped before its end, it is closed, and the database rolls back.
pub(super) struct Transaction(Option<Connection>);

impl Transaction {
    pub(super) async fn begin(pool: &Pool) -> anyhow::Result<Self> {
        let begun = Self::unbegun(Connection::of(pool).await?);
        begun.run("BEGIN").await?;
        Ok(begun)
    }

    /// For whoever sends the `BEGIN` together with what follows it.
    pub(super) fn unbegun(connection: Connection) -> Self {
        Self(Some(connection))
    }

    pub(super) async fn commit(self) -> anyhow::Result<()> {
        self.run("COMMIT").await?;
        self.ended();
        Ok(())
    }

    /// For whoever has sent the `COMMIT` together with what came before it, or has rolled back.
    pub(super) fn ended(mut self) -> Option<Connection> {
        self.0.take()
    }

    pub(super) async fn roll_back(self) -> anyhow::Result<Option<Connection>> {
        self.run("ROLLBACK").await?;
        Ok(self.ended())
    }
}

impl Deref for Transaction {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.0.as_ref().expect("only its end takes the connection")
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if let Some(Connection(object)) = self.0.take() {
            drop(Object::take(object));
        }
    }
}

/// How often a transaction that lost against another one is run.
pub(super) const ATTEMPTS: usize = 6;

/// Runs a transaction again when it lost against another one and has left nothing.
pub(super) async fn retrying<T, F>(mut transaction: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>>,
{
    for _ in 1..ATTEMPTS {
        match transaction().await {
            Err(error) if lost_a_race(&error) => {}
            outcome => return outcome,
        }
    }
    transaction().await
}

fn postgres(error: &anyhow::Error) -> Option<&tokio_postgres::Error> {
    if let Some(error) = error.downcast_ref::<tokio_postgres::Error>() {
        return Some(error);
    }
    match error.downcast_ref::<PoolError>()? {
        PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => Some(error),
        _ => None,
    }
}

/// A deadlock, or a row that someone else made meanwhile: the same again will see what is there now.
pub(super) fn lost_a_race(error: &anyhow::Error) -> bool {
    let races = [
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::UNIQUE_VIOLATION,
    ];
    let code = postgres(error).and_then(tokio_postgres::Error::code);
    code.is_some_and(|code| races.contains(code))
}

/// The connection is lost, or there was none to be had, or nothing came back on it.
pub(super) fn is_unreachable(error: &anyhow::Error) -> bool {
    if let Some(PoolError::Timeout(_)) = error.downcast_ref() {
        return true;
    }
    if error.is::<Elapsed>() {
        return true;
    }
    let Some(error) = postgres(error) else {
        return false;
    };
    let states = [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::TOO_MANY_CONNECTIONS,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        // A standby, or a server that was demoted: another one is the primary now.
        SqlState::READ_ONLY_SQL_TRANSACTION,
        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
    ];
    match error.code() {
        Some(code) => states.contains(code) || code.code().starts_with("08"),
        None => {
            error.is_closed()
                || std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<io::Error>)
        }
    }
}

/// As the service understands it.
pub(super) fn store_error(error: anyhow::Error) -> StoreError {
    let waits = [
        SqlState::QUERY_CANCELED,
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::OUT_OF_MEMORY,
    ];
    if is_unreachable(&error) {
        tracing::warn!("the database is out of reach: {error:#}");
        return StoreError::Busy;
    }
    match postgres(&error).and_then(tokio_postgres::Error::code) {
        Some(code) if waits.contains(code) => StoreError::Busy,
        Some(_) if lost_a_race(&error) => StoreError::Busy,
        Some(code) if [SqlState::DISK_FULL, SqlState::IO_ERROR].contains(code) => {
            StoreError::Unwritable(error)
        }
        _ => StoreError::Failed(error),
    }
}

/// Reads a row's columns one after the other.
pub(super) struct Columns<'r> {
    row: &'r Row,
    at: usize,
}

impl<'r> Columns<'r> {
    pub(super) fn of(row: &'r Row) -> Self {
        Self { row, at: 0 }
    }

    pub(super) fn next<T: tokio_postgres::types::FromSql<'r>>(&mut self) -> anyhow::Result<T> {
        let value = self.row.try_get(self.at);
        let value = value.with_context(|| format!("column {}", self.at))?;
        self.at += 1;
        Ok(value)
    }

    pub(super) fn skip(&mut self, columns: usize) {
        self.at += columns;
    }
}
