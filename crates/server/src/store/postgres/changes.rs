//! The change feed: each thing once, at the place of its newest change, with its newest state.

use std::collections::HashMap;

use anyhow::Context as _;
use deadpool_postgres::Pool;
use lockstep_wire::{Change, ChangePage, Cursor, Generation, ImageId, LabelId, ProjectId, UserId};
use tokio_postgres::Row;

use super::connection::{Columns, Connection, Transaction};
use super::images::{self, image_of};
use super::locks;
use super::saves::{self, stored_of};
use crate::store::changes::Kind;
use crate::store::names::from_name;
use crate::store::{News, Presence};

/// Puts a thing at the end of its project's feed. This comes last in its transaction: the project's row is kept from
/// others until the commit, so a reader never sees a later place before an earlier one, and nobody waits long.
pub(super) async fn record(
    tx: &Transaction,
    project: &ProjectId,
    kind: Kind,
    entity: &str,
) -> anyhow::Result<()> {
    tx.execute(
        "WITH moved AS (
             UPDATE projects SET change_number = change_number + 1 WHERE id = $1 RETURNING change_number)
         INSERT INTO changes (project_id, kind, entity, cursor) SELECT $1, $2, $3, change_number FROM moved
         ON CONFLICT (project_id, kind, entity) DO UPDATE SET cursor = excluded.cursor",
        &[&project.as_str(), &kind.as_str(), &entity],
    )
    .await?;
    Ok(())
}

pub(super) async fn newest(pool: &Pool, project: &ProjectId) -> anyhow::Result<Cursor> {
    let db = Connection::of(pool).await?;
    let number = db
        .query_opt(
            "SELECT change_number FROM projects WHERE id = $1",
            &[&project.as_str()],
        )
        .await?;
    let number = number.map(|row| row.try_get(0)).transpose()?;
    Ok(Cursor(number.unwrap_or(0)))
}

pub(super) async fn news(
    pool: &Pool,
    project: &ProjectId,
    since: Cursor,
    known: HashMap<ImageId, Generation>,
) -> anyhow::Result<News> {
    let db = Connection::of(pool).await?;
    let row = db
        .query_opt(
            "SELECT change_number, ARRAY(
                 SELECT entity::bigint FROM changes
                 WHERE project_id = projects.id AND cursor > $2 AND kind = 'member' AND NOT EXISTS (
                     SELECT FROM members WHERE members.project_id = projects.id AND user_id::text = entity))
             FROM projects WHERE id = $1",
            &[&project.as_str(), &since.0],
        )
        .await?;
    let (newest, left): (i64, Vec<i64>) = match row {
        Some(row) => (row.try_get(0)?, row.try_get(1)?),
        None => (0, Vec::new()),
    };
    let (ended, granted) = locks::news(&db, project, known).await?;
    Ok(News {
        newest: Cursor(newest),
        left: left.into_iter().map(UserId).collect(),
        ended,
        granted,
    })
}

pub(super) async fn changes(
    pool: &Pool,
    project: &ProjectId,
    reader: UserId,
    since: Cursor,
    limit: u32,
) -> anyhow::Result<Option<ChangePage>> {
    let sql = format!(
        "SELECT change_number, page.cursor, page.kind, page.entity, member.role, labels.label, {images}, {annotations}
         FROM members AS reader JOIN projects ON projects.id = reader.project_id
         LEFT JOIN LATERAL (
             SELECT cursor, kind, entity FROM changes WHERE changes.project_id = $1 AND cursor > $3
             ORDER BY cursor LIMIT $4) AS page ON true
         LEFT JOIN members AS member ON page.kind = 'member'
             AND member.project_id = $1 AND member.user_id::text = page.entity
         LEFT JOIN labels ON page.kind = 'label'
             AND labels.project_id = $1 AND labels.id = page.entity AND NOT labels.deleted
         LEFT JOIN images ON page.kind = 'image' AND images.project_id = $1 AND images.id = page.entity
         LEFT JOIN annotations ON page.kind = 'annotation' AND annotations.id = page.entity
         LEFT JOIN users AS savers ON savers.id = annotations.updated_by
         WHERE reader.project_id = $1 AND reader.user_id = $2
         ORDER BY page.cursor",
        images = images::COLUMNS,
        annotations = saves::COLUMNS,
    );
    let db = Connection::of(pool).await?;
    let rows = db
        .query(
            &sql,
            &[&project.as_str(), &reader.0, &since.0, &(i64::from(limit) + 1)],
        )
        .await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let newest = Cursor(row.try_get(0)?);
    let mut changes = Vec::with_capacity(rows.len());
    for row in rows.iter().take(limit as usize) {
        changes.extend(change_of(row)?);
    }
    let has_more = rows.len() > limit as usize;
    // On the last page the whole feed has been seen, places of superseded changes included.
    let next = match changes.last() {
        Some((last, _)) if has_more => *last,
        _ => newest.max(since),
    };
    Ok(Some(ChangePage {
        changes: changes.into_iter().map(|(_, change)| change).collect(),
        next,
        has_more,
    }))
}

fn change_of(row: &Row) -> anyhow::Result<Option<(Cursor, Change)>> {
    let mut columns = Columns::of(row);
    columns.next::<i64>()?;
    let Some(cursor) = columns.next::<Option<i64>>()?.map(Cursor) else {
        return Ok(None);
    };
    let kind = Kind::named(columns.next()?).context("an unknown kind of change")?;
    let entity: String = columns.next()?;
    let role: Option<String> = columns.next()?;
    let label: Option<&str> = columns.next()?;
    let change = match kind {
        Kind::Member => Change::Member {
            cursor,
            user_id: UserId(entity.parse()?),
            role: role.map(from_name).transpose()?,
        },
        Kind::Label => match label {
            Some(label) => Change::Label {
                cursor,
                label: serde_json::from_str(label)?,
            },
            None => Change::LabelDeleted {
                cursor,
                id: LabelId(entity),
            },
        },
        Kind::Image => match image_of(&mut columns)? {
            Some((image, Presence::Live)) => Change::Image { cursor, image },
            _ => Change::ImageDeleted {
                cursor,
                id: ImageId(entity),
            },
        },
        Kind::Annotation => {
            columns.skip(images::COLUMN_COUNT);
            let stored = stored_of(&mut columns)?.context("a change of no annotation")?;
            stored.change(cursor)
        }
    };
    Ok(Some((cursor, change)))
}
