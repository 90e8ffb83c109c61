//! Writes down what a round has decided: a statement a table, all sent at once with the commit.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures::future::{join, join_all};
use lockstep_wire::{AnnotationFields, ClientId, LabelId, ProjectId};
use tokio_postgres::types::ToSql;

use super::clock::Millis;
use super::connection::Transaction;
use super::table::{GrantChange, GrantState, ImageState, LockChange, Table};
use crate::store::ImageKey;
use crate::store::names::to_name;

type Param<'t> = Box<dyn ToSql + Sync + Send + 't>;

struct Write<'t> {
    sql: &'static str,
    params: Vec<Param<'t>>,
}

/// A parameter for each column of the rows that are written together.
macro_rules! columns {
    ($rows:expr, $row:pat => $($column:expr),+ $(,)?) => {
        [$(Box::new($rows.iter().map(|#[allow(unused_variables)] $row| $column).collect::<Vec<_>>()) as Param<'_>),+]
    };
}

/// Stores the round and commits. Says how far each feed has got by it.
pub(super) async fn store(table: &Table, tx: Transaction) -> anyhow::Result<HashMap<ProjectId, i64>> {
    let mut writes = Vec::new();
    if !table.versions.is_empty() {
        writes.push(annotations(table)?);
        writes.push(versions(table)?);
    }
    if !table.remembered.is_empty() {
        writes.push(remembered(table)?);
    }
    writes.extend(locks(table)?);
    if !table.attempts.is_empty() {
        writes.push(attempts(table));
    }
    if !table.feed.is_empty() {
        writes.push(images(table));
        // Last: see `changes::record`.
        writes.push(feed(table));
    }
    let mut statements = Vec::with_capacity(writes.len());
    for write in &writes {
        statements.push(tx.prepare(write.sql).await?);
    }
    let sent = join_all(statements.iter().zip(&writes).map(async |(statement, write)| {
        let params: Vec<_> = write
            .params
            .iter()
            .map(|param| &**param as &(dyn ToSql + Sync))
            .collect();
        tx.query_prepared(statement, &params).await
    }));
    let (answers, committed) = join(sent, tx.run("COMMIT")).await;
    if committed.is_ok() {
        // Or rolled back, when one of the statements failed.
        tx.ended();
    }
    let mut numbers = HashMap::new();
    for rows in answers {
        for row in rows? {
            numbers.insert(ProjectId(row.try_get(0)?), row.try_get(1)?);
        }
    }
    committed?;
    Ok(numbers)
}

fn label(fields: &AnnotationFields) -> Option<&str> {
    fields.label_id.as_ref().map(LabelId::as_str)
}

/// Geometry and attributes.
fn texts<'t>(fields: impl Iterator<Item = &'t AnnotationFields>) -> anyhow::Result<[Param<'static>; 2]> {
    let (mut geometry, mut attributes) = (Vec::new(), Vec::new());
    for fields in fields {
        geometry.push(serde_json::to_string(&fields.geometry)?);
        attributes.push(serde_json::to_string(&fields.attributes)?);
    }
    Ok([Box::new(geometry), Box::new(attributes)])
}

fn version(number: i64) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn annotations(table: &Table) -> anyhow::Result<Write<'_>> {
    let rows: Vec<_> = table
        .annotations
        .values()
        .filter(|state| state.written)
        .filter_map(|state| {
            state
                .stored
                .as_ref()
                .map(|stored| (&stored.annotation, stored.deleted))
        })
        .collect();
    let mut params = Vec::with_capacity(12);
    params.extend(columns!(rows, (annotation, _) =>
        annotation.id.as_str(), annotation.project_id.as_str(), annotation.image_id.as_str(), label(&annotation.fields),
    ));
    params.extend(texts(rows.iter().map(|(annotation, _)| &annotation.fields))?);
    params.extend(columns!(rows, (annotation, deleted) =>
        annotation.created_by.0, Millis(annotation.created_at), annotation.updated_by.0, Millis(annotation.updated_at),
        *deleted, version(annotation.version.0),
    ));
    let sql = "
        INSERT INTO annotations (id, project_id, image_id, label_id, geometry, attributes, created_by, created_at,
                                 updated_by, updated_at, deleted, version)
        SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[],
                             $8::bigint[], $9::bigint[], $10::bigint[], $11::boolean[], $12::integer[])
        ON CONFLICT (id) DO UPDATE SET label_id = excluded.label_id, geometry = excluded.geometry,
            attributes = excluded.attributes, updated_by = excluded.updated_by, updated_at = excluded.updated_at,
            deleted = excluded.deleted, version = excluded.version";
    Ok(Write { sql, params })
}

/// Also what keeps an annotation that someone made elsewhere meanwhile from being overwritten: its first version is there.
fn versions(table: &Table) -> anyhow::Result<Write<'_>> {
    let rows = &table.versions;
    let mut params = Vec::with_capacity(8);
    params.extend(columns!(rows, (annotation, _) =>
        annotation.id.as_str(), version(annotation.version.0), label(&annotation.fields),
    ));
    params.extend(texts(rows.iter().map(|(annotation, _)| &annotation.fields))?);
    params.extend(columns!(rows, (annotation, deleted) =>
        annotation.updated_by.0, Millis(annotation.updated_at), *deleted,
    ));
    let sql = "
        INSERT INTO annotation_versions (annotation_id, version, label_id, geometry, attributes, updated_by, updated_at,
                                         deleted)
        SELECT * FROM unnest($1::text[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[],
                             $8::boolean[])";
    Ok(Write { sql, params })
}

fn remembered(table: &Table) -> anyhow::Result<Write<'_>> {
    let rows = &table.remembered;
    let outcomes: Vec<_> = rows
        .iter()
        .map(|(.., done)| serde_json::to_string(done))
        .collect::<Result<_, _>>()?;
    let mut params = Vec::with_capacity(6);
    params.extend(columns!(rows, (user, key, fingerprint, done) =>
        user.0, key.as_str(), fingerprint.as_slice(), done.annotation.id.as_str(),
    ));
    params.push(Box::new(outcomes));
    params.push(Box::new(Millis(table.now)));
    let sql = "
        INSERT INTO applied_writes (user_id, key, fingerprint, annotation_id, outcome, applied_at)
        SELECT *, $6::bigint FROM unnest($1::bigint[], $2::text[], $3::bytea[], $4::text[], $5::text[])";
    Ok(Write { sql, params })
}

