//! Forgetting, a little at a time.

use std::time::Duration;

use rusqlite::{Transaction, params};

use super::clock::{Millis, now};
use crate::store::accounts::ENDED_KEPT;
use crate::store::tidy::{Kept, TIDIED_AT_ONCE};

/// Says how many rows went; fewer than a step's worth when there is nothing left to do.
pub(super) fn tidy(tx: &Transaction, kept: Kept) -> anyhow::Result<usize> {
    let now = now(tx)?;
    let before = |age: Duration| anyhow::Ok(Millis(now - chrono::Duration::from_std(age)?));
    // Rows are in the order they were written in, so the first few are the oldest: no index is needed to find them.
    let keys = tx.execute(
        "DELETE FROM applied_writes WHERE rowid IN
             (SELECT rowid FROM (SELECT rowid, applied_at FROM applied_writes ORDER BY rowid LIMIT ?2)
              WHERE applied_at <= ?1)",
        params![before(kept.keys)?, TIDIED_AT_ONCE],
    )?;
    let grants = tx.execute(
        "DELETE FROM lock_grants WHERE (project_id, image_id, generation) IN
             (SELECT project_id, image_id, generation FROM lock_grants AS one
              WHERE ended_at <= ?1 AND EXISTS
                  (SELECT 1 FROM lock_grants AS later WHERE later.project_id = one.project_id
                       AND later.image_id = one.image_id AND later.generation > one.generation)
              LIMIT ?2)",
        params![before(kept.grants)?, TIDIED_AT_ONCE],
    )?;
    let tokens = tx.execute(
        "DELETE FROM refresh_tokens WHERE hash IN (SELECT hash FROM refresh_tokens WHERE used_at <= ?1 LIMIT ?2)",
        params![before(kept.tokens)?, TIDIED_AT_ONCE],
    )?;
    let sessions = tx.execute(
        "DELETE FROM sessions WHERE id IN
             (SELECT id FROM sessions WHERE expires_at <= ?1 OR ended_at <= ?2 LIMIT ?3)",
        params![Millis(now), before(ENDED_KEPT)?, TIDIED_AT_ONCE],
    )?;
    let api_tokens = tx.execute(
        "DELETE FROM api_tokens WHERE id IN (SELECT id FROM api_tokens WHERE deleted_at <= ?1 LIMIT ?2)",
        params![before(ENDED_KEPT)?, TIDIED_AT_ONCE],
    )?;
    Ok(keys + grants + tokens + sessions + api_tokens)
}
