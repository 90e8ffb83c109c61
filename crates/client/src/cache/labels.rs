//! A project's labels.

use lockstep_wire::{Label, LabelId, ProjectId};
use rusqlite::Connection;

use super::Json;
use crate::Error;

pub(crate) fn put(db: &Connection, project: &ProjectId, label: &Label) -> Result<(), Error> {
    db.prepare_cached(
        "INSERT INTO labels (project_id, id, label) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET label = excluded.label",
    )?
    .execute((project.as_str(), label.id.as_str(), Json(label)))?;
    Ok(())
}

pub(crate) fn remove(db: &Connection, project: &ProjectId, label: &LabelId) -> Result<(), Error> {
    db.execute(
        "DELETE FROM labels WHERE project_id = ?1 AND id = ?2",
        (project.as_str(), label.as_str()),
    )?;
    Ok(())
}

/// Takes the server's whole list.
pub(crate) fn replace_all(db: &Connection, project: &ProjectId, labels: &[Label]) -> Result<(), Error> {
    db.execute("DELETE FROM labels WHERE project_id = ?1", [project.as_str()])?;
    labels.iter().try_for_each(|label| put(db, project, label))
}

pub(crate) fn all(db: &Connection, project: &ProjectId) -> Result<Vec<Label>, Error> {
    let mut rows = db.prepare_cached("SELECT label FROM labels WHERE project_id = ?1 ORDER BY rowid")?;
    let labels = rows.query_map([project.as_str()], |row| Ok(row.get::<_, Json<Label>>(0)?.0))?;
    Ok(labels.collect::<Result<_, _>>()?)
}
