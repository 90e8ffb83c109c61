//! Versions that lost a conflict, for their author to bring back.

use chrono::{DateTime, Utc};
use lockstep_wire::{AnnotationFields, AnnotationId};
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::Json;
use crate::view::KeptVersion;
use crate::{Error, Place};

pub(crate) fn put(
    db: &Connection,
    place: &Place,
    annotation: &AnnotationId,
    author: Option<&str>,
    fields: Option<&AnnotationFields>,
    kept_at: DateTime<Utc>,
) -> Result<(), Error> {
    db.execute(
        "INSERT INTO kept_versions (annotation_id, project_id, image_id, author, fields, kept_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        (
            annotation.as_str(),
            place.project.as_str(),
            place.image.as_str(),
            author,
            fields.map(Json),
            kept_at,
        ),
    )?;
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<KeptVersion> {
    Ok(KeptVersion {
        id: row.get(0)?,
        annotation_id: AnnotationId(row.get(1)?),
        author: row.get(2)?,
        fields: row.get::<_, Option<Json<_>>>(3)?.map(|json| json.0),
        kept_at: row.get(4)?,
    })
}

/// Newest first.
pub(crate) fn of_image(db: &Connection, place: &Place) -> Result<Vec<KeptVersion>, Error> {
    let mut rows = db.prepare_cached(
        "SELECT id, annotation_id, author, fields, kept_at FROM kept_versions
         WHERE project_id = ?1 AND image_id = ?2 ORDER BY id DESC",
    )?;
    let versions = rows.query_map((place.project.as_str(), place.image.as_str()), read)?;
    Ok(versions.collect::<Result<_, _>>()?)
}

/// One of the image's kept versions.
pub(crate) fn get(db: &Connection, place: &Place, id: i64) -> Result<Option<KeptVersion>, Error> {
    Ok(db
        .prepare_cached(
            "SELECT id, annotation_id, author, fields, kept_at FROM kept_versions
             WHERE project_id = ?1 AND image_id = ?2 AND id = ?3",
        )?
        .query_row((place.project.as_str(), place.image.as_str(), id), read)
        .optional()?)
}