fn locks(table: &Table) -> anyhow::Result<Option<Write<'_>>> {
    let images: Vec<_> = table.images.iter().collect();
    let other = |(_, image): &(&ImageKey, &ImageState)| {
        image.lock_change == LockChange::Other || image.counter_changed
    };
    if images.iter().any(other) {
        grants(&images, table).map(Some)
    } else {
        Ok(renewals(&images))
    }
}

/// Leases that go on, and nothing else. An outage may have been made up for meanwhile, so none gets shorter.
fn renewals<'t>(images: &[(&'t ImageKey, &'t ImageState)]) -> Option<Write<'t>> {
    let rows: Vec<_> = images
        .iter()
        .filter(|(_, image)| image.lock_change == LockChange::Renewed)
        .filter_map(|(key, image)| Some((*key, image.lock.as_ref()?)))
        .collect();
    if rows.is_empty() {
        return None;
    }
    let params = columns!(rows, (key, lock) =>
        key.project.as_str(), key.image.as_str(), Millis(lock.heartbeat_at), Millis(lock.expires_at),
        lock.client_id.as_ref().map(ClientId::as_str),
    );
    let sql = "
        UPDATE image_locks SET heartbeat_at = renewed.heartbeat_at, client_id = renewed.client_id,
                               expires_at = greatest(image_locks.expires_at, renewed.expires_at)
        FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::text[])
            AS renewed (project, image, heartbeat_at, expires_at, client_id)
        WHERE project_id = project AND image_id = image";
    Some(Write {
        sql,
        params: params.into(),
    })
}

