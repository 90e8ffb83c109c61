//! Times as columns hold them: milliseconds since 1970, by the database's `now_ms()`.

use std::error::Error;

use bytes::BytesMut;
use chrono::{DateTime, Utc};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};

/// A time as a column holds it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Millis(pub(super) DateTime<Utc>);

impl<'a> FromSql<'a> for Millis {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        let millis = i64::from_sql(kind, raw)?;
        DateTime::from_timestamp_millis(millis)
            .map(Self)
            .ok_or_else(|| "a time beyond all times".into())
    }

    accepts!(INT8);
}

impl ToSql for Millis {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        self.0.timestamp_millis().to_sql(kind, out)
    }

    accepts!(INT8);
    to_sql_checked!();
}
