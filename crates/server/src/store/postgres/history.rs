//! Noticing that the data is not the one that was acknowledged: a copy, a restored backup, or a standby's that took over.
//!
//! Every such database has lost what was committed last elsewhere, or may have. So it gets a new data epoch, by which
//! clients know to send again what it lacks, and a floor below which no lock's generation and no image's revision is
//! given again.
//!
//! **Invariant:** every connection is looked at before anything else is done with it.

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};
use uuid::Uuid;

use super::copy::HIGHEST_GENERATION;
use crate::store::copy::generation_floor;

/// What tells one history of the data from another: the cluster, its timeline (which a promoted standby and a recovery
/// to a point in time begin anew), the database in it, and the table (which a restored dump makes anew). Where something
/// may not be asked for, the rest has to do.
const HISTORIES: [&str; 3] = [
    "SELECT concat_ws('/', system_identifier, left(pg_walfile_name(pg_current_wal_lsn()), 8), pg_database.oid,
                      'server'::regclass::oid)
     FROM pg_control_system(), pg_database WHERE datname = current_database()",
    "SELECT concat_ws('/', left(pg_walfile_name(pg_current_wal_lsn()), 8), pg_database.oid, 'server'::regclass::oid)
     FROM pg_database WHERE datname = current_database()",
    "SELECT concat_ws('/', pg_database.oid, 'server'::regclass::oid) FROM pg_database WHERE datname = current_database()",
];

/// Ends the epoch if the history is another one. Of several servers that notice, one does it.
pub(super) async fn look(client: &Client) -> Result<(), Error> {
    let history = history(client).await?;
    let known = client.query_opt("SELECT history FROM server", &[]).await?;
    let Some(known) = known.map(|row| row.try_get::<_, Option<String>>(0)).transpose()? else {
        return Ok(());
    };
    match known {
        Some(known) if known == history => Ok(()),
        Some(_) => {
            let now: i64 = client.query_one("SELECT now_ms()", &[]).await?.try_get(0)?;
            let highest = client.query_one(HIGHEST_GENERATION, &[]).await?.try_get(0)?;
            let ended = client
                .execute(
                    "UPDATE server SET history = $1, data_epoch = $2, generation_floor = $3 WHERE history <> $1",
                    &[&history, &Uuid::now_v7().to_string(), &generation_floor(highest, now)],
                )
                .await?;
            if ended > 0 {
                tracing::warn!(
                    "the database was restored, copied or has failed over: a new data epoch begins"
                );
            }
            Ok(())
        }
        None => {
            let note = "UPDATE server SET history = $1 WHERE history IS NULL";
            client.execute(note, &[&history]).await.map(|_| ())
        }
    }
}

async fn history(client: &Client) -> Result<String, Error> {
    let mut refused = None;
    for sql in HISTORIES {
        match client.query_one(sql, &[]).await {
            Ok(row) => return row.try_get(0),
            Err(error) => match error.code() {
                Some(&SqlState::INSUFFICIENT_PRIVILEGE | &SqlState::UNDEFINED_FUNCTION) => {
                    refused = Some(error);
                }
                _ => return Err(error),
            },
        }
    }
    Err(refused.expect("every one was refused"))
}