/// What was granted, renewed and ended, as one statement: it counts the generation, writes down the ends of what stood
/// before, the grant in the audit log, and the lock.
fn grants<'t>(images: &[(&'t ImageKey, &'t ImageState)], table: &Table) -> anyhow::Result<Write<'t>> {
    let counters: Vec<_> = images.iter().filter(|(_, image)| image.counter_changed).collect();
    let mut params = Vec::with_capacity(32);
    params.extend(columns!(counters, (key, image) =>
        key.project.as_str(), key.image.as_str(), image.newest.0, image.held.as_ref().map(|held| held.keeper.id.0),
        image.held.as_ref().map(|held| Millis(held.until)),
    ));
    let (mut ended, mut made) = (Vec::new(), Vec::new());
    for (key, image) in images {
        for (generation, grant) in &image.grants {
            match &grant.change {
                GrantChange::None => {}
                GrantChange::Ended => ended.push((*key, *generation, grant)),
                GrantChange::New { device } => made.push((*key, *generation, grant, device)),
            }
        }
    }
    let mut end_reasons = Vec::new();
    for (.., grant) in &ended {
        end_reasons.push(reason(grant)?);
    }
    params.extend(columns!(ended, (key, generation, grant) =>
        key.project.as_str(), key.image.as_str(), generation.0, ended_at(grant), ended_by(grant),
    ));
    params.push(Box::new(end_reasons));
    let mut made_reasons = Vec::new();
    for (_, _, grant, _) in &made {
        made_reasons.push(reason(grant)?);
    }
    params.extend(columns!(made, (key, generation, grant, device) =>
        key.project.as_str(), key.image.as_str(), generation.0, grant.user.0,
        grant.client.as_ref().map(ClientId::as_str), device.as_deref(), ended_at(grant), ended_by(grant),
    ));
    params.push(Box::new(made_reasons));
    params.push(Box::new(Millis(table.now)));
    let gone: Vec<_> = images
        .iter()
        .filter(|(_, image)| image.lock_change == LockChange::Other && image.lock.is_none())
        .collect();
    params.extend(columns!(gone, (key, _) => key.project.as_str(), key.image.as_str()));
    let held: Vec<_> = images
        .iter()
        .filter(|(_, image)| image.lock_change != LockChange::None)
        .filter_map(|(key, image)| Some((*key, image.lock.as_ref()?)))
        .collect();
    params.extend(columns!(held, (key, lock) =>
        key.project.as_str(), key.image.as_str(), lock.user_id.0, Millis(lock.locked_at), Millis(lock.expires_at),
        Millis(lock.heartbeat_at), lock.generation.0, lock.client_id.as_ref().map(ClientId::as_str),
        lock.device.as_deref(),
    ));
    let sql = "
        WITH counted AS (
            INSERT INTO lock_counters (project_id, image_id, generation, held_for, held_until)
            SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[])
            ON CONFLICT (project_id, image_id) DO UPDATE
            SET generation = excluded.generation, held_for = excluded.held_for, held_until = excluded.held_until),
        ended AS (
            UPDATE lock_grants SET ended_at = ended.at, ended_by = ended.by, end_reason = ended.reason
            FROM unnest($6::text[], $7::text[], $8::bigint[], $9::bigint[], $10::bigint[], $11::text[])
                AS ended (project, image, generation, at, by, reason)
            WHERE project_id = ended.project AND image_id = ended.image
              AND lock_grants.generation = ended.generation),
        made AS (
            INSERT INTO lock_grants (project_id, image_id, generation, user_id, client_id, device, ended_at, ended_by,
                                     end_reason, granted_at)
            SELECT *, $21::bigint FROM unnest($12::text[], $13::text[], $14::bigint[], $15::bigint[], $16::text[],
                $17::text[], $18::bigint[], $19::bigint[], $20::text[])),
        gone AS (
            DELETE FROM image_locks USING unnest($22::text[], $23::text[]) AS gone (project, image)
            WHERE project_id = gone.project AND image_id = gone.image)
        INSERT INTO image_locks (project_id, image_id, user_id, locked_at, expires_at, heartbeat_at, generation,
                                 client_id, device)
        SELECT * FROM unnest($24::text[], $25::text[], $26::bigint[], $27::bigint[], $28::bigint[], $29::bigint[],
                             $30::bigint[], $31::text[], $32::text[])
        ON CONFLICT ON CONSTRAINT uq_project_image_lock DO UPDATE
        SET user_id = excluded.user_id, locked_at = excluded.locked_at, heartbeat_at = excluded.heartbeat_at,
            generation = excluded.generation, client_id = excluded.client_id, device = excluded.device,
            expires_at = CASE WHEN image_locks.generation = excluded.generation
                              THEN greatest(image_locks.expires_at, excluded.expires_at)
                              ELSE excluded.expires_at END";
    Ok(Write { sql, params })
}

