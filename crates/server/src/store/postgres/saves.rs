//! Annotations as rows, and every version of them. Saves are stored by `rounds`.

use anyhow::Context as _;
use deadpool_postgres::Pool;
use lockstep_wire::refusal::Author;
use lockstep_wire::{
    Annotation, AnnotationFields, AnnotationId, ImageId, LabelId, ProjectId, UserId, Version,
};

use super::clock::Millis;
use super::connection::{Columns, Connection};
use crate::store::annotations::{AnnotationRow, Rendering};
use crate::store::{AnnotationVersion, AnnotationsRead, ImageKey, Presence, Stored};

/// With whoever saved it last as `savers`.
pub(super) const COLUMNS: &str =
    "annotations.id, annotations.project_id, annotations.image_id, annotations.label_id,
    annotations.geometry, annotations.attributes, annotations.created_by, annotations.created_at,
    annotations.updated_by, annotations.updated_at, annotations.version, annotations.deleted, savers.name";

/// Of [`COLUMNS`].
pub(super) const COLUMN_COUNT: usize = 13;

/// From [`COLUMNS`]; nothing where a join found no annotation.
pub(super) fn stored_of(columns: &mut Columns<'_>) -> anyhow::Result<Option<Stored>> {
    let Some(id) = columns.next::<Option<String>>()? else {
        columns.skip(COLUMN_COUNT - 1);
        return Ok(None);
    };
    let annotation = Annotation {
        id: AnnotationId(id),
        project_id: ProjectId(columns.next()?),
        image_id: ImageId(columns.next()?),
        fields: fields_of(columns)?.context("an annotation without fields")?,
        created_by: UserId(columns.next()?),
        created_at: columns.next::<Millis>()?.0,
        updated_by: UserId(columns.next()?),
        updated_at: columns.next::<Millis>()?.0,
        version: Version(columns.next::<i32>()?.into()),
    };
    let deleted = columns.next()?;
    let updated_by = Author {
        user_id: annotation.updated_by,
        user_name: columns.next()?,
    };
    Ok(Some(Stored {
        annotation,
        deleted,
        updated_by,
    }))
}

/// From label, geometry and attributes. What cannot be read back is damage, and is reported as such.
pub(super) fn fields_of(columns: &mut Columns<'_>) -> anyhow::Result<Option<AnnotationFields>> {
    let label: Option<String> = columns.next()?;
    let (geometry, attributes): (Option<&str>, Option<&str>) = (columns.next()?, columns.next()?);
    let Some((geometry, attributes)) = geometry.zip(attributes) else {
        return Ok(None);
    };
    Ok(Some(AnnotationFields {
        label_id: label.map(LabelId),
        geometry: serde_json::from_str(geometry)?,
        attributes: serde_json::from_str(attributes)?,
    }))
}

pub(super) async fn annotations(
    pool: &Pool,
    key: &ImageKey,
    reader: UserId,
    known: Option<i64>,
) -> anyhow::Result<Option<AnnotationsRead>> {
    let db = Connection::of(pool).await?;
    let rows = db
        .query(
            "SELECT images.revision, images.deleted_at IS NOT NULL, annotations.id, annotations.label_id,
                    annotations.geometry, annotations.attributes, annotations.created_by, annotations.created_at,
                    annotations.updated_by, annotations.updated_at, annotations.version
             FROM members
             LEFT JOIN images ON images.project_id = members.project_id AND images.id = $2
             LEFT JOIN annotations ON images.deleted_at IS NULL AND images.revision IS DISTINCT FROM $4
                 AND annotations.project_id = images.project_id AND annotations.image_id = images.id
                 AND NOT annotations.deleted
             WHERE members.project_id = $1 AND members.user_id = $3
             ORDER BY annotations.created_at, annotations.id",
            &[&key.project.as_str(), &key.image.as_str(), &reader.0, &known],
        )
        .await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let (revision, deleted): (Option<i64>, bool) = (row.try_get(0)?, row.try_get(1)?);
    let revision = match revision {
        None => return Ok(Some(AnnotationsRead::Missing(Presence::Absent))),
        Some(_) if deleted => return Ok(Some(AnnotationsRead::Missing(Presence::Deleted))),
        Some(revision) if known == Some(revision) => return Ok(Some(AnnotationsRead::Unchanged)),
        Some(revision) => revision,
    };
    let mut rendering = Rendering::begin();
    for row in &rows {
        let mut columns = Columns::of(row);
        columns.skip(2);
        let Some(id) = columns.next()? else {
            break;
        };
        rendering.push(&AnnotationRow {
            id,
            project_id: key.project.as_str(),
            image_id: key.image.as_str(),
            label_id: columns.next()?,
            geometry: serde_json::from_str(columns.next()?)?,
            attributes: serde_json::from_str(columns.next()?)?,
            created_by: columns.next()?,
            created_at: columns.next::<Millis>()?.0,
            updated_by: columns.next()?,
            updated_at: columns.next::<Millis>()?.0,
            version: columns.next::<i32>()?.into(),
        })?;
    }
    Ok(Some(AnnotationsRead::Rendered(rendering.end(revision))))
}

pub(super) async fn history(
    pool: &Pool,
    id: &AnnotationId,
    reader: UserId,
) -> anyhow::Result<Option<Vec<AnnotationVersion>>> {
    let db = Connection::of(pool).await?;
    let rows = db
        .query(
            "SELECT versions.version, versions.label_id, versions.geometry, versions.attributes,
                    versions.updated_by, versions.updated_at, versions.deleted
             FROM annotations JOIN members USING (project_id)
             JOIN annotation_versions AS versions ON annotation_id = annotations.id
             WHERE annotations.id = $1 AND user_id = $2 ORDER BY version",
            &[&id.as_str(), &reader.0],
        )
        .await?;
    if rows.is_empty() {
        return Ok(None);
    }
    let mut versions = Vec::with_capacity(rows.len());
    for row in &rows {
        let mut columns = Columns::of(row);
        versions.push(AnnotationVersion {
            version: Version(columns.next::<i32>()?.into()),
            fields: fields_of(&mut columns)?.context("a version without fields")?,
            updated_by: UserId(columns.next()?),
            updated_at: columns.next::<Millis>()?.0,
            deleted: columns.next()?,
        });
    }
    Ok(Some(versions))
}
