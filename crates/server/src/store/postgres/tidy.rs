//! Forgetting, a little at a time.

use std::time::Duration;

use anyhow::Context as _;
use deadpool_postgres::Pool;

use super::connection::Connection;
use crate::store::accounts::ENDED_KEPT;
use crate::store::tidy::{Kept, TIDIED_AT_ONCE};

type Step = (&'static str, fn(Kept) -> Duration);

/// What goes, by its age in milliseconds and how many at once. What another server is forgetting right now is skipped.
const STEPS: [Step; 6] = [
    (
        "DELETE FROM applied_writes WHERE ctid = ANY (ARRAY(
             SELECT ctid FROM applied_writes WHERE applied_at <= (SELECT now_ms() - $1)
             LIMIT $2 FOR UPDATE SKIP LOCKED))",
        |kept| kept.keys,
    ),
    (
        "DELETE FROM lock_grants WHERE ctid = ANY (ARRAY(
             SELECT ctid FROM lock_grants AS one WHERE ended_at <= (SELECT now_ms() - $1) AND EXISTS (
                 SELECT FROM lock_grants AS later WHERE later.project_id = one.project_id
                    AND later.image_id = one.image_id AND later.generation > one.generation)
             LIMIT $2 FOR UPDATE OF one SKIP LOCKED))",
        |kept| kept.grants,
    ),
    (
        "DELETE FROM refresh_tokens WHERE ctid = ANY (ARRAY(
             SELECT ctid FROM refresh_tokens WHERE used_at <= (SELECT now_ms() - $1)
             LIMIT $2 FOR UPDATE SKIP LOCKED))",
        |kept| kept.tokens,
    ),
    (
        "DELETE FROM sessions WHERE ctid = ANY (ARRAY(
             SELECT ctid FROM sessions WHERE expires_at <= (SELECT now_ms() - $1) LIMIT $2 FOR UPDATE SKIP LOCKED))",
        |_| Duration::ZERO,
    ),
    (
        "DELETE FROM sessions WHERE ctid = ANY (ARRAY(
             SELECT ctid FROM sessions WHERE ended_at <= (SELECT now_ms() - $1) LIMIT $2 FOR UPDATE SKIP LOCKED))",
        |_| ENDED_KEPT,
    ),
    (
        "DELETE FROM api_tokens WHERE ctid = ANY (ARRAY(
             SELECT ctid FROM api_tokens WHERE deleted_at <= (SELECT now_ms() - $1) LIMIT $2 FOR UPDATE SKIP LOCKED))",
        |_| ENDED_KEPT,
    ),
];

/// Says how many rows went; fewer than a step's worth when there is nothing left to do.
pub(super) async fn tidy(pool: &Pool, kept: Kept) -> anyhow::Result<usize> {
    let db = Connection::of(pool).await?;
    let mut gone = 0;
    for (sql, age) in STEPS {
        let age = i64::try_from(age(kept).as_millis()).context("an age beyond all times")?;
        gone += db.execute(sql, &[&age, &i64::from(TIDIED_AT_ONCE)]).await?;
    }
    Ok(usize::try_from(gone)?)
}