fn reason(grant: &GrantState) -> anyhow::Result<Option<String>> {
    grant
        .ended
        .as_ref()
        .map(|ended| to_name(ended.reason))
        .transpose()
}

fn ended_at(grant: &GrantState) -> Option<Millis> {
    grant.ended.as_ref().map(|ended| Millis(ended.at))
}

fn ended_by(grant: &GrantState) -> Option<i64> {
    grant.ended.as_ref()?.by.as_ref().map(|by| by.user_id.0)
}

fn attempts(table: &Table) -> Write<'_> {
    let rows: Vec<_> = table.attempts.iter().collect();
    let mut params = Vec::with_capacity(6);
    params.extend(columns!(rows, ((project, image, user, attempt), times) =>
        project.as_str(), image.as_str(), user.0, attempt.as_str(), **times,
    ));
    params.push(Box::new(Millis(table.now)));
    let sql = "
        INSERT INTO lock_refusals (project_id, image_id, user_id, attempt, times, first_at, last_at)
        SELECT *, $6::bigint, $6::bigint FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::bigint[])
        ON CONFLICT (project_id, image_id, user_id, attempt)
        DO UPDATE SET times = lock_refusals.times + excluded.times, last_at = excluded.last_at";
    Write { sql, params }
}

fn images(table: &Table) -> Write<'_> {
    let rows: Vec<_> = table.images.iter().filter(|(_, image)| image.touched).collect();
    let params = columns!(rows, (key, image) =>
        key.project.as_str(), key.image.as_str(), image.revision, image.more_annotations,
    );
    let sql = "
        UPDATE images SET revision = touched.revision, annotation_count = annotation_count + touched.more
        FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) AS touched (project, image, revision, more)
        WHERE project_id = touched.project AND id = touched.image";
    Write {
        sql,
        params: params.into(),
    }
}

/// Each thing goes to the end of its project's feed once, in the order in which they were last touched. Projects have
/// their turn in the order of their ids.
fn feed(table: &Table) -> Write<'_> {
    let mut last = Vec::new();
    let mut seen = HashSet::new();
    for (project, kind, entity) in table.feed.iter().rev() {
        if seen.insert((project, kind, entity)) {
            last.push((project, kind, entity));
        }
    }
    let mut numbers: BTreeMap<&ProjectId, i64> = BTreeMap::new();
    let mut rows = Vec::with_capacity(last.len());
    for (project, kind, entity) in last.into_iter().rev() {
        let number = numbers.entry(project).or_default();
        *number += 1;
        rows.push((project.as_str(), kind.as_str(), entity.as_str(), *number));
    }
    let mut params = Vec::with_capacity(6);
    params.extend(columns!(rows, (project, kind, entity, number) => *project, *kind, *entity, *number));
    let counts: Vec<_> = numbers.into_iter().collect();
    params.extend(columns!(counts, (project, count) => project.as_str(), *count));
    let sql = "
        WITH turns AS MATERIALIZED (
            SELECT id, change_number, count FROM projects JOIN unnest($5::text[], $6::bigint[]) AS counts (project, count)
                ON id = project ORDER BY id FOR NO KEY UPDATE OF projects),
        moved AS (
            UPDATE projects SET change_number = turns.change_number + turns.count FROM turns
            WHERE projects.id = turns.id RETURNING projects.id, projects.change_number),
        recorded AS (
            INSERT INTO changes (project_id, kind, entity, cursor)
            SELECT project, kind, entity, turns.change_number + number
            FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS feed (project, kind, entity, number)
            JOIN turns ON turns.id = project
            ON CONFLICT (project_id, kind, entity) DO UPDATE SET cursor = excluded.cursor)
        SELECT id, change_number FROM moved";
    Write { sql, params }
}
