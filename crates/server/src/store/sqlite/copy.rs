//! A consistent copy of a live database, and its way back.
//!
//! **Invariant:** a database in use is never replaced, and what is replaced is moved aside, never deleted.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, params};

use super::clock::{Millis, now};
use super::{connect, create_private, migrations};
use crate::store::copy::{Copied, Facts, ImageBytes, Restored, generation_floor};

/// Pages copied between two words of progress: some eight megabytes.
const PAGES: i32 = 2048;

/// Copies the database in `path` into a new file. Writers go on meanwhile; the copy is of the instant it began.
pub(crate) fn copy(path: &Path, into: &Path, progress: &dyn Fn(u64, u64)) -> anyhow::Result<Copied> {
    let source = connect(path)?;
    // While this transaction is open the copy's every page is of its instant, and no write makes it begin anew.
    source.execute_batch("BEGIN; SELECT count(*) FROM sqlite_master;")?;
    create_private(into).with_context(|| format!("cannot make {}", into.display()))?;
    let mut copied = Connection::open(into).with_context(|| format!("cannot make {}", into.display()))?;
    {
        let backup = Backup::new(&source, &mut copied)?;
        while backup.step(PAGES)? != StepResult::Done {
            let at = backup.progress();
            let total = u64::try_from(at.pagecount).unwrap_or(0);
            progress(total - u64::try_from(at.remaining).unwrap_or(0), total);
        }
    }
    // One file, without a log beside it.
    copied.pragma_update(None, "journal_mode", "DELETE")?;
    let facts = check(&copied).context("the database is damaged")?;
    let images = copied
        .prepare("SELECT content_hash, max(deleted_at IS NULL) FROM images GROUP BY content_hash ORDER BY content_hash")?
        .query_map([], |row| {
            Ok(ImageBytes {
                hash: row.get(0)?,
                live: row.get(1)?,
            })
        })?
        .collect::<Result<_, _>>()?;
    Ok(Copied { facts, images })
}

/// What a copy says of itself, if it is whole.
fn check(copied: &Connection) -> anyhow::Result<Facts> {
    let verdict: String = copied.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    ensure!(verdict == "ok", "{verdict}");
    let tables: Vec<String> = copied
        .prepare(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name",
        )?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut rows = BTreeMap::new();
    for table in tables {
        let count: i64 =
            copied.query_row(&format!("SELECT count(*) FROM \"{table}\""), [], |row| row.get(0))?;
        rows.insert(table, count.unsigned_abs());
    }
    Ok(Facts {
        schema_steps: migrations::standing(copied)?.taken,
        data_epoch: copied.query_row("SELECT data_epoch FROM server", [], |row| row.get(0))?,
        rows,
    })
}

/// Makes a copy the database in `path`. One that is there is moved aside, if that is wanted.
pub(crate) fn restore(
    path: &Path,
    copied: &Path,
    facts: &Facts,
    aside: Option<&str>,
) -> anyhow::Result<Restored> {
    let _alone = migrations::lock(path)?;
    let coming = path.with_extension("restoring");
    let _ = std::fs::remove_file(&coming);
    let brought = create_private(&coming).and_then(|mut file| io::copy(&mut File::open(copied)?, &mut file));
    brought.with_context(|| format!("cannot write {}", coming.display()))?;
    let restored = settle(path, &coming, facts, aside);
    if restored.is_err() {
        let _ = std::fs::remove_file(&coming);
    }
    restored
}

fn settle(path: &Path, coming: &Path, facts: &Facts, aside: Option<&str>) -> anyhow::Result<Restored> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut database = Connection::open_with_flags(coming, flags)?;
    database.pragma_update(None, "foreign_keys", true)?;
    let found = check(&database).context("the backup's database is damaged")?;
    ensure!(
        found == *facts,
        "the backup's database does not hold what its manifest says: {found:?} in place of {facts:?}"
    );
    migrations::up(&mut database)?;
    let mut known = highest_generation(&database)?;
    let mut moved = None;
    if path.exists() {
        let Some(aside) = aside else {
            bail!("there is a database {} already", path.display());
        };
        let old = close_old(path)?;
        known = known.max(old);
        moved = Some(path.with_extension(format!("sqlite.{aside}")));
    }
    let transaction = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let data_epoch = begin_anew(&transaction, known)?;
    transaction.commit()?;
    drop(database);
    File::open(coming)?.sync_all()?;
    if let Some(moved) = &moved {
        std::fs::rename(path, moved).with_context(|| format!("cannot move {} aside", path.display()))?;
    }
    std::fs::rename(coming, path).with_context(|| format!("cannot make {}", path.display()))?;
    Ok(Restored {
        data_epoch,
        aside: moved.map(|moved: PathBuf| moved.display().to_string()),
    })
}

/// Writes everything of the old database into its file, which only works when nobody else has it open.
fn close_old(path: &Path) -> anyhow::Result<i64> {
    let old = Connection::open(path)?;
    let in_use = || format!("{} is in use; stop its server first", path.display());
    let mode: String = old
        .query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0))
        .with_context(in_use)?;
    ensure!(mode == "delete", in_use());
    // An older or damaged one may not say; the time puts the new floor above it all the same.
    Ok(highest_generation(&old).unwrap_or(0))
}

fn highest_generation(database: &Connection) -> anyhow::Result<i64> {
    Ok(database.query_row(
        "SELECT max(generation_floor, coalesce((SELECT max(generation) FROM lock_counters), 0)) FROM server",
        [],
        |row| row.get(0),
    )?)
}

/// What came back is another server's data: clients must notice, and nothing that was given out since the copy may be
/// taken for something given out from now on. Its locks are over, everyone signs in again (a token may be of an account
/// that is someone else's now), and generations rise.
fn begin_anew(tx: &Transaction, known: i64) -> anyhow::Result<String> {
    let now = now(tx)?;
    let data_epoch = uuid::Uuid::now_v7().to_string();
    let mut signing_key = [0; 32];
    getrandom::fill(&mut signing_key)?;
    let floor = generation_floor(known, now.timestamp_millis());
    tx.execute(
        "UPDATE server SET data_epoch = ?1, signing_key = ?2, alive_at = ?3, generation_floor = ?4",
        params![data_epoch, signing_key, Millis(now), floor],
    )?;
    tx.execute("DELETE FROM sessions", [])?;
    tx.execute("DELETE FROM image_locks", [])?;
    tx.execute(
        "UPDATE lock_grants SET ended_at = ?1, end_reason = 'expired' WHERE ended_at IS NULL",
        [Millis(now)],
    )?;
    tx.execute("UPDATE lock_counters SET held_for = NULL, held_until = NULL", [])?;
    Ok(data_epoch)
}
