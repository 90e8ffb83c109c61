//! Live locks, the grants behind them, and the counter that outlives both.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use lockstep_wire::changes::ReleaseReason;
use lockstep_wire::refusal::Author;
use lockstep_wire::{ClientId, Generation, ImageId, Lock, ProjectId, UserId};
use rusqlite::{OptionalExtension as _, Row, Transaction, named_params, params};

use super::clock::{Millis, NOW, now};
use super::projects::if_member;
use crate::store::locks::{SETTLED_AT_ONCE, SIGN_OF_LIFE};
use crate::store::names::{from_name, to_name};
use crate::store::{
    Attempt, Ended, Ending, Hold, ImageKey, LockDecision, LockOutcome, LockQuestion, LockRule, LockScene,
    Party, PastGrant, Presence, outage,
};

/// The regular look. With no lock to lose there is nothing to make up for, and an idle server leaves the disk alone.
pub(super) fn sweep(tx: &Transaction) -> anyhow::Result<Vec<Ended>> {
    if tx.prepare_cached("SELECT 1 FROM image_locks")?.exists([])? {
        Ok(settle(tx)?.1)
    } else {
        Ok(Vec::new())
    }
}

/// What the clock says of all locks.
struct Due {
    now: DateTime<Utc>,
    /// The last sign of life.
    alive_at: DateTime<Utc>,
    /// When the first lock lapses.
    first: Option<DateTime<Utc>>,
}

fn due(tx: &Transaction) -> anyhow::Result<Due> {
    let sql = format!("SELECT {NOW}, alive_at, (SELECT min(expires_at) FROM image_locks) FROM server");
    let due = tx.prepare_cached(&sql)?.query_row([], |row| {
        Ok(Due {
            now: row.get::<_, Millis>(0)?.0,
            alive_at: row.get::<_, Millis>(1)?.0,
            first: row.get::<_, Option<Millis>>(2)?.map(|first| first.0),
        })
    })?;
    Ok(due)
}

/// The instant, once an outage is made up for and what has lapsed by then is ended. Whatever grants a lock must settle
/// first, so that the new lock is not made up to for the quiet time before it.
pub(super) fn settle(tx: &Transaction) -> anyhow::Result<(DateTime<Utc>, Vec<Ended>)> {
    let Due { now, alive_at, first } = due(tx)?;
    if let Some(away) = outage(alive_at, now) {
        tx.execute(
            "UPDATE image_locks SET expires_at = expires_at + ?2 WHERE expires_at > ?1",
            params![Millis(alive_at), away.num_milliseconds()],
        )?;
    }
    if (now - alive_at).abs() >= SIGN_OF_LIFE {
        tx.execute("UPDATE server SET alive_at = ?1", [Millis(now)])?;
    }
    if first.is_none_or(|due| due > now) {
        return Ok((now, Vec::new()));
    }
    let lapsed: Vec<(ImageKey, Millis)> = tx
        .prepare_cached(
            "SELECT project_id, image_id, expires_at FROM image_locks WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2",
        )?
        .query_map(params![Millis(now), SETTLED_AT_ONCE], |row| {
            Ok((ImageKey { project: ProjectId(row.get(0)?), image: ImageId(row.get(1)?) }, row.get(2)?))
        })?
        .collect::<Result<_, _>>()?;
    let mut ended = Vec::new();
    for (key, at) in lapsed {
        ended.extend(end(tx, &key, at.0, ReleaseReason::Expired, None)?);
    }
    Ok((now, ended))
}

