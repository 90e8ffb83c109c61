//! Annotations, every version of them, and what each idempotency key did.

use chrono::{DateTime, Utc};
use lockstep_wire::changes::ReleaseReason;
use lockstep_wire::refusal::Author;
use lockstep_wire::{
    Annotation, AnnotationFields, AnnotationId, Cursor, Generation, IdempotencyKey, ImageId, LabelId,
    ProjectId, UserId, Version,
};
use rusqlite::{OptionalExtension as _, Row, Transaction, params};

use super::changes::record_save;
use super::clock::Millis;
use super::locks;
use super::projects::{if_member, knows_label};
use crate::store::annotations::{AnnotationRow, Rendering};
use crate::store::{
    AnnotationVersion, AnnotationsRead, Applied, ImageKey, LockScene, Presence, RenderedAnnotations, Save,
    SaveDecision, SaveOutcome, SaveQuestion, SaveReport, SaveScene, Stored, WriteDone,
};

/// A JSON column. What cannot be read back is damage, and is reported as such.
fn json<T: serde::de::DeserializeOwned>(row: &Row, column: usize) -> rusqlite::Result<T> {
    serde_json::from_str(row.get_ref(column)?.as_str()?).map_err(|fault| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(fault))
    })
}

/// The first three columns of what is asked for with them.
const FIELDS: &str = "label_id, geometry, attributes";

fn fields_of(row: &Row) -> rusqlite::Result<AnnotationFields> {
    Ok(AnnotationFields {
        label_id: row.get::<_, Option<String>>(0)?.map(LabelId),
        geometry: json(row, 1)?,
        attributes: json(row, 2)?,
    })
}

pub(super) fn stored(tx: &Transaction, id: &AnnotationId) -> anyhow::Result<Option<Stored>> {
    let sql = format!(
        "SELECT {FIELDS}, project_id, image_id, created_by, annotations.created_at, updated_by, updated_at, version,
                deleted, name
         FROM annotations JOIN users ON users.id = updated_by WHERE annotations.id = ?1"
    );
    let found = tx
        .prepare_cached(&sql)?
        .query_row([id.as_str()], |row| {
            let updated_by = UserId(row.get(7)?);
            Ok(Stored {
                annotation: Annotation {
                    id: id.clone(),
                    project_id: ProjectId(row.get(3)?),
                    image_id: ImageId(row.get(4)?),
                    fields: fields_of(row)?,
                    created_by: UserId(row.get(5)?),
                    created_at: row.get::<_, Millis>(6)?.0,
                    updated_by,
                    updated_at: row.get::<_, Millis>(8)?.0,
                    version: Version(row.get(9)?),
                },
                deleted: row.get(10)?,
                updated_by: Author {
                    user_id: updated_by,
                    user_name: row.get(11)?,
                },
            })
        })
        .optional()?;
    Ok(found)
}

