//! Images as rows.

use lockstep_wire::changes::ReleaseReason;
use lockstep_wire::{Image, ImageId, ImagePage, ProjectId, UserId};
use rusqlite::{OptionalExtension as _, Row, Transaction, named_params, params};

use super::changes::{REVISION_AT, record};
use super::clock::{Millis, now};
use super::locks;
use super::projects::role;
use crate::store::changes::Kind;
use crate::store::{AddedImage, Authorise, Deletion, ImageKey, NewImage, Permitted, Presence};

const COLUMNS: &str =
    "id, file_name, width, height, media_type, content_hash, annotation_count, revision, deleted_at";

fn image_of(row: &Row) -> rusqlite::Result<Image> {
    Ok(Image {
        id: ImageId(row.get("id")?),
        file_name: row.get("file_name")?,
        width: row.get("width")?,
        height: row.get("height")?,
        media_type: row.get("media_type")?,
        content_hash: row.get("content_hash")?,
        annotation_count: row.get("annotation_count")?,
        revision: row.get("revision")?,
    })
}

pub(super) fn add_image(
    tx: &Transaction,
    image: &NewImage,
    may: Authorise,
) -> anyhow::Result<Permitted<AddedImage>> {
    let key = &image.key;
    if let Err(refusal) = may(role(tx, &key.project, image.added_by)?) {
        return Ok(Err(refusal));
    }
    if image.unless_present
        && let Some(present) = image_of_content(tx, &key.project, &image.content_hash)?
    {
        return Ok(Ok(AddedImage::Present(present)));
    }
    let taken = tx
        .prepare_cached("SELECT 1 FROM images WHERE project_id = ?1 AND id = ?2")?
        .exists([key.project.as_str(), key.image.as_str()])?;
    if taken {
        return Ok(Ok(AddedImage::Taken));
    }
    let place = record(tx, &key.project, Kind::Image, key.image.as_str())?.0;
    let added = tx.query_row(
        &format!(
            "INSERT INTO images (project_id, id, file_name, width, height, media_type, content_hash, revision, added_by,
                                 added_at)
             VALUES (:project, :id, :file_name, :width, :height, :media_type, :hash, {REVISION_AT}:place, :by, :now)
             RETURNING {COLUMNS}"
        ),
        named_params! {
            ":project": key.project.as_str(), ":id": key.image.as_str(), ":file_name": image.file_name,
            ":width": image.width, ":height": image.height, ":media_type": image.media_type,
            ":hash": image.content_hash, ":place": place, ":by": image.added_by.0, ":now": Millis(now(tx)?),
        },
        image_of,
    )?;
    Ok(Ok(AddedImage::New(added)))
}

pub(super) fn image_of_content(
    tx: &Transaction,
    project: &ProjectId,
    content_hash: &str,
) -> anyhow::Result<Option<Image>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM images WHERE project_id = ?1 AND content_hash = ?2 AND deleted_at IS NULL LIMIT 1"
    );
    Ok(tx
        .prepare_cached(&sql)?
        .query_row([project.as_str(), content_hash], image_of)
        .optional()?)
}

pub(super) fn images(
    tx: &Transaction,
    project: &ProjectId,
    after: Option<&str>,
    limit: u32,
) -> anyhow::Result<ImagePage> {
    // A deleted image's row stays, so a page can always go on from where the last one ended.
    let sql = format!(
        "SELECT {COLUMNS} FROM images
         WHERE project_id = :project AND deleted_at IS NULL
           AND (:after IS NULL OR (file_name, id) >
                (SELECT file_name, id FROM images WHERE project_id = :project AND id = :after))
         ORDER BY file_name, id LIMIT :limit"
    );
    let mut images: Vec<Image> = tx
        .prepare_cached(&sql)?
        .query_map(
            named_params! { ":project": project.as_str(), ":after": after, ":limit": i64::from(limit) + 1 },
            image_of,
        )?
        .collect::<Result<_, _>>()?;
    let has_more = images.len() > limit as usize;
    images.truncate(limit as usize);
    let next = images.last().filter(|_| has_more).map(|last| last.id.0.clone());
    Ok(ImagePage { images, next })
}

pub(super) fn image(tx: &Transaction, key: &ImageKey) -> anyhow::Result<(Presence, Option<Image>)> {
    let sql = format!("SELECT {COLUMNS} FROM images WHERE project_id = ?1 AND id = ?2");
    let found = tx
        .prepare_cached(&sql)?
        .query_row([key.project.as_str(), key.image.as_str()], |row| {
            Ok((image_of(row)?, row.get::<_, Option<i64>>("deleted_at")?))
        })
        .optional()?;
    Ok(match found {
        None => (Presence::Absent, None),
        Some((image, None)) => (Presence::Live, Some(image)),
        Some((image, Some(_))) => (Presence::Deleted, Some(image)),
    })
}

pub(super) fn delete_image(
    tx: &Transaction,
    key: &ImageKey,
    by: UserId,
    may: Authorise,
) -> anyhow::Result<Permitted<Deletion>> {
    if let Err(refusal) = may(role(tx, &key.project, by)?) {
        return Ok(Err(refusal));
    }
    let (before, _) = image(tx, key)?;
    if before != Presence::Live {
        return Ok(Ok(Deletion { before, ended: None }));
    }
    let now = now(tx)?;
    let place = record(tx, &key.project, Kind::Image, key.image.as_str())?.0;
    tx.execute(
        &format!(
            "UPDATE images SET deleted_at = ?3, revision = {REVISION_AT}?4 WHERE project_id = ?1 AND id = ?2"
        ),
        params![key.project.as_str(), key.image.as_str(), Millis(now), place],
    )?;
    let ended = locks::end(tx, key, now, ReleaseReason::Forced, Some(by))?;
    Ok(Ok(Deletion { before, ended }))
}
