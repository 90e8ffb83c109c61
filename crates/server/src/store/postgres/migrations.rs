//! The schema, step by step, forward and back, with the same steps as SQLite's.
//!
//! The runner is our own: no well-kept library takes steps of a tokio-postgres database back. All steps of one call are
//! one transaction, under an advisory lock, so that several servers may start at once.
//!
//! **Invariant:** the last two steps are, from the end, `image_locks` and `annotations.version`: the contract lets an
//! operator roll back exactly these.

use anyhow::{Context as _, ensure};
use tokio_postgres::{Client, Transaction};

use crate::store::Standing;

struct Step {
    up: &'static str,
    down: &'static str,
}

macro_rules! step {
    ($name:literal) => {
        Step {
            up: include_str!(concat!("migrations/", $name, ".up.sql")),
            down: include_str!(concat!("migrations/", $name, ".down.sql")),
        }
    };
}

const STEPS: &[Step] = &[
    step!("01_projects"),
    step!("02_versions"),
    step!("03_image_locks"),
];

/// Steps this program knows.
pub(super) const KNOWN: usize = STEPS.len();

/// Any number no one else on this database uses: "Lockstep" in ASCII.
const ALONE: i64 = 0x4c6f_636b_7374_6570;

const TABLE: &str =
    "CREATE TABLE IF NOT EXISTS schema_steps (step BIGINT PRIMARY KEY, taken_at TIMESTAMPTZ NOT NULL)";

/// Takes every step that is left.
pub(super) async fn up(client: &mut Client) -> anyhow::Result<Standing> {
    to(client, |_| STEPS.len())
        .await
        .context("cannot bring the database's schema up to date")
}

/// Takes the last `steps` back.
pub(super) async fn down(client: &mut Client, steps: usize) -> anyhow::Result<Standing> {
    to(client, |taken| taken.saturating_sub(steps))
        .await
        .context("cannot take the database's schema back")
}

/// Where the schema stands.
pub(super) async fn status(client: &mut Client) -> anyhow::Result<Standing> {
    let tx = client.transaction().await?;
    let there = tx
        .query_one("SELECT to_regclass('schema_steps') IS NOT NULL", &[])
        .await?;
    let taken = match there.try_get(0)? {
        true => taken(&tx).await?,
        false => 0,
    };
    Ok(standing(taken))
}

fn standing(taken: usize) -> Standing {
    Standing {
        taken,
        known: STEPS.len(),
    }
}

pub(super) async fn taken(tx: &Transaction<'_>) -> anyhow::Result<usize> {
    let row = tx.query_one("SELECT count(*) FROM schema_steps", &[]).await?;
    Ok(usize::try_from(row.try_get::<_, i64>(0)?)?)
}

async fn to(client: &mut Client, target: impl FnOnce(usize) -> usize) -> anyhow::Result<Standing> {
    let tx = client.transaction().await?;
    // Large tables take long, and so may whoever goes first.
    tx.batch_execute("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0")
        .await?;
    tx.execute("SELECT pg_advisory_xact_lock($1)", &[&ALONE]).await?;
    tx.batch_execute(TABLE).await?;
    let from = taken(&tx).await?;
    ensure!(
        from <= STEPS.len(),
        "the database was made by a newer version of this program"
    );
    let target = target(from);
    for (index, step) in STEPS.iter().enumerate().take(target).skip(from) {
        tx.batch_execute(step.up).await?;
        let number = i64::try_from(index)? + 1;
        let note = "INSERT INTO schema_steps VALUES ($1, now())";
        tx.execute(note, &[&number]).await?;
    }
    for (index, step) in STEPS.iter().enumerate().take(from).skip(target).rev() {
        tx.batch_execute(step.down).await?;
        let number = i64::try_from(index)? + 1;
        tx.execute("DELETE FROM schema_steps WHERE step = $1", &[&number])
            .await?;
    }
    tx.commit().await?;
    Ok(standing(target))
}
