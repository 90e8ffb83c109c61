//! Who may touch what at the same time, and the ends of locks that nobody asked for.
//!
//! Writers take turns by advisory locks, which live in memory and end with their transaction: whoever looks at an image
//! to change what is said about it, or who holds it, is alone on the image, and one among others in its project; whoever
//! changes what everyone there goes by (members, labels) is alone in the project. The project always comes first, then
//! images in the order of their keys, so nobody waits in a circle.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use chrono::{DateTime, Utc};
use deadpool_postgres::Pool;
use lockstep_wire::changes::ReleaseReason;
use lockstep_wire::{ClientId, Generation, ImageId, Lock, ProjectId, UserId};

use super::clock::Millis;
use super::connection::{Columns, Connection, Transaction};
use crate::store::locks::{OUTAGE, SETTLED_AT_ONCE, SIGN_OF_LIFE};
use crate::store::names::{from_name, to_name};
use crate::store::{Ended, ImageKey, outage};

pub(super) async fn alone_in(tx: &Transaction, project: &ProjectId) -> anyhow::Result<()> {
    let sql = "SELECT pg_advisory_xact_lock(hashtextextended($1, 1))";
    tx.execute(sql, &[&project.as_str()]).await?;
    Ok(())
}

pub(super) async fn one_among_others_in(tx: &Transaction, project: &ProjectId) -> anyhow::Result<()> {
    let sql = "SELECT pg_advisory_xact_lock_shared(hashtextextended($1, 1))";
    tx.execute(sql, &[&project.as_str()]).await?;
    Ok(())
}

pub(super) async fn alone_on(tx: &Transaction, key: &ImageKey) -> anyhow::Result<()> {
    let sql = "SELECT pg_advisory_xact_lock(hashtextextended($1 || '/' || $2, 2))";
    tx.execute(sql, &[&key.project.as_str(), &key.image.as_str()])
        .await?;
    Ok(())
}

/// The same for many images at once: those named, and those of the named annotations. Says which they are.
pub(super) const ALONE_ON_ALL: &str = "
    WITH places AS MATERIALIZED (
        SELECT project, image FROM unnest($1::text[], $2::text[]) AS named (project, image) WHERE image IS NOT NULL
        UNION SELECT project_id, image_id FROM annotations WHERE id = ANY ($3))
    SELECT project, image, CASE WHEN image IS NULL THEN pg_advisory_xact_lock_shared(key)
                                ELSE pg_advisory_xact_lock(key) END
    FROM (SELECT 1 AS turn, project, NULL AS image, hashtextextended(project, 1) AS key FROM places
          UNION SELECT 2, project, image, hashtextextended(project || '/' || image, 2) FROM places
          ORDER BY turn, key) AS turns";

/// Ends the image's lock, live or lapsed, and writes down how.
pub(super) async fn end(
    tx: &Transaction,
    key: &ImageKey,
    reason: ReleaseReason,
    by: Option<UserId>,
) -> anyhow::Result<Option<Ended>> {
    let gone = tx
        .query_opt(
            "WITH gone AS (
                 DELETE FROM image_locks WHERE project_id = $1 AND image_id = $2 RETURNING user_id, generation),
             noted AS (
                 UPDATE lock_grants SET ended_at = now_ms(), end_reason = $3, ended_by = $4 FROM gone
                 WHERE project_id = $1 AND image_id = $2 AND lock_grants.generation = gone.generation)
             SELECT user_id, generation FROM gone",
            &[
                &key.project.as_str(),
                &key.image.as_str(),
                &to_name(reason)?,
                &by.map(|by| by.0),
            ],
        )
        .await?;
    let Some(row) = gone else {
        return Ok(None);
    };
    Ok(Some(Ended {
        project: key.project.clone(),
        image: key.image.clone(),
        user: UserId(row.try_get(0)?),
        generation: Generation(row.try_get(1)?),
        reason,
    }))
}

/// Whether there is anything to settle, seen from the row of `server`: an outage, a sign of life that grows old, a lapsed
/// lock. The instant is a subquery's, for the index's sake.
pub(super) const UNSETTLED: &str = "(abs(now_ms() - server.alive_at) >= 5000
    OR EXISTS (SELECT FROM image_locks AS lapsed WHERE lapsed.expires_at <= (SELECT now_ms())))";