/// Whether an image is there, and its revision, for a member.
pub(super) fn place(
    tx: &Transaction,
    key: &ImageKey,
    reader: UserId,
) -> anyhow::Result<Option<(Presence, i64)>> {
    let found: Option<(Option<i64>, bool)> = tx
        .prepare_cached(
            "SELECT revision, deleted_at IS NOT NULL FROM members
             LEFT JOIN images ON images.project_id = members.project_id AND images.id = ?2
             WHERE members.project_id = ?1 AND members.user_id = ?3",
        )?
        .query_row(
            params![key.project.as_str(), key.image.as_str(), reader.0],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    Ok(found.map(|found| match found {
        (None, _) => (Presence::Absent, 0),
        (Some(revision), true) => (Presence::Deleted, revision),
        (Some(revision), false) => (Presence::Live, revision),
    }))
}

pub(super) fn annotations(
    tx: &Transaction,
    key: &ImageKey,
    reader: UserId,
) -> anyhow::Result<Option<AnnotationsRead>> {
    Ok(match place(tx, key, reader)? {
        None => None,
        Some((Presence::Live, revision)) => Some(AnnotationsRead::Rendered(render(tx, key, revision)?)),
        Some((gone, _)) => Some(AnnotationsRead::Missing(gone)),
    })
}

fn render(tx: &Transaction, key: &ImageKey, revision: i64) -> anyhow::Result<RenderedAnnotations> {
    let mut ask = tx.prepare_cached(
        "SELECT id, label_id, geometry, attributes, created_by, created_at, updated_by, updated_at, version
         FROM annotations WHERE project_id = ?1 AND image_id = ?2 AND NOT deleted ORDER BY created_at, id",
    )?;
    let mut rows = ask.query([key.project.as_str(), key.image.as_str()])?;
    let mut rendering = Rendering::begin();
    while let Some(row) = rows.next()? {
        rendering.push(&AnnotationRow {
            id: row.get_ref(0)?.as_str()?,
            project_id: key.project.as_str(),
            image_id: key.image.as_str(),
            label_id: row.get_ref(1)?.as_str_or_null()?,
            geometry: serde_json::from_str(row.get_ref(2)?.as_str()?)?,
            attributes: serde_json::from_str(row.get_ref(3)?.as_str()?)?,
            created_by: row.get(4)?,
            created_at: row.get::<_, Millis>(5)?.0,
            updated_by: row.get(6)?,
            updated_at: row.get::<_, Millis>(7)?.0,
            version: row.get(8)?,
        })?;
    }
    Ok(rendering.end(revision))
}

pub(super) fn history(
    tx: &Transaction,
    id: &AnnotationId,
    reader: UserId,
) -> anyhow::Result<Option<Vec<AnnotationVersion>>> {
    let place = tx
        .prepare_cached("SELECT project_id FROM annotations WHERE id = ?1")?
        .query_row([id.as_str()], |row| Ok(ProjectId(row.get(0)?)))
        .optional()?;
    match place {
        Some(project) => if_member(tx, &project, reader, || versions(tx, id)),
        None => Ok(None),
    }
}

fn versions(tx: &Transaction, id: &AnnotationId) -> anyhow::Result<Vec<AnnotationVersion>> {
    let versions = tx
        .prepare_cached(&format!(
            "SELECT {FIELDS}, version, updated_by, updated_at, deleted FROM annotation_versions
             WHERE annotation_id = ?1 ORDER BY version"
        ))?
        .query_map([id.as_str()], |row| {
            Ok(AnnotationVersion {
                version: Version(row.get("version")?),
                fields: fields_of(row)?,
                updated_by: UserId(row.get("updated_by")?),
                updated_at: row.get::<_, Millis>("updated_at")?.0,
                deleted: row.get("deleted")?,
            })
        })?
        .collect::<Result<_, _>>()?;
    Ok(versions)
}

fn first_fields(tx: &Transaction, id: &AnnotationId) -> anyhow::Result<Option<AnnotationFields>> {
    let sql = format!("SELECT {FIELDS} FROM annotation_versions WHERE annotation_id = ?1 AND version = 1");
    let mut ask = tx.prepare_cached(&sql)?;
    Ok(ask.query_row([id.as_str()], fields_of).optional()?)
}

fn applied(tx: &Transaction, user: UserId, key: &IdempotencyKey) -> anyhow::Result<Option<Applied>> {
    let found = tx
        .prepare_cached(
            "SELECT fingerprint, outcome, version FROM applied_writes JOIN annotations ON id = annotation_id
             WHERE user_id = ?1 AND key = ?2",
        )?
        .query_row(params![user.0, key.as_str()], |row| {
            Ok(Applied {
                fingerprint: row.get("fingerprint")?,
                done: json(row, 1)?,
                newest: Version(row.get("version")?),
            })
        })
        .optional()?;
    Ok(found)
}

fn scene(
    tx: &Transaction,
    question: &SaveQuestion,
    generation: Option<Generation>,
    now: DateTime<Utc>,
) -> anyhow::Result<SaveScene> {
    let stored = stored(tx, &question.annotation)?;
    let place = question
        .create_on
        .clone()
        .or_else(|| stored.as_ref().map(|stored| ImageKey::of(&stored.annotation)));
    let (lock, annotators_edit_all) = match &place {
        Some(key) => locks::scene(tx, key, &question.party, generation, now)?,
        None => (LockScene::nowhere(now), false),
    };
    let label_known = match (&place, &question.label) {
        (Some(key), Some(label)) => knows_label(tx, &key.project, label)?,
        _ => true,
    };
    Ok(SaveScene {
        role: lock.role,
        annotators_edit_all,
        label_known,
        // Only a create that was made before is compared with it.
        first: match question.create_on.as_ref().and(stored.as_ref()) {
            Some(_) => first_fields(tx, &question.annotation)?,
            None => None,
        },
        stored,
        applied: match &question.key {
            Some((key, _)) => applied(tx, question.party.user, key)?,
            None => None,
        },
        lock,
    })
}

pub(super) fn save(tx: &Transaction, saves: &[Save]) -> anyhow::Result<SaveReport> {
    let (now, mut ended) = locks::settle(tx)?;
    let mut outcomes = Vec::with_capacity(saves.len());
    // A re-granted lock's new generation stands for the one that the later saves of this batch still name.
    let mut regranted: Option<(Generation, Generation)> = None;
    for Save { question, rule } in saves {
        let generation = match regranted {
            Some((old, new)) if question.generation == Some(old) => Some(new),
            _ => question.generation,
        };
        let scene = scene(tx, question, generation, now)?;
        outcomes.push(match rule(&scene) {
            SaveDecision::Refuse(detail) => SaveOutcome::Refused(detail),
            SaveDecision::Replay { done, newest } => SaveOutcome::Replayed { done, newest },
            SaveDecision::Write {
                annotation,
                deleted,
                regrant,
            } => {
                let key = ImageKey::of(&annotation);
                let (cursor, image_revision) = write(tx, &key, scene.stored.as_ref(), &annotation, deleted)?;
                let mut lock = None;
                if let Some(expires_at) = regrant {
                    ended.extend(locks::end(tx, &key, now, ReleaseReason::Expired, None)?);
                    let device = locks::last_device(tx, &key, &question.party)?;
                    let granted =
                        locks::grant(tx, &key, &question.party, device.as_deref(), now, expires_at)?;
                    lock = Some(granted);
                    regranted = generation.zip(lock.as_ref().map(|lock| lock.generation));
                }
                let done = WriteDone {
                    annotation: *annotation,
                    deleted,
                    lock,
                    image_revision,
                };
                if let Some((idempotency_key, fingerprint)) = &question.key {
                    remember(tx, question.party.user, idempotency_key, fingerprint, &done, now)?;
                }
                SaveOutcome::Applied {
                    done: Box::new(done),
                    cursor,
                }
            }
        });
    }
    Ok(SaveReport { outcomes, ended })
}

/// Writes a version down everywhere. Says its place in the feed, and the image's new revision.
fn write(
    tx: &Transaction,
    key: &ImageKey,
    before: Option<&Stored>,
    annotation: &Annotation,
    deleted: bool,
) -> anyhow::Result<(Cursor, i64)> {
    let fields = &annotation.fields;
    let label = fields.label_id.as_ref().map(LabelId::as_str);
    let geometry = serde_json::to_string(&fields.geometry)?;
    let attributes = serde_json::to_string(&fields.attributes)?;
    let (saved_by, saved_at) = (annotation.updated_by.0, Millis(annotation.updated_at));
    let (id, version) = (annotation.id.as_str(), annotation.version.0);
    if before.is_some() {
        tx.prepare_cached(
            "UPDATE annotations SET label_id = ?2, geometry = ?3, attributes = ?4, updated_by = ?5, updated_at = ?6,
                                    deleted = ?7, version = ?8
             WHERE id = ?1",
        )?
        .execute(params![
            id, label, geometry, attributes, saved_by, saved_at, deleted, version
        ])?;
    } else {
        tx.prepare_cached(
            "INSERT INTO annotations (id, project_id, image_id, label_id, geometry, attributes, created_by, created_at,
                                      updated_by, updated_at, deleted, version)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute(params![
            id,
            key.project.as_str(),
            key.image.as_str(),
            label,
            geometry,
            attributes,
            annotation.created_by.0,
            Millis(annotation.created_at),
            saved_by,
            saved_at,
            deleted,
            version
        ])?;
    }
    tx.prepare_cached(
        "INSERT INTO annotation_versions (annotation_id, version, label_id, geometry, attributes, updated_by,
                                          updated_at, deleted)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        id, version, label, geometry, attributes, saved_by, saved_at, deleted
    ])?;
    let was_live = before.is_some_and(|stored| !stored.deleted);
    record_save(tx, key, &annotation.id, i32::from(!deleted) - i32::from(was_live))
}

fn remember(
    tx: &Transaction,
    user: UserId,
    key: &IdempotencyKey,
    fingerprint: &[u8],
    done: &WriteDone,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    tx.prepare_cached(
        "INSERT INTO applied_writes (user_id, key, fingerprint, annotation_id, outcome, applied_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        user.0,
        key.as_str(),
        fingerprint,
        done.annotation.id.as_str(),
        serde_json::to_string(done)?,
        Millis(now)
    ])?;
    Ok(())
}
