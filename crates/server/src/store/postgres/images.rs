//! Images as rows.

use deadpool_postgres::Pool;
use lockstep_wire::changes::ReleaseReason;
use lockstep_wire::{Image, ImageId, ImagePage, ProjectId, UserId};
use tokio_postgres::Row;

use super::changes::record;
use super::connection::{Columns, Connection, Transaction};
use super::locks;
use super::projects::role;
use crate::store::changes::Kind;
use crate::store::{AddedImage, Authorise, Deletion, ImageKey, NewImage, Permitted, Presence};

pub(super) const COLUMNS: &str =
    "images.id, images.file_name, images.width, images.height, images.media_type,
    images.content_hash, images.annotation_count, images.revision, images.deleted_at IS NOT NULL";

/// Of [`COLUMNS`].
pub(super) const COLUMN_COUNT: usize = 9;

/// From [`COLUMNS`]; nothing where a join found no image.
pub(super) fn image_of(columns: &mut Columns<'_>) -> anyhow::Result<Option<(Image, Presence)>> {
    let Some(id) = columns.next::<Option<String>>()? else {
        return Ok(None);
    };
    let image = Image {
        id: ImageId(id),
        file_name: columns.next()?,
        width: u32::try_from(columns.next::<i64>()?)?,
        height: u32::try_from(columns.next::<i64>()?)?,
        media_type: columns.next()?,
        content_hash: columns.next()?,
        annotation_count: u32::try_from(columns.next::<i64>()?)?,
        revision: columns.next()?,
    };
    let presence = match columns.next()? {
        true => Presence::Deleted,
        false => Presence::Live,
    };
    Ok(Some((image, presence)))
}

fn found(row: &Row) -> anyhow::Result<Option<(Image, Presence)>> {
    image_of(&mut Columns::of(row))
}

pub(super) async fn add_image(
    pool: &Pool,
    image: &NewImage,
    may: Authorise,
) -> anyhow::Result<Permitted<AddedImage>> {
    let tx = Transaction::begin(pool).await?;
    let added = add(&tx, image, may).await?;
    tx.commit().await?;
    Ok(added)
}

async fn add(tx: &Transaction, image: &NewImage, may: Authorise) -> anyhow::Result<Permitted<AddedImage>> {
    let key = &image.key;
    locks::one_among_others_in(tx, &key.project).await?;
    if let Err(refusal) = may(role(tx, &key.project, image.added_by).await?) {
        return Ok(Err(refusal));
    }
    if image.unless_present {
        // Two that bring the same content take turns.
        tx.query_opt(
            "SELECT pg_advisory_xact_lock(hashtextextended($1 || '/' || $2, 3))",
            &[&key.project.as_str(), &image.content_hash],
        )
        .await?;
        let sql = format!(
            "SELECT {COLUMNS} FROM images WHERE project_id = $1 AND content_hash = $2 AND deleted_at IS NULL LIMIT 1"
        );
        let present = tx
            .query_opt(&sql, &[&key.project.as_str(), &image.content_hash])
            .await?;
        if let Some(row) = present
            && let Some((present, _)) = found(&row)?
        {
            return Ok(Ok(AddedImage::Present(present)));
        }
    }
    let added = tx
        .query_opt(
            &format!(
                "INSERT INTO images (project_id, id, file_name, width, height, media_type, content_hash, revision,
                                     added_by, added_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, (SELECT generation_floor FROM server) + 1, $8, now_ms())
                 ON CONFLICT (project_id, id) DO NOTHING RETURNING {COLUMNS}"
            ),
            &[
                &key.project.as_str(),
                &key.image.as_str(),
                &image.file_name,
                &i64::from(image.width),
                &i64::from(image.height),
                &image.media_type,
                &image.content_hash,
                &image.added_by.0,
            ],
        )
        .await?;
    let Some(row) = added else {
        return Ok(Ok(AddedImage::Taken));
    };
    record(tx, &key.project, Kind::Image, key.image.as_str()).await?;
    Ok(Ok(match found(&row)? {
        Some((image, _)) => AddedImage::New(image),
        None => AddedImage::Taken,
    }))
}

