//! The change feed: each thing once, at the place of its newest change, with its newest state.

use std::collections::HashMap;

use anyhow::Context as _;
use lockstep_wire::{
    AnnotationId, Change, ChangePage, Cursor, Generation, ImageId, LabelId, ProjectId, UserId,
};
use rusqlite::{OptionalExtension as _, Transaction, params};

use super::{images, locks, projects, saves};
use crate::store::changes::Kind;
use crate::store::{ImageKey, News, Presence};

/// Puts a thing at the end of its project's feed. Places are handed out inside the writing transaction, one writer
/// after the other, so a reader never sees a later place before an earlier one.
pub(super) fn record(
    tx: &Transaction,
    project: &ProjectId,
    kind: Kind,
    entity: &str,
) -> anyhow::Result<Cursor> {
    let cursor: i64 = tx
        .prepare_cached(
            "UPDATE projects SET change_number = change_number + 1 WHERE id = ?1 RETURNING change_number",
        )?
        .query_row([project.as_str()], |row| row.get(0))?;
    tx.prepare_cached(
        "INSERT INTO changes (project_id, kind, entity, cursor) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (project_id, kind, entity) DO UPDATE SET cursor = excluded.cursor",
    )?
    .execute(params![project.as_str(), kind.as_str(), entity, cursor])?;
    Ok(Cursor(cursor))
}

/// An image's revision, from the place in the feed of the change that makes it: above all that a database may have given
/// out of which this one is an older copy.
pub(super) const REVISION_AT: &str = "(SELECT generation_floor FROM server) + ";

/// Puts an annotation and its image at the end of their project's feed, and moves the image on: one save's share, in as
/// few statements as it takes. Says the new place, and the image's new revision.
pub(super) fn record_save(
    tx: &Transaction,
    key: &ImageKey,
    annotation: &AnnotationId,
    more_annotations: i32,
) -> anyhow::Result<(Cursor, i64)> {
    let (project, image) = (key.project.as_str(), key.image.as_str());
    let cursor: i64 = tx
        .prepare_cached(
            "UPDATE projects SET change_number = change_number + 2 WHERE id = ?1 RETURNING change_number",
        )?
        .query_row([project], |row| row.get(0))?;
    tx.prepare_cached(
        "INSERT INTO changes (project_id, kind, entity, cursor) VALUES (?1, ?2, ?3, ?6 - 1), (?1, ?4, ?5, ?6)
         ON CONFLICT (project_id, kind, entity) DO UPDATE SET cursor = excluded.cursor",
    )?
    .execute(params![
        project,
        Kind::Annotation.as_str(),
        annotation.as_str(),
        Kind::Image.as_str(),
        image,
        cursor
    ])?;
    let revision = tx
        .prepare_cached(&format!(
            "UPDATE images SET revision = {REVISION_AT}?3, annotation_count = annotation_count + ?4
             WHERE project_id = ?1 AND id = ?2 RETURNING revision"
        ))?
        .query_row(params![project, image, cursor, more_annotations], |row| {
            row.get(0)
        })?;
    Ok((Cursor(cursor), revision))
}

pub(super) fn newest(tx: &Transaction, project: &ProjectId) -> anyhow::Result<Cursor> {
    let number = tx
        .prepare_cached("SELECT change_number FROM projects WHERE id = ?1")?
        .query_row([project.as_str()], |row| row.get(0))
        .optional()?;
    Ok(Cursor(number.unwrap_or(0)))
}

pub(super) fn news(
    tx: &Transaction,
    project: &ProjectId,
    since: Cursor,
    known: HashMap<ImageId, Generation>,
) -> anyhow::Result<News> {
    let left = tx
        .prepare_cached(
            "SELECT CAST(entity AS INTEGER) FROM changes
             WHERE project_id = ?1 AND cursor > ?2 AND kind = 'member'
               AND CAST(entity AS INTEGER) NOT IN (SELECT user_id FROM members WHERE project_id = ?1)",
        )?
        .query_map(params![project.as_str(), since.0], |row| row.get(0).map(UserId))?
        .collect::<Result<_, _>>()?;
    let (ended, granted) = locks::news(tx, project, known)?;
    Ok(News {
        newest: newest(tx, project)?,
        left,
        ended,
        granted,
    })
}

pub(super) fn changes(
    tx: &Transaction,
    project: &ProjectId,
    since: Cursor,
    limit: u32,
) -> anyhow::Result<ChangePage> {
    let mut rows: Vec<(i64, String, String)> = tx
        .prepare_cached(
            "SELECT cursor, kind, entity FROM changes WHERE project_id = ?1 AND cursor > ?2 ORDER BY cursor LIMIT ?3",
        )?
        .query_map(params![project.as_str(), since.0, i64::from(limit) + 1], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?
        .collect::<Result<_, _>>()?;
    let has_more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    // On the last page the whole feed has been seen, places of superseded changes included.
    let next = match rows.last() {
        Some(last) if has_more => Cursor(last.0),
        _ => newest(tx, project)?.max(since),
    };
    let changes = rows
        .into_iter()
        .map(|(cursor, kind, entity)| change(tx, project, Cursor(cursor), &kind, entity))
        .collect::<anyhow::Result<_>>()?;
    Ok(ChangePage {
        changes,
        next,
        has_more,
    })
}

fn change(
    tx: &Transaction,
    project: &ProjectId,
    cursor: Cursor,
    kind: &str,
    entity: String,
) -> anyhow::Result<Change> {
    let kind = Kind::named(kind).context("an unknown kind of change")?;
    Ok(match kind {
        Kind::Annotation => {
            let stored = saves::stored(tx, &AnnotationId(entity))?.context("a change of no annotation")?;
            stored.change(cursor)
        }
        Kind::Image => {
            let key = ImageKey {
                project: project.clone(),
                image: ImageId(entity),
            };
            match images::image(tx, &key)? {
                (Presence::Live, Some(image)) => Change::Image { cursor, image },
                _ => Change::ImageDeleted {
                    cursor,
                    id: key.image,
                },
            }
        }
        Kind::Label => {
            let id = LabelId(entity);
            match projects::label(tx, project, &id)? {
                Some(label) => Change::Label { cursor, label },
                None => Change::LabelDeleted { cursor, id },
            }
        }
        Kind::Member => {
            let user_id = UserId(entity.parse()?);
            Change::Member {
                cursor,
                user_id,
                role: projects::role(tx, project, user_id)?,
            }
        }
    })
}