const _: () = assert!(
    SIGN_OF_LIFE.num_milliseconds() == 5000,
    "UNSETTLED says so in SQL"
);

/// Never waits: whoever is alone on an image right now will see for himself that its lock has lapsed.
const END_LAPSED: &str = "
    WITH clock AS MATERIALIZED (SELECT now_ms() AS now, alive_at FROM server),
    lapsed AS MATERIALIZED (
        SELECT image_locks.id, project_id, image_id FROM image_locks, clock
        WHERE expires_at <= now AND now - alive_at <= $1 ORDER BY expires_at LIMIT $2),
    mine AS MATERIALIZED (
        SELECT id FROM lapsed WHERE pg_try_advisory_xact_lock(hashtextextended(project_id || '/' || image_id, 2))),
    gone AS (
        DELETE FROM image_locks USING mine, clock WHERE image_locks.id = mine.id AND expires_at <= now
        RETURNING project_id, image_id, user_id, generation, expires_at),
    noted AS (
        UPDATE lock_grants SET ended_at = gone.expires_at, end_reason = $3 FROM gone
        WHERE lock_grants.project_id = gone.project_id AND lock_grants.image_id = gone.image_id
          AND lock_grants.generation = gone.generation)
    SELECT now, alive_at, project_id, image_id, user_id, generation FROM clock LEFT JOIN gone ON true";

/// Makes up for an outage, then ends what has lapsed. Whatever grants a lock must settle first, so that the new lock is
/// not made up to for the quiet time before it.
pub(super) async fn settle(pool: &Pool) -> anyhow::Result<Vec<Ended>> {
    make_up(pool).await?;
    let db = Connection::of(pool).await?;
    let rows = db
        .query(
            END_LAPSED,
            &[
                &OUTAGE.num_milliseconds(),
                &i64::from(SETTLED_AT_ONCE),
                &to_name(ReleaseReason::Expired)?,
            ],
        )
        .await?;
    let mut ended = Vec::new();
    for row in &rows {
        let mut columns = Columns::of(row);
        columns.skip(2);
        let Some(project) = columns.next()? else {
            break;
        };
        ended.push(Ended {
            project: ProjectId(project),
            image: ImageId(columns.next()?),
            user: UserId(columns.next()?),
            generation: Generation(columns.next()?),
            reason: ReleaseReason::Expired,
        });
    }
    Ok(ended)
}

/// The sign of life, when it has grown old, and what an outage took from every lease.
async fn make_up(pool: &Pool) -> anyhow::Result<()> {
    let tx = Transaction::begin(pool).await?;
    let stale = tx
        .query_opt(
            "SELECT alive_at FROM server WHERE abs(now_ms() - alive_at) >= $1 FOR UPDATE",
            &[&SIGN_OF_LIFE.num_milliseconds()],
        )
        .await?;
    if let Some(row) = stale {
        let alive_at: Millis = row.try_get(0)?;
        let now: Millis = tx.query_one("SELECT now_ms()", &[]).await?.try_get(0)?;
        if let Some(away) = outage(alive_at.0, now.0) {
            tx.execute(
                "UPDATE image_locks SET expires_at = expires_at + $2 WHERE expires_at > $1",
                &[&alive_at, &away.num_milliseconds()],
            )
            .await?;
        }
        tx.execute("UPDATE server SET alive_at = $1", &[&now]).await?;
    }
    tx.commit().await
}

/// The regular look. With no lock to lose there is nothing to make up for, and an idle server leaves the disk alone.
pub(super) async fn sweep(pool: &Pool) -> anyhow::Result<Vec<Ended>> {
    let db = Connection::of(pool).await?;
    let sql = format!("SELECT EXISTS (SELECT FROM image_locks) AND {UNSETTLED} FROM server");
    let due: bool = db.query_one(&sql, &[]).await?.try_get(0)?;
    drop(db);
    if due { settle(pool).await } else { Ok(Vec::new()) }
}

/// With its holder as `holders`.
pub(super) const COLUMNS: &str = "image_locks.image_id, image_locks.user_id, image_locks.locked_at,
    image_locks.expires_at, image_locks.heartbeat_at, image_locks.generation, image_locks.client_id,
    image_locks.device, holders.name, holders.email";

/// Of [`COLUMNS`].
const COLUMN_COUNT: usize = 10;

