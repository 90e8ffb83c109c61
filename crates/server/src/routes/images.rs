//! A project's images, their bytes and thumbnails.

use axum::Json;
use axum::extract::multipart::MultipartError;
use axum::extract::{FromRequest as _, Multipart, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use lockstep_wire::{Answer, ImageId, ProjectId, Refusal, RefusalDetail};
use serde::Deserialize;

use super::answer::Answered;
use super::extract::{Asked, At, Caller};
use super::{Server, ok};
use crate::service::{Added, Content, Upload, taken};

#[derive(Deserialize)]
pub(super) struct Page {
    after: Option<String>,
    limit: Option<u32>,
}

pub(super) async fn list(
    State(server): State<Server>,
    Caller(user): Caller,
    At(project): At<ProjectId>,
    Asked(Page { after, limit }): Asked<Page>,
) -> Answered {
    Ok(ok(server
        .service
        .images(user, &project, after.as_deref(), limit)
        .await?))
}

pub(super) async fn add(
    State(server): State<Server>,
    Caller(user): Caller,
    At(project): At<ProjectId>,
    request: Request,
) -> Answered {
    server.service.may_add_images(user, &project).await?;
    let form = Multipart::from_request(request, &())
        .await
        .map_err(|rejection| invalid(rejection.body_text()))?;
    let upload = read_upload(form).await?;
    match server.service.add_image(user, &project, upload).await? {
        Added::New(image) => Ok((StatusCode::CREATED, Json(image)).into_response()),
        Added::Taken => Err(taken("image").into()),
    }
}

/// A part `file`, and perhaps parts `id` and `file_name`.
async fn read_upload(mut form: Multipart) -> Result<Upload, RefusalDetail> {
    let fault = |error: MultipartError| invalid(error.body_text());
    let (mut id, mut file_name, mut content) = (None, None, None);
    while let Some(part) = form.next_field().await.map_err(fault)? {
        match part.name() {
            Some("id") => id = Some(ImageId(part.text().await.map_err(fault)?)),
            Some("file_name") => file_name = Some(part.text().await.map_err(fault)?),
            Some("file") => {
                file_name = file_name.or_else(|| part.file_name().map(str::to_owned));
                content = Some(part.bytes().await.map_err(fault)?);
            }
            _ => {}
        }
    }
    let content = content.ok_or_else(|| invalid("The upload has no part named file."))?;
    let file_name = file_name.ok_or_else(|| invalid("The uploaded file has no name."))?;
    Ok(Upload {
        id,
        file_name,
        content,
    })
}

fn invalid(message: impl Into<String>) -> RefusalDetail {
    Refusal::Invalid.because(message)
}

pub(super) async fn delete(
    State(server): State<Server>,
    Caller(user): Caller,
    At((project, image)): At<(ProjectId, ImageId)>,
) -> Answered {
    server.service.delete_image(user, project, image).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn content(
    State(server): State<Server>,
    Caller(user): Caller,
    At((project, image)): At<(ProjectId, ImageId)>,
    headers: HeaderMap,
) -> Answered {
    let image = server.service.image(user, project, image).await?;
    let tag = format!("\"{}\"", image.content_hash);
    unless_known(&headers, &tag, server.service.content(&image)).await
}

pub(super) async fn thumbnail(
    State(server): State<Server>,
    Caller(user): Caller,
    At((project, image)): At<(ProjectId, ImageId)>,
    headers: HeaderMap,
) -> Answered {
    let image = server.service.image(user, project, image).await?;
    let tag = format!("\"{}-thumbnail\"", image.content_hash);
    unless_known(&headers, &tag, server.service.thumbnail(&image)).await
}

/// Loads and sends what the client does not have yet.
async fn unless_known(
    headers: &HeaderMap,
    tag: &str,
    load: impl Future<Output = Answer<Content>>,
) -> Answered {
    if has(headers, tag) {
        return Ok(unchanged(tag));
    }
    Ok(bytes(load.await?, tag))
}

/// Whether the client has it already.
fn has(headers: &HeaderMap, tag: &str) -> bool {
    let Some(known) = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok())
    else {
        return false;
    };
    known
        .split(',')
        .map(str::trim)
        .any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

/// Kept by the client alone, and asked for again each time: who may see it can change, the bytes cannot.
const CACHE: &str = "private, no-cache";

fn unchanged(tag: &str) -> Response {
    (
        StatusCode::NOT_MODIFIED,
        [(header::ETAG, tag), (header::CACHE_CONTROL, CACHE)],
    )
        .into_response()
}

fn bytes(content: Content, tag: &str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content.media_type.as_str()),
        (header::ETAG, tag),
        (header::CACHE_CONTROL, CACHE),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, content.bytes).into_response()
}
