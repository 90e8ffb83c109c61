//! Conflicts that wait for a decision, with the server's side as it was when it was found.

use chrono::{DateTime, Utc};
use lockstep_wire::{Annotation, AnnotationId, Version};
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::{Json, annotations, images};
use crate::view::ConflictView;
use crate::{Error, Place};

/// The server's side of a conflict.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Conflict {
    pub place: Place,
    pub annotation: AnnotationId,
    /// `None`: deleted there.
    pub theirs: Option<Annotation>,
    pub your_version: Version,
    pub current_version: Version,
    pub last_updated_at: DateTime<Utc>,
    pub last_updated_by: String,
    pub fields: Vec<String>,
}

/// True when this is news: the same conflict is not announced twice.
pub(crate) fn put(db: &Connection, conflict: &Conflict) -> Result<bool, Error> {
    let known = get(db, &conflict.annotation)?;
    db.prepare_cached(
        "INSERT OR REPLACE INTO conflicts (annotation_id, project_id, image_id, theirs, your_version,
             current_version, last_updated_at, last_updated_by, fields)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute((
        conflict.annotation.as_str(),
        conflict.place.project.as_str(),
        conflict.place.image.as_str(),
        conflict.theirs.as_ref().map(Json),
        conflict.your_version.0,
        conflict.current_version.0,
        conflict.last_updated_at,
        &conflict.last_updated_by,
        Json(&conflict.fields),
    ))?;
    Ok(known.is_none_or(|known| known.current_version != conflict.current_version))
}

pub(crate) fn remove(db: &Connection, annotation: &AnnotationId) -> Result<(), Error> {
    db.prepare_cached("DELETE FROM conflicts WHERE annotation_id = ?1")?
        .execute([annotation.as_str()])?;
    Ok(())
}

const COLUMNS: &str = "SELECT annotation_id, project_id, image_id, theirs, your_version, current_version,
    last_updated_at, last_updated_by, fields FROM conflicts";

fn read(row: &Row<'_>) -> rusqlite::Result<Conflict> {
    Ok(Conflict {
        annotation: AnnotationId(row.get(0)?),
        place: Place::new(
            &row.get::<_, String>(1)?.as_str().into(),
            &row.get::<_, String>(2)?.as_str().into(),
        ),
        theirs: row.get::<_, Option<Json<_>>>(3)?.map(|json| json.0),
        your_version: Version(row.get(4)?),
        current_version: Version(row.get(5)?),
        last_updated_at: row.get(6)?,
        last_updated_by: row.get(7)?,
        fields: row.get::<_, Json<_>>(8)?.0,
    })
}

pub(crate) fn get(db: &Connection, annotation: &AnnotationId) -> Result<Option<Conflict>, Error> {
    Ok(db
        .prepare_cached(&format!("{COLUMNS} WHERE annotation_id = ?1"))?
        .query_row([annotation.as_str()], read)
        .optional()?)
}

/// As the window shows them, oldest first.
pub(crate) fn views(db: &Connection) -> Result<Vec<ConflictView>, Error> {
    let mut rows = db.prepare_cached(&format!("{COLUMNS} ORDER BY rowid"))?;
    let conflicts = rows.query_map([], read)?.collect::<Result<Vec<_>, _>>()?;
    conflicts
        .into_iter()
        .map(|conflict| view_of(db, conflict))
        .collect()
}

/// As the window shows it: with this machine's side as it is now.
pub(crate) fn view_of(db: &Connection, conflict: Conflict) -> Result<ConflictView, Error> {
    let row = annotations::get(db, &conflict.annotation)?.ok_or(Error::NotFound("annotation"))?;
    Ok(ConflictView {
        file_name: images::file_name(db, &conflict.place)?,
        annotation_id: conflict.annotation,
        project_id: conflict.place.project,
        image_id: conflict.place.image,
        base: row.base.and_then(|base| base.fields),
        mine: row.working,
        theirs: conflict.theirs,
        your_version: conflict.your_version,
        current_version: conflict.current_version,
        last_updated_at: conflict.last_updated_at,
        last_updated_by: conflict.last_updated_by,
        fields: conflict.fields,
    })
}