/// Ends the image's lock, live or lapsed, and writes down how.
pub(super) fn end(
    tx: &Transaction,
    key: &ImageKey,
    at: DateTime<Utc>,
    reason: ReleaseReason,
    by: Option<UserId>,
) -> anyhow::Result<Option<Ended>> {
    let gone: Option<(i64, i64)> = tx
        .prepare_cached(
            "DELETE FROM image_locks WHERE project_id = ?1 AND image_id = ?2 RETURNING user_id, generation",
        )?
        .query_row([key.project.as_str(), key.image.as_str()], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let Some((user, generation)) = gone else {
        return Ok(None);
    };
    tx.prepare_cached(
        "UPDATE lock_grants SET ended_at = :at, end_reason = :reason, ended_by = :by
         WHERE project_id = :project AND image_id = :image AND generation = :generation",
    )?
    .execute(named_params! {
        ":at": Millis(at), ":reason": to_name(reason)?, ":by": by.map(|by| by.0),
        ":project": key.project.as_str(), ":image": key.image.as_str(), ":generation": generation,
    })?;
    Ok(Some(Ended {
        project: key.project.clone(),
        image: key.image.clone(),
        user: UserId(user),
        generation: Generation(generation),
        reason,
    }))
}

/// Gives the image to someone, whose generation is above every earlier one.
pub(super) fn grant(
    tx: &Transaction,
    key: &ImageKey,
    party: &Party,
    device: Option<&str>,
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> anyhow::Result<Lock> {
    let generation: i64 = tx
        .prepare_cached(
            "INSERT INTO lock_counters (project_id, image_id, generation)
             VALUES (?1, ?2, (SELECT generation_floor FROM server) + 1)
             ON CONFLICT (project_id, image_id)
             DO UPDATE SET generation = max(generation + 1, excluded.generation), held_for = NULL, held_until = NULL
             RETURNING generation",
        )?
        .query_row([key.project.as_str(), key.image.as_str()], |row| row.get(0))?;
    let client = party.client.as_ref().map(ClientId::as_str);
    tx.prepare_cached(
        "INSERT INTO image_locks (project_id, image_id, user_id, locked_at, expires_at, heartbeat_at, generation,
                                  client_id, device)
         VALUES (:project, :image, :user, :now, :expires, :now, :generation, :client, :device)",
    )?
    .execute(named_params! {
        ":project": key.project.as_str(), ":image": key.image.as_str(), ":user": party.user.0, ":now": Millis(now),
        ":expires": Millis(expires_at), ":generation": generation, ":client": client, ":device": device,
    })?;
    tx.prepare_cached(
        "INSERT INTO lock_grants (project_id, image_id, generation, user_id, client_id, device, granted_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        key.project.as_str(),
        key.image.as_str(),
        generation,
        party.user.0,
        client,
        device,
        Millis(now)
    ])?;
    let (user_name, user_email) = tx
        .prepare_cached("SELECT name, email FROM users WHERE id = ?1")?
        .query_row([party.user.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(Lock {
        image_id: key.image.clone(),
        user_id: party.user,
        locked_at: now,
        expires_at,
        heartbeat_at: now,
        user_name,
        user_email,
        generation: Generation(generation),
        client_id: party.client.clone(),
        device: device.map(str::to_owned),
    })
}

const LOCK: &str =
    "SELECT image_id, user_id, locked_at, expires_at, heartbeat_at, generation, client_id, device,
                           name, email
                    FROM image_locks JOIN users ON users.id = user_id";

fn lock_of(row: &Row) -> rusqlite::Result<Lock> {
    Ok(Lock {
        image_id: ImageId(row.get(0)?),
        user_id: UserId(row.get(1)?),
        locked_at: row.get::<_, Millis>(2)?.0,
        expires_at: row.get::<_, Millis>(3)?.0,
        heartbeat_at: row.get::<_, Millis>(4)?.0,
        user_name: row.get(8)?,
        user_email: row.get(9)?,
        generation: Generation(row.get(5)?),
        client_id: row.get::<_, Option<String>>(6)?.map(ClientId),
        device: row.get(7)?,
    })
}

/// The image's lock, be it live or lapsed.
fn found(tx: &Transaction, key: &ImageKey) -> anyhow::Result<Option<Lock>> {
    let sql = format!("{LOCK} WHERE project_id = ?1 AND image_id = ?2");
    let mut ask = tx.prepare_cached(&sql)?;
    Ok(ask
        .query_row([key.project.as_str(), key.image.as_str()], lock_of)
        .optional()?)
}

/// The live locks for a member, unless something must be settled before anyone looks.
pub(super) fn settled(
    tx: &Transaction,
    project: &ProjectId,
    reader: UserId,
) -> anyhow::Result<Option<Option<Vec<Lock>>>> {
    let Due { now, alive_at, first } = due(tx)?;
    if outage(alive_at, now).is_some() || first.is_some_and(|due| due <= now) {
        return Ok(None);
    }
    if_member(tx, project, reader, || live_locks(tx, project, now)).map(Some)
}

pub(super) fn locks(
    tx: &Transaction,
    project: &ProjectId,
    reader: UserId,
) -> anyhow::Result<(Option<Vec<Lock>>, Vec<Ended>)> {
    let (now, ended) = settle(tx)?;
    let locks = if_member(tx, project, reader, || live_locks(tx, project, now))?;
    Ok((locks, ended))
}

fn live_locks(tx: &Transaction, project: &ProjectId, now: DateTime<Utc>) -> anyhow::Result<Vec<Lock>> {
    let sql = format!("{LOCK} WHERE project_id = ?1 AND expires_at > ?2 ORDER BY image_id");
    let locks = tx
        .prepare_cached(&sql)?
        .query_map(params![project.as_str(), Millis(now)], lock_of)?
        .collect::<Result<_, _>>()?;
    Ok(locks)
}

/// The known locks that are no more, and the live ones that are not known.
pub(super) fn news(
    tx: &Transaction,
    project: &ProjectId,
    mut known: HashMap<ImageId, Generation>,
) -> anyhow::Result<(Vec<Ended>, Vec<Lock>)> {
    let mut granted = live_locks(tx, project, now(tx)?)?;
    granted.retain(|lock| match known.entry(lock.image_id.clone()) {
        Entry::Occupied(entry) if *entry.get() == lock.generation => {
            entry.remove();
            false
        }
        _ => true,
    });
    let mut ask = tx.prepare_cached(
        "SELECT user_id, end_reason FROM lock_grants WHERE project_id = ?1 AND image_id = ?2 AND generation = ?3",
    )?;
    let mut ended = Vec::with_capacity(known.len());
    for (image, generation) in known {
        let (user, reason): (i64, Option<String>) = ask
            .query_row(params![project.as_str(), image.as_str(), generation.0], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        ended.push(Ended {
            project: project.clone(),
            image,
            user: UserId(user),
            generation,
            // One that has lapsed may not have been ended yet.
            reason: reason.map_or(Ok(ReleaseReason::Expired), from_name)?,
        });
    }
    Ok((ended, granted))
}

/// How many are live in all projects.
pub(super) fn held(tx: &Transaction) -> anyhow::Result<u64> {
    let held: i64 = tx
        .prepare_cached("SELECT count(*) FROM image_locks WHERE expires_at > ?1")?
        .query_row([Millis(now(tx)?)], |row| row.get(0))?;
    Ok(held.unsigned_abs())
}

type GrantRow = (i64, Option<Millis>, Option<String>, Option<i64>, Option<String>);

const GRANT: &str = "SELECT generation, ended_at, end_reason, ended_by, name
                     FROM lock_grants LEFT JOIN users ON users.id = ended_by
                     WHERE project_id = :project AND image_id = :image AND user_id = :user";

fn past_grant((generation, at, reason, by, by_name): GrantRow) -> anyhow::Result<PastGrant> {
    let ended = match (at, reason) {
        (Some(at), Some(reason)) => {
            let by = by.zip(by_name).map(|(by, user_name)| Author {
                user_id: UserId(by),
                user_name,
            });
            Some(Ending {
                reason: from_name(reason)?,
                by,
                at: at.0,
            })
        }
        _ => None,
    };
    Ok(PastGrant {
        generation: Generation(generation),
        ended,
    })
}

fn grant_row(row: &Row) -> rusqlite::Result<GrantRow> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
}

fn own_last(tx: &Transaction, key: &ImageKey, party: &Party) -> anyhow::Result<Option<PastGrant>> {
    let sql = format!(
        "{GRANT} AND (:client IS NULL OR client_id IS NULL OR client_id = :client) ORDER BY generation DESC LIMIT 1"
    );
    let row = tx
        .prepare_cached(&sql)?
        .query_row(
            named_params! {
                ":project": key.project.as_str(), ":image": key.image.as_str(), ":user": party.user.0,
                ":client": party.client.as_ref().map(ClientId::as_str),
            },
            grant_row,
        )
        .optional()?;
    row.map(past_grant).transpose()
}

/// Where the party's latest grant was given: a save does not say, and one granted anew is still there.
pub(super) fn last_device(tx: &Transaction, key: &ImageKey, party: &Party) -> anyhow::Result<Option<String>> {
    let device = tx
        .prepare_cached(
            "SELECT device FROM lock_grants
             WHERE project_id = ?1 AND image_id = ?2 AND user_id = ?3 AND client_id IS ?4
             ORDER BY generation DESC LIMIT 1",
        )?
        .query_row(
            params![
                key.project.as_str(),
                key.image.as_str(),
                party.user.0,
                party.client.as_ref().map(ClientId::as_str)
            ],
            |row| row.get(0),
        )
        .optional()?;
    Ok(device.flatten())
}

fn named(
    tx: &Transaction,
    key: &ImageKey,
    party: &Party,
    generation: Option<Generation>,
) -> anyhow::Result<Option<PastGrant>> {
    let Some(generation) = generation else {
        return Ok(None);
    };
    let row = tx
        .prepare_cached(&format!("{GRANT} AND generation = :generation"))?
        .query_row(
            named_params! {
                ":project": key.project.as_str(), ":image": key.image.as_str(), ":user": party.user.0,
                ":generation": generation.0,
            },
            grant_row,
        )
        .optional()?;
    row.map(past_grant).transpose()
}

/// What a rule may know of an image's lock, and whether annotators may change everything there.
pub(super) fn scene(
    tx: &Transaction,
    key: &ImageKey,
    party: &Party,
    generation: Option<Generation>,
    now: DateTime<Utc>,
) -> anyhow::Result<(LockScene, bool)> {
    let live = found(tx, key)?.filter(|lock| lock.expires_at > now);
    scene_with(tx, key, party, generation, now, live)
}

fn scene_with(
    tx: &Transaction,
    key: &ImageKey,
    party: &Party,
    generation: Option<Generation>,
    now: DateTime<Utc>,
    live: Option<Lock>,
) -> anyhow::Result<(LockScene, bool)> {
    let mut ask = tx.prepare_cached(
        "SELECT revision, deleted_at, role, annotators_edit_all, generation, held_until, users.id, users.name, email
         FROM (SELECT 1)
         LEFT JOIN images ON images.project_id = :project AND images.id = :image
         LEFT JOIN members ON members.project_id = :project AND members.user_id = :user
         LEFT JOIN projects ON projects.id = :project
         LEFT JOIN lock_counters ON lock_counters.project_id = :project AND lock_counters.image_id = :image
         LEFT JOIN users ON users.id = held_for AND held_until > :now",
    )?;
    let mut rows = ask.query(named_params! {
        ":project": key.project.as_str(), ":image": key.image.as_str(), ":user": party.user.0, ":now": Millis(now),
    })?;
    let row = rows.next()?.context("a row of what there is")?;
    let revision: Option<i64> = row.get(0)?;
    let deleted_at: Option<i64> = row.get(1)?;
    let newest = Generation(row.get::<_, Option<i64>>(4)?.unwrap_or(0));
    let hold = match row.get::<_, Option<i64>>(6)? {
        Some(user) => Some(Hold {
            seen_as: Lock {
                image_id: key.image.clone(),
                user_id: UserId(user),
                locked_at: now,
                expires_at: row.get::<_, Millis>(5)?.0,
                heartbeat_at: now,
                user_name: row.get(7)?,
                user_email: row.get(8)?,
                generation: newest,
                client_id: None,
                device: None,
            },
        }),
        None => None,
    };
    // The live lock's own grant needs no second look.
    let lasting = |lock: &Lock| PastGrant {
        generation: lock.generation,
        ended: None,
    };
    let own_last = match live.as_ref().filter(|lock| party.holds(lock)) {
        Some(lock) => Some(lasting(lock)),
        None => own_last(tx, key, party)?,
    };
    let is_named = |lock: &&Lock| lock.user_id == party.user && Some(lock.generation) == generation;
    let named = match live.as_ref().filter(is_named) {
        Some(lock) => Some(lasting(lock)),
        None => named(tx, key, party, generation)?,
    };
    let scene = LockScene {
        now,
        role: row.get::<_, Option<String>>(2)?.map(from_name).transpose()?,
        image: match (revision, deleted_at) {
            (None, _) => Presence::Absent,
            (_, None) => Presence::Live,
            (_, Some(_)) => Presence::Deleted,
        },
        image_revision: revision.unwrap_or(0),
        live,
        newest,
        own_last,
        named,
        hold,
    };
    Ok((scene, row.get::<_, Option<bool>>(3)?.unwrap_or(false)))
}

/// One row for a person's attempts of a kind upon an image: an audit log that nobody can fill the disk with.
fn note_attempt(
    tx: &Transaction,
    key: &ImageKey,
    user: UserId,
    attempt: Attempt,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    tx.execute(
        "INSERT INTO lock_refusals (project_id, image_id, user_id, attempt, first_at, last_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?5)
         ON CONFLICT (project_id, image_id, user_id, attempt)
         DO UPDATE SET times = times + 1, last_at = excluded.last_at",
        params![
            key.project.as_str(),
            key.image.as_str(),
            user.0,
            to_name(attempt)?,
            Millis(now)
        ],
    )?;
    Ok(())
}

pub(super) fn update_lock(
    tx: &Transaction,
    question: &LockQuestion,
    rule: &LockRule,
) -> anyhow::Result<LockOutcome> {
    let LockQuestion {
        image: key,
        party,
        generation,
    } = question;
    let (now, mut ended) = settle(tx)?;
    let mut live = found(tx, key)?;
    // With thousands of lapsed locks this one may not have had its turn.
    if live.take_if(|lock| lock.expires_at <= now).is_some() {
        ended.extend(end(tx, key, now, ReleaseReason::Expired, None)?);
    }
    let (scene, _) = scene_with(tx, key, party, *generation, now, live)?;
    let decision = rule(&scene);
    let mut lock = scene.live;
    match &decision {
        LockDecision::Refuse(_) | LockDecision::HeldBy(_) | LockDecision::Nothing => {}
        LockDecision::RefuseAttempt(attempt, _) => note_attempt(tx, key, party.user, *attempt, now)?,
        LockDecision::Grant { expires_at, device } => {
            ended.extend(end(tx, key, now, ReleaseReason::TakenOver, Some(party.user))?);
            lock = Some(grant(tx, key, party, device.as_deref(), now, *expires_at)?);
        }
        LockDecision::Renew { expires_at } => {
            tx.prepare_cached(
                "UPDATE image_locks SET heartbeat_at = ?3, expires_at = ?4, client_id = coalesce(client_id, ?5)
                 WHERE project_id = ?1 AND image_id = ?2",
            )?
            .execute(params![
                key.project.as_str(),
                key.image.as_str(),
                Millis(now),
                Millis(*expires_at),
                party.client.as_ref().map(ClientId::as_str)
            ])?;
            lock = lock.map(|lock| Lock {
                heartbeat_at: now,
                expires_at: *expires_at,
                client_id: lock.client_id.or_else(|| party.client.clone()),
                ..lock
            });
        }
        LockDecision::End { reason, hold_until } => {
            lock = None;
            let by = (*reason != ReleaseReason::Released).then_some(party.user);
            ended.extend(end(tx, key, now, *reason, by)?);
            if let Some(until) = hold_until {
                tx.prepare_cached(
                    "UPDATE lock_counters SET held_for = ?3, held_until = ?4 WHERE project_id = ?1 AND image_id = ?2",
                )?
                .execute(params![key.project.as_str(), key.image.as_str(), party.user.0, Millis(*until)])?;
            }
        }
    }
    Ok(LockOutcome {
        now,
        decision,
        lock,
        image_revision: scene.image_revision,
        ended,
    })
}
