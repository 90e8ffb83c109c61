//! The person's projects, and how far each one's change feed is stored.

use lockstep_wire::{Cursor, Project, ProjectId, Role};
use rusqlite::{Connection, OptionalExtension as _};

use super::Json;
use crate::Error;
use crate::view::ProjectView;

/// Takes the server's list. A project no longer in it stays while unsent work of it is here (S7).
pub(crate) fn replace_all(db: &Connection, projects: &[Project]) -> Result<(), Error> {
    db.execute(
        "UPDATE projects SET position = -1 WHERE id NOT IN (SELECT DISTINCT project_id FROM outbox)",
        [],
    )?;
    for (position, project) in (0_i64..).zip(projects) {
        db.prepare_cached(
            "INSERT INTO projects (id, position, project) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET position = excluded.position, project = excluded.project",
        )?
        .execute((project.id.as_str(), position, Json(project)))?;
    }
    Ok(())
}

pub(crate) fn all(db: &Connection) -> Result<Vec<ProjectView>, Error> {
    let mut rows = db.prepare_cached(
        "SELECT project, (SELECT count(*) FROM images WHERE project_id = projects.id)
         FROM projects WHERE position >= 0 ORDER BY position, id",
    )?;
    let views = rows.query_map([], |row| {
        Ok(ProjectView {
            project: row.get::<_, Json<Project>>(0)?.0,
            images: row.get(1)?,
        })
    })?;
    Ok(views.collect::<Result<_, _>>()?)
}

pub(crate) fn get(db: &Connection, project: &ProjectId) -> Result<Option<Project>, Error> {
    let row = db
        .prepare_cached("SELECT project FROM projects WHERE id = ?1")?
        .query_row([project.as_str()], |row| row.get::<_, Json<Project>>(0))
        .optional()?;
    Ok(row.map(|json| json.0))
}

pub(crate) fn set_role(db: &Connection, project: &ProjectId, role: Role) -> Result<(), Error> {
    if let Some(mut stored) = get(db, project)? {
        stored.role = role;
        db.execute(
            "UPDATE projects SET project = ?2 WHERE id = ?1",
            (project.as_str(), Json(stored)),
        )?;
    }
    Ok(())
}

/// Where the feed goes on, and whether it has been read to its end once.
pub(crate) fn feed(db: &Connection, project: &ProjectId) -> Result<(Cursor, bool), Error> {
    let row = db
        .prepare_cached("SELECT cursor, complete FROM projects WHERE id = ?1")?
        .query_row([project.as_str()], |row| Ok((Cursor(row.get(0)?), row.get(1)?)))
        .optional()?;
    Ok(row.unwrap_or((Cursor(0), false)))
}

/// In the transaction that stores the page's rows (S6).
pub(crate) fn advance_feed(
    db: &Connection,
    project: &ProjectId,
    next: Cursor,
    at_end: bool,
) -> Result<(), Error> {
    db.prepare_cached(
        "UPDATE projects SET cursor = max(cursor, ?2), complete = max(complete, ?3) WHERE id = ?1",
    )?
    .execute((project.as_str(), next.0, at_end))?;
    Ok(())
}
