//! Work the server has not acknowledged, in the order in which it was begun.
//!
//! **Invariant:** what was sent under a key never changes and leaves only by an answer; at most one further entry
//! of the same annotation waits behind it and takes up all later edits.

use lockstep_wire::{AnnotationFields, AnnotationId, IdempotencyKey, UpdateAnnotation, Version};
use rusqlite::{Connection, OptionalExtension as _};
use serde::{Deserialize, Serialize};

use super::Json;
use crate::{Error, Place};

/// What goes to the server, word for word the same however often it is sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(crate) enum Write {
    Create { fields: AnnotationFields },
    Update { request: UpdateAnnotation },
    Delete { version: Version },
}

/// A write under its key.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sent {
    pub annotation: AnnotationId,
    pub key: IdempotencyKey,
    pub write: Write,
}

/// What an entry that is not on its way waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Draft {
    /// Its turn.
    Waiting,
    /// A decision.
    Conflict,
    /// Its author: the server refused it.
    Refused,
}

impl Draft {
    fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Conflict => "conflict",
            Self::Refused => "refused",
        }
    }
}

pub(crate) fn draft(db: &Connection, annotation: &AnnotationId) -> Result<Option<Draft>, Error> {
    let state = db
        .prepare_cached("SELECT state FROM outbox WHERE annotation_id = ?1 AND state <> 'sent'")?
        .query_row([annotation.as_str()], |row| row.get::<_, String>(0))
        .optional()?;
    Ok(state.map(|state| match state.as_str() {
        "conflict" => Draft::Conflict,
        "refused" => Draft::Refused,
        _ => Draft::Waiting,
    }))
}

/// The entry behind what was sent: made where there is none.
pub(crate) fn set_draft(
    db: &Connection,
    place: &Place,
    annotation: &AnnotationId,
    state: Draft,
    refusal: Option<&str>,
) -> Result<(), Error> {
    db.prepare_cached(
        "INSERT INTO outbox (annotation_id, project_id, image_id, state, refusal) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (annotation_id) WHERE state <> 'sent'
         DO UPDATE SET state = excluded.state, refusal = excluded.refusal",
    )?
    .execute((
        annotation.as_str(),
        place.project.as_str(),
        place.image.as_str(),
        state.name(),
        refusal,
    ))?;
    Ok(())
}

pub(crate) fn remove_draft(db: &Connection, annotation: &AnnotationId) -> Result<(), Error> {
    db.prepare_cached("DELETE FROM outbox WHERE annotation_id = ?1 AND state <> 'sent'")?
        .execute([annotation.as_str()])?;
    Ok(())
}

pub(crate) fn sent(db: &Connection, annotation: &AnnotationId) -> Result<Option<Sent>, Error> {
    let row = db
        .prepare_cached("SELECT key, write FROM outbox WHERE annotation_id = ?1 AND state = 'sent'")?
        .query_row([annotation.as_str()], |row| {
            Ok((IdempotencyKey(row.get(0)?), row.get::<_, Json<_>>(1)?.0))
        })
        .optional()?;
    Ok(row.map(|(key, write)| Sent {
        annotation: annotation.clone(),
        key,
        write,
    }))
}

/// The waiting entry becomes a sent one, before it is sent the first time.
pub(crate) fn seal(
    db: &Connection,
    annotation: &AnnotationId,
    key: &IdempotencyKey,
    write: &Write,
) -> Result<(), Error> {
    db.prepare_cached(
        "UPDATE outbox SET state = 'sent', key = ?2, write = ?3 WHERE annotation_id = ?1 AND state = 'waiting'",
    )?
    .execute((annotation.as_str(), key.as_str(), Json(write)))?;
    Ok(())
}

/// The server answered this key: true for the first who says so.
pub(crate) fn answered(db: &Connection, key: &IdempotencyKey) -> Result<bool, Error> {
    Ok(db
        .prepare_cached("DELETE FROM outbox WHERE key = ?1")?
        .execute([key.as_str()])?
        > 0)
}

/// Annotations of the image with something to send, in the order in which that was begun.
pub(crate) fn sendable(db: &Connection, place: &Place) -> Result<Vec<AnnotationId>, Error> {
    let mut rows = db.prepare_cached(
        "SELECT annotation_id FROM outbox WHERE project_id = ?1 AND image_id = ?2
         AND state IN ('waiting', 'sent') GROUP BY annotation_id ORDER BY min(seq)",
    )?;
    let ids = rows.query_map((place.project.as_str(), place.image.as_str()), |row| {
        Ok(AnnotationId(row.get(0)?))
    })?;
    Ok(ids.collect::<Result<_, _>>()?)
}

/// Images with something to send, in the order in which that was begun.
pub(crate) fn places(db: &Connection) -> Result<Vec<Place>, Error> {
    let mut rows = db.prepare_cached(
        "SELECT project_id, image_id FROM outbox WHERE state IN ('waiting', 'sent')
         GROUP BY project_id, image_id ORDER BY min(seq)",
    )?;
    let places = rows.query_map([], |row| {
        Ok(Place::new(
            &row.get::<_, String>(0)?.as_str().into(),
            &row.get::<_, String>(1)?.as_str().into(),
        ))
    })?;
    Ok(places.collect::<Result<_, _>>()?)
}

/// How much waits, of all images.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub unsent: u32,
    pub conflicts: u32,
    pub refused: u32,
}

pub(crate) fn counts(db: &Connection) -> Result<Counts, Error> {
    let mut row = db.prepare_cached(
        "SELECT count(DISTINCT annotation_id) FILTER (WHERE state IN ('waiting', 'sent')),
                count(*) FILTER (WHERE state = 'conflict'), count(*) FILTER (WHERE state = 'refused') FROM outbox",
    )?;
    Ok(row.query_row([], |row| {
        Ok(Counts {
            unsent: row.get(0)?,
            conflicts: row.get(1)?,
            refused: row.get(2)?,
        })
    })?)
}