/// From [`COLUMNS`]; nothing where a join found no lock.
pub(super) fn lock_of(columns: &mut Columns<'_>) -> anyhow::Result<Option<Lock>> {
    let Some(image) = columns.next::<Option<String>>()? else {
        columns.skip(COLUMN_COUNT - 1);
        return Ok(None);
    };
    let time =
        |columns: &mut Columns<'_>| -> anyhow::Result<DateTime<Utc>> { Ok(columns.next::<Millis>()?.0) };
    let user_id = UserId(columns.next()?);
    let (locked_at, expires_at, heartbeat_at) = (time(columns)?, time(columns)?, time(columns)?);
    let generation = Generation(columns.next()?);
    let client_id: Option<String> = columns.next()?;
    Ok(Some(Lock {
        image_id: ImageId(image),
        user_id,
        locked_at,
        expires_at,
        heartbeat_at,
        generation,
        client_id: client_id.map(ClientId),
        device: columns.next()?,
        user_name: columns.next()?,
        user_email: columns.next()?,
    }))
}

pub(super) async fn locks(
    pool: &Pool,
    project: &ProjectId,
    reader: UserId,
) -> anyhow::Result<(Option<Vec<Lock>>, Vec<Ended>)> {
    let ended = sweep(pool).await?;
    let sql = format!(
        "SELECT {COLUMNS} FROM members
         LEFT JOIN image_locks ON image_locks.project_id = members.project_id AND expires_at > (SELECT now_ms())
         LEFT JOIN users AS holders ON holders.id = image_locks.user_id
         WHERE members.project_id = $1 AND members.user_id = $2 ORDER BY image_locks.image_id"
    );
    let db = Connection::of(pool).await?;
    let rows = db.query(&sql, &[&project.as_str(), &reader.0]).await?;
    if rows.is_empty() {
        return Ok((None, ended));
    }
    let mut locks = Vec::with_capacity(rows.len());
    for row in &rows {
        locks.extend(lock_of(&mut Columns::of(row))?);
    }
    Ok((Some(locks), ended))
}

pub(super) async fn held(pool: &Pool) -> anyhow::Result<u64> {
    let db = Connection::of(pool).await?;
    let count = db
        .query_one(
            "SELECT count(*) FROM image_locks WHERE expires_at > (SELECT now_ms())",
            &[],
        )
        .await?;
    Ok(u64::try_from(count.try_get::<_, i64>(0)?)?)
}

pub(super) async fn news(
    db: &Connection,
    project: &ProjectId,
    mut known: HashMap<ImageId, Generation>,
) -> anyhow::Result<(Vec<Ended>, Vec<Lock>)> {
    let sql = format!(
        "SELECT {COLUMNS} FROM image_locks JOIN users AS holders ON holders.id = image_locks.user_id
         WHERE project_id = $1 AND expires_at > (SELECT now_ms()) ORDER BY image_id"
    );
    let mut granted = Vec::new();
    for row in db.query(&sql, &[&project.as_str()]).await? {
        granted.extend(lock_of(&mut Columns::of(&row))?);
    }
    granted.retain(|lock| match known.entry(lock.image_id.clone()) {
        Entry::Occupied(entry) if *entry.get() == lock.generation => {
            entry.remove();
            false
        }
        _ => true,
    });
    let images: Vec<_> = known.keys().map(ImageId::as_str).collect();
    let generations: Vec<_> = known.values().map(|generation| generation.0).collect();
    let ends = db
        .query(
            "SELECT image_id, user_id, generation, end_reason
             FROM lock_grants JOIN unnest($2::text[], $3::bigint[]) AS known (image, number)
                ON image_id = image AND generation = number
             WHERE project_id = $1",
            &[&project.as_str(), &images, &generations],
        )
        .await?;
    let mut ended = Vec::with_capacity(ends.len());
    for row in &ends {
        // One that has lapsed may not have been ended yet.
        let reason: Option<String> = row.try_get(3)?;
        ended.push(Ended {
            project: project.clone(),
            image: ImageId(row.try_get(0)?),
            user: UserId(row.try_get(1)?),
            generation: Generation(row.try_get(2)?),
            reason: reason.map_or(Ok(ReleaseReason::Expired), from_name)?,
        });
    }
    Ok((ended, granted))
}
