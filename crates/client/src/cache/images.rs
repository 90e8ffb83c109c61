//! The images of a project as the list shows them; who holds each is not stored, it is only known while online.

use lockstep_wire::{Image, ProjectId};
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::Json;
use crate::view::{ImageRow, LockView};
use crate::{Error, Place};

/// An image's revision never goes back: a page read earlier may be stored later.
pub(crate) fn put(db: &Connection, project: &ProjectId, image: &Image) -> Result<(), Error> {
    db.prepare_cached(
        "INSERT INTO images (project_id, id, file_name, revision, image) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO UPDATE
         SET file_name = excluded.file_name, revision = excluded.revision, image = excluded.image
         WHERE excluded.revision >= revision",
    )?
    .execute((
        project.as_str(),
        image.id.as_str(),
        &image.file_name,
        image.revision,
        Json(image),
    ))?;
    Ok(())
}

pub(crate) fn get(db: &Connection, place: &Place) -> Result<Option<Image>, Error> {
    let row = db
        .prepare_cached("SELECT image FROM images WHERE project_id = ?1 AND id = ?2")?
        .query_row((place.project.as_str(), place.image.as_str()), |row| {
            row.get::<_, Json<Image>>(0)
        })
        .optional()?;
    Ok(row.map(|json| json.0))
}

/// The image is gone at the server; with unsent work on it, it stays here as an orphan.
pub(crate) fn remove(db: &Connection, place: &Place) -> Result<(), Error> {
    db.execute(
        "DELETE FROM images WHERE project_id = ?1 AND id = ?2
         AND NOT EXISTS (SELECT 1 FROM outbox WHERE project_id = ?1 AND image_id = ?2)",
        (place.project.as_str(), place.image.as_str()),
    )?;
    Ok(())
}

pub(crate) fn revision(db: &Connection, place: &Place) -> Result<Option<i64>, Error> {
    Ok(db
        .prepare_cached("SELECT revision FROM images WHERE project_id = ?1 AND id = ?2")?
        .query_row((place.project.as_str(), place.image.as_str()), |row| row.get(0))
        .optional()?)
}

/// The image is known to be as new as this: lists that were read earlier no longer say what is gone.
pub(crate) fn advance_revision(db: &Connection, place: &Place, revision: i64) -> Result<(), Error> {
    db.prepare_cached("UPDATE images SET revision = max(revision, ?3) WHERE project_id = ?1 AND id = ?2")?
        .execute((place.project.as_str(), place.image.as_str(), revision))?;
    Ok(())
}

pub(crate) fn set_displaced(db: &Connection, place: &Place, displaced: bool) -> Result<(), Error> {
    db.execute(
        "UPDATE images SET displaced = ?3 WHERE project_id = ?1 AND id = ?2",
        (place.project.as_str(), place.image.as_str(), displaced),
    )?;
    Ok(())
}

/// Where unsent work waits for its author to take the image back.
pub(crate) fn is_displaced(db: &Connection, place: &Place) -> Result<bool, Error> {
    Ok(db
        .prepare_cached("SELECT displaced FROM images WHERE project_id = ?1 AND id = ?2")?
        .query_row((place.project.as_str(), place.image.as_str()), |row| row.get(0))
        .optional()?
        .unwrap_or(false))
}

/// Once the feed has been read to its end, what is drawn here is all there is; until then the server's count
/// is nearer the truth.
const ROW: &str = "SELECT images.id, image,
    CASE WHEN (SELECT complete FROM projects WHERE projects.id = images.project_id)
         THEN (SELECT count(*) FROM annotations WHERE project_id = images.project_id AND image_id = images.id
               AND working IS NOT NULL) END,
    (SELECT count(DISTINCT annotation_id) FROM outbox WHERE project_id = images.project_id
     AND image_id = images.id AND state IN ('waiting', 'sent')),
    (SELECT count(*) FROM conflicts WHERE project_id = images.project_id AND image_id = images.id),
    EXISTS (SELECT 1 FROM watches WHERE project_id = images.project_id AND image_id = images.id)
    FROM images";

fn read_row(row: &Row<'_>) -> rusqlite::Result<ImageRow> {
    let image = row.get::<_, Json<Image>>(1)?.0;
    Ok(ImageRow {
        id: image.id,
        file_name: image.file_name,
        width: image.width,
        height: image.height,
        annotation_count: row.get::<_, Option<u32>>(2)?.unwrap_or(image.annotation_count),
        lock: LockView::Unknown,
        unsent: row.get(3)?,
        conflicts: row.get(4)?,
        watched: row.get(5)?,
    })
}

/// The list in its order; who holds what is filled in by whoever knows.
pub(crate) fn rows(db: &Connection, project: &ProjectId) -> Result<Vec<ImageRow>, Error> {
    let mut rows = db.prepare_cached(&format!("{ROW} WHERE project_id = ?1 ORDER BY file_name, id"))?;
    let views = rows.query_map([project.as_str()], read_row)?;
    Ok(views.collect::<Result<_, _>>()?)
}

pub(crate) fn row(db: &Connection, place: &Place) -> Result<Option<ImageRow>, Error> {
    Ok(db
        .prepare_cached(&format!("{ROW} WHERE project_id = ?1 AND images.id = ?2"))?
        .query_row((place.project.as_str(), place.image.as_str()), read_row)
        .optional()?)
}

/// What the image is called, for messages; its id where it is not known.
pub(crate) fn file_name(db: &Connection, place: &Place) -> Result<String, Error> {
    Ok(get(db, place)?.map_or_else(|| place.image.0.clone(), |image: Image| image.file_name))
}
