//! The images someone wants to be told of when they are free.

use rusqlite::Connection;

use crate::{Error, Place};

pub(crate) fn put(db: &Connection, place: &Place) -> Result<(), Error> {
    db.prepare_cached("INSERT OR IGNORE INTO watches (project_id, image_id) VALUES (?1, ?2)")?
        .execute((place.project.as_str(), place.image.as_str()))?;
    Ok(())
}

/// True for the one who removed it: a watch tells once.
pub(crate) fn remove(db: &Connection, place: &Place) -> Result<bool, Error> {
    let removed = db
        .prepare_cached("DELETE FROM watches WHERE project_id = ?1 AND image_id = ?2")?
        .execute((place.project.as_str(), place.image.as_str()))?;
    Ok(removed > 0)
}

pub(crate) fn all(db: &Connection) -> Result<Vec<Place>, Error> {
    let mut rows = db.prepare_cached("SELECT project_id, image_id FROM watches ORDER BY rowid")?;
    let places = rows.query_map([], |row| {
        Ok(Place::new(
            &row.get::<_, String>(0)?.as_str().into(),
            &row.get::<_, String>(1)?.as_str().into(),
        ))
    })?;
    Ok(places.collect::<Result<_, _>>()?)
}
