//! The locks this machine may still hold at the server, so that a crash does not keep an image from others
//! longer than it must.

use lockstep_wire::{ClientId, Generation};
use rusqlite::Connection;

use crate::{Error, Place};

/// A lock an earlier moment asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HeldLock {
    pub place: Place,
    /// Not known when the answer never came.
    pub generation: Option<Generation>,
    pub client_id: ClientId,
}

pub(crate) fn put(db: &Connection, lock: &HeldLock) -> Result<(), Error> {
    db.prepare_cached(
        "INSERT INTO held_locks (project_id, image_id, generation, client_id) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET generation = excluded.generation, client_id = excluded.client_id",
    )?
    .execute((
        lock.place.project.as_str(),
        lock.place.image.as_str(),
        lock.generation.map(|generation| generation.0),
        lock.client_id.as_str(),
    ))?;
    Ok(())
}

pub(crate) fn remove(db: &Connection, place: &Place) -> Result<(), Error> {
    db.prepare_cached("DELETE FROM held_locks WHERE project_id = ?1 AND image_id = ?2")?
        .execute((place.project.as_str(), place.image.as_str()))?;
    Ok(())
}

pub(crate) fn all(db: &Connection) -> Result<Vec<HeldLock>, Error> {
    let mut rows = db.prepare_cached(
        "SELECT project_id, image_id, generation, client_id FROM held_locks ORDER BY rowid",
    )?;
    let locks = rows.query_map([], |row| {
        let place = Place::new(
            &row.get::<_, String>(0)?.as_str().into(),
            &row.get::<_, String>(1)?.as_str().into(),
        );
        Ok(HeldLock {
            place,
            generation: row.get::<_, Option<i64>>(2)?.map(Generation),
            client_id: ClientId(row.get(3)?),
        })
    })?;
    Ok(locks.collect::<Result<_, _>>()?)
}
