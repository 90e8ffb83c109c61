//! The database's clock, to the millisecond.

use chrono::{DateTime, Utc};
use rusqlite::Transaction;
use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

/// The instant, inside a statement.
pub(super) const NOW: &str = "CAST(round(unixepoch('now', 'subsec') * 1000) AS INTEGER)";

/// The instant of a transaction.
pub(super) fn now(tx: &Transaction) -> rusqlite::Result<DateTime<Utc>> {
    let mut ask = tx.prepare_cached(&format!("SELECT {NOW}"))?;
    ask.query_row([], |row| row.get::<_, Millis>(0)).map(|now| now.0)
}

/// A time as a column holds it: milliseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(super) struct Millis(pub(super) DateTime<Utc>);

impl FromSql for Millis {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let millis = i64::column_result(value)?;
        DateTime::from_timestamp_millis(millis)
            .map(Self)
            .ok_or(rusqlite::types::FromSqlError::OutOfRange(millis))
    }
}

impl ToSql for Millis {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.timestamp_millis().into())
    }
}
