//! A project's images, their bytes and thumbnails.

use axum::Json;
use axum::extract::multipart::MultipartError;
use axum::extract::{FromRequest as _, Multipart, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, NoContent, Response};
use lockstep_wire::{Answer, Image, ImageId, ImagePage, ProjectId, Refusal, RefusalDetail};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::Server;
use super::answer::{Answered, Created};
use super::extract::{Asked, At, Caller, unreadable};
use crate::service::{Added, Content, Upload, taken};

/// A photograph from a large-format camera, as TIFF.
pub(super) const UPLOAD_LIMIT: usize = 256 << 20;

#[derive(Deserialize, IntoParams, ToSchema)]
pub(super) struct Page {
    /// The last page's `next`; the beginning when left out.
    after: Option<String>,
    /// Images of one page; more than 2000 are never sent.
    #[param(value_type = Option<i64>, minimum = 0, maximum = 4_294_967_295_i64)]
    limit: Option<u32>,
}

pub(super) async fn list(
    State(server): State<Server>,
    Caller(user): Caller,
    At(project): At<ProjectId>,
    Asked(Page { after, limit }): Asked<Page>,
) -> Answered<Json<ImagePage>> {
    Ok(Json(
        server
            .service
            .images(user, &project, after.as_deref(), limit)
            .await?,
    ))
}

pub(super) async fn add(
    State(server): State<Server>,
    Caller(user): Caller,
    At(project): At<ProjectId>,
    request: Request,
) -> Answered<Created<Image>> {
    server.service.may_add_images(user, &project).await?;
    let form = Multipart::from_request(request, &())
        .await
        .map_err(|rejection| invalid(rejection.body_text()))?;
    let upload = read_upload(form).await?;
    match server.service.add_image(user, &project, upload).await? {
        Added::New(image) => Ok(Created(image)),
        Added::Taken => Err(taken("image").into()),
    }
}

/// What an upload's parts are.
#[derive(ToSchema)]
#[expect(dead_code, reason = "says what the parts are; they are read one by one")]
pub(super) struct UploadForm {
    /// The file's name when left out.
    id: Option<ImageId>,
    /// As it was called; the name the file is sent under when left out.
    file_name: Option<String>,
    /// Its bytes.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}

/// A part `file`, and perhaps parts `id` and `file_name`.
async fn read_upload(mut form: Multipart) -> Result<Upload, RefusalDetail> {
    let fault = |error: MultipartError| unreadable(error.status(), error.body_text());
    let (mut id, mut file_name, mut content) = (None, None, None);
    while let Some(part) = form.next_field().await.map_err(fault)? {
        match part.name() {
            Some("id") => {
                let text = part.text().await.map_err(fault)?;
                let named = ImageId::try_from(text);
                id = Some(named.map_err(|fault| invalid(format!("The image's id: {fault}.")))?);
            }
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
) -> Answered<NoContent> {
    server.service.delete_image(user, project, image).await?;
    Ok(NoContent)
}

pub(super) async fn content(
    State(server): State<Server>,
    Caller(user): Caller,
    At((project, image)): At<(ProjectId, ImageId)>,
    headers: HeaderMap,
) -> Answered<Response> {
    let image = server.service.image(user, project, image).await?;
    let tag = format!("\"{}\"", image.content_hash);
    unless_known(&headers, &tag, server.service.content(&image)).await
}

pub(super) async fn thumbnail(
    State(server): State<Server>,
    Caller(user): Caller,
    At((project, image)): At<(ProjectId, ImageId)>,
    headers: HeaderMap,
) -> Answered<Response> {
    let image = server.service.image(user, project, image).await?;
    let tag = format!("\"{}-thumbnail\"", image.content_hash);
    unless_known(&headers, &tag, server.service.thumbnail(&image)).await
}

/// Loads and sends what the client does not have yet.
async fn unless_known(
    headers: &HeaderMap,
    tag: &str,
    load: impl Future<Output = Answer<Content>>,
) -> Answered<Response> {
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