pub(super) async fn image_of_content(
    pool: &Pool,
    project: &ProjectId,
    content_hash: &str,
) -> anyhow::Result<Option<Image>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM images WHERE project_id = $1 AND content_hash = $2 AND deleted_at IS NULL LIMIT 1"
    );
    let db = Connection::of(pool).await?;
    let rows = db.query(&sql, &[&project.as_str(), &content_hash]).await?;
    let there = rows.first().map(found).transpose()?.flatten();
    Ok(there.map(|(image, _)| image))
}

pub(super) async fn images(
    pool: &Pool,
    project: &ProjectId,
    reader: UserId,
    after: Option<&str>,
    limit: u32,
) -> anyhow::Result<Option<ImagePage>> {
    // A deleted image's row stays, so a page can always go on from where the last one ended.
    let sql = format!(
        "SELECT images.* FROM members
         CROSS JOIN LATERAL (
             SELECT CASE WHEN $3::text IS NULL THEN '' ELSE
                        (SELECT file_name FROM images WHERE project_id = $1 AND id = $3) END AS file_name,
                    coalesce($3, '') AS id) AS after
         LEFT JOIN LATERAL (
             SELECT {COLUMNS} FROM images
             WHERE project_id = $1 AND deleted_at IS NULL
               AND (images.file_name, images.id) > (after.file_name, after.id)
             ORDER BY images.file_name, images.id LIMIT $4) AS images ON true
         WHERE members.project_id = $1 AND members.user_id = $2
         ORDER BY images.file_name, images.id"
    );
    let db = Connection::of(pool).await?;
    let rows = db
        .query(
            &sql,
            &[&project.as_str(), &reader.0, &after, &(i64::from(limit) + 1)],
        )
        .await?;
    if rows.is_empty() {
        return Ok(None);
    }
    let mut images = Vec::with_capacity(rows.len());
    for row in &rows {
        images.extend(found(row)?.map(|(image, _)| image));
    }
    let has_more = images.len() > limit as usize;
    images.truncate(limit as usize);
    let next = images
        .last()
        .filter(|_| has_more)
        .map(|last: &Image| last.id.0.clone());
    Ok(Some(ImagePage { images, next }))
}

pub(super) async fn image(
    pool: &Pool,
    key: &ImageKey,
    reader: UserId,
) -> anyhow::Result<Option<(Presence, Option<Image>)>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM members
         LEFT JOIN images ON images.project_id = members.project_id AND images.id = $2
         WHERE members.project_id = $1 AND user_id = $3"
    );
    let db = Connection::of(pool).await?;
    let row = db
        .query_opt(&sql, &[&key.project.as_str(), &key.image.as_str(), &reader.0])
        .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    Ok(Some(match found(&row)? {
        Some((image, presence)) => (presence, Some(image)),
        None => (Presence::Absent, None),
    }))
}

pub(super) async fn delete_image(
    pool: &Pool,
    key: &ImageKey,
    by: UserId,
    may: Authorise,
) -> anyhow::Result<Permitted<Deletion>> {
    let tx = Transaction::begin(pool).await?;
    let deletion = delete(&tx, key, by, may).await?;
    tx.commit().await?;
    Ok(deletion)
}

async fn delete(
    tx: &Transaction,
    key: &ImageKey,
    by: UserId,
    may: Authorise,
) -> anyhow::Result<Permitted<Deletion>> {
    locks::one_among_others_in(tx, &key.project).await?;
    locks::alone_on(tx, key).await?;
    if let Err(refusal) = may(role(tx, &key.project, by).await?) {
        return Ok(Err(refusal));
    }
    let found = tx
        .query_opt(
            "SELECT deleted_at IS NULL FROM images WHERE project_id = $1 AND id = $2",
            &[&key.project.as_str(), &key.image.as_str()],
        )
        .await?;
    let before = match found.map(|row| row.try_get(0)).transpose()? {
        None => Presence::Absent,
        Some(false) => Presence::Deleted,
        Some(true) => Presence::Live,
    };
    if before != Presence::Live {
        return Ok(Ok(Deletion { before, ended: None }));
    }
    tx.execute(
        "UPDATE images SET deleted_at = now_ms(),
                           revision = greatest(revision, (SELECT generation_floor FROM server)) + 1
         WHERE project_id = $1 AND id = $2",
        &[&key.project.as_str(), &key.image.as_str()],
    )
    .await?;
    let ended = locks::end(tx, key, ReleaseReason::Forced, Some(by)).await?;
    record(tx, &key.project, Kind::Image, key.image.as_str()).await?;
    Ok(Ok(Deletion { before, ended }))
}
