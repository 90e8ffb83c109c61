//! A project's images, their bytes and thumbnails.

use std::ops::Range;

use axum::Json;
use axum::body::Body;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest as _, Multipart, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, NoContent, Response};
use http_range_header::{ParsedRanges, parse_range_header};
use lockstep_wire::{ImageId, ImagePage, ProjectId, Refusal, RefusalDetail};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::Server;
use super::answer::{Answered, Created, refused};
use super::extract::{Asked, At, Caller, unreadable};
use crate::blobs::{Source, Spool};
use crate::service::{AddedImage, Content, NewFile, taken};

/// Of a part of a form that is text.
const LONGEST_TEXT: usize = 4096;

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
) -> Answered<Response> {
    server.service.may_add_images(user, &project).await?;
    let form = Multipart::from_request(request, &())
        .await
        .map_err(|rejection| invalid(rejection.body_text()))?;
    let most = server.service.settings().pictures.bytes;
    let file = read_upload(form, most).await?;
    match server.service.receive(user, &project, file).await?.image {
        AddedImage::New(image) => Ok(Created(image).into_response()),
        AddedImage::Present(image) => Ok(Json(image).into_response()),
        AddedImage::Taken => Err(taken("image").into()),
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

/// A part `file`, and perhaps parts `id` and `file_name`. The file goes to the disk as it comes.
async fn read_upload(mut form: Multipart, most: u64) -> Result<NewFile, RefusalDetail> {
    let (mut id, mut file_name, mut source) = (None, None, None);
    while let Some(part) = form.next_field().await.map_err(|error| cut_off(&error))? {
        match part.name() {
            Some("id") => {
                let named = ImageId::try_from(read_text(part).await?);
                id = Some(named.map_err(|fault| invalid(format!("The image's id: {fault}.")))?);
            }
            Some("file_name") => file_name = Some(read_text(part).await?),
            Some("file") => {
                file_name = file_name.or_else(|| part.file_name().map(str::to_owned));
                source = Some(spool(part, most).await?);
            }
            _ => {}
        }
    }
    let source = source.ok_or_else(|| invalid("The upload has no part named file."))?;
    let file_name = file_name.ok_or_else(|| invalid("The uploaded file has no name."))?;
    Ok(NewFile {
        id,
        file_name,
        source,
    })
}

fn cut_off(error: &MultipartError) -> RefusalDetail {
    unreadable(error.status(), error.body_text())
}

async fn read_text(mut part: Field<'_>) -> Result<String, RefusalDetail> {
    let mut text = Vec::new();
    while let Some(chunk) = part.chunk().await.map_err(|error| cut_off(&error))? {
        if text.len() + chunk.len() > LONGEST_TEXT {
            return Err(invalid("A name in the upload is too long."));
        }
        text.extend_from_slice(&chunk);
    }
    String::from_utf8(text).map_err(|_| invalid("A name in the upload is not text."))
}

async fn spool(mut part: Field<'_>, most: u64) -> Result<Source, RefusalDetail> {
    let no_room = |error: std::io::Error| {
        tracing::error!("an upload cannot be written to the folder for temporary files: {error}");
        Refusal::Unavailable.because("The server has no room for this file now.")
    };
    let mut spool = Spool::new().await.map_err(no_room)?;
    let mut length = 0;
    while let Some(chunk) = part.chunk().await.map_err(|error| cut_off(&error))? {
        length += chunk.len() as u64;
        if length > most {
            return Err(unreadable(StatusCode::PAYLOAD_TOO_LARGE, String::new()));
        }
        spool.write(&chunk).await.map_err(no_room)?;
    }
    spool.finish().await.map_err(no_room)
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
    if has(&headers, &tag) {
        return Ok(unchanged(&tag));
    }
    let range = match asked_range(&headers, &tag) {
        Some(asked) => {
            let size = server.service.content_size(&image).await?;
            match within(&asked, size) {
                Ok(range) => range,
                Err(refusal) => {
                    let mut answer = refused(refusal);
                    let whole = HeaderValue::from_str(&format!("bytes */{size}"));
                    answer
                        .headers_mut()
                        .extend(whole.ok().map(|whole| (header::CONTENT_RANGE, whole)));
                    return Ok(answer);
                }
            }
        }
        None => None,
    };
    let partial = range.is_some();
    let Content { bytes, media_type } = server.service.content(&image, range).await?;
    let Range { start, end } = bytes.range;
    let mut answer = (
        [
            (header::CONTENT_TYPE, media_type),
            (header::CONTENT_LENGTH, (end - start).to_string()),
            (header::ACCEPT_RANGES, "bytes".into()),
            (header::CONTENT_DISPOSITION, disposition(&image.file_name)),
        ],
        as_it_is(&tag),
        Body::from_stream(bytes.stream),
    )
        .into_response();
    if partial {
        *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
        let which = format!("bytes {start}-{}/{}", end.saturating_sub(1), bytes.size);
        let which = HeaderValue::from_str(&which).ok();
        answer
            .headers_mut()
            .extend(which.map(|which| (header::CONTENT_RANGE, which)));
    }
    Ok(answer)
}

pub(super) async fn thumbnail(
    State(server): State<Server>,
    Caller(user): Caller,
    At((project, image)): At<(ProjectId, ImageId)>,
    headers: HeaderMap,
) -> Answered<Response> {
    let image = server.service.image(user, project, image).await?;
    let tag = format!("\"{}-thumbnail\"", image.content_hash);
    if has(&headers, &tag) {
        return Ok(unchanged(&tag));
    }
    let thumbnail = server.service.thumbnail(&image).await?;
    let kind = [(header::CONTENT_TYPE, "image/jpeg")];
    Ok((kind, as_it_is(&tag), thumbnail).into_response())
}

/// The one range that is asked for; none where it is of another content, or is not written as a range is. Several at
/// once are nobody's need here: they get the whole, as the rules of HTTP allow.
fn asked_range(headers: &HeaderMap, tag: &str) -> Option<ParsedRanges> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if text(header::IF_RANGE).is_some_and(|only| only != tag) {
        return None;
    }
    let ranges = parse_range_header(text(header::RANGE)?).ok()?;
    (ranges.len() == 1).then_some(ranges)
}

fn within(asked: &ParsedRanges, size: u64) -> Result<Option<Range<u64>>, RefusalDetail> {
    let Ok(ranges) = asked.validate(size) else {
        return Err(Refusal::OutOfRange.because(format!("There are {size} bytes.")));
    };
    Ok(ranges.first().map(|range| *range.start()..range.end() + 1))
}

/// Shown, and called by its name where it is saved (RFC 8187).
fn disposition(file_name: &str) -> String {
    let name = file_name.rsplit('/').next().unwrap_or(file_name);
    format!(
        "inline; filename*=UTF-8''{}",
        lockstep_wire::routes::encoded(name)
    )
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

/// What every answer with bytes says of them.
fn as_it_is(tag: &str) -> [(HeaderName, &str); 3] {
    [
        (header::ETAG, tag),
        (header::CACHE_CONTROL, CACHE),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(headers: &[(HeaderName, &'static str)]) -> Option<ParsedRanges> {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        asked_range(&headers.collect(), "\"tag\"")
    }

    #[test]
    fn one_range_of_this_very_content_is_given_and_nothing_else_that_is_asked() {
        let range = |text: &'static str| asked(&[(header::RANGE, text)]).map(|asked| within(&asked, 10));
        assert_eq!(range("bytes=2-4"), Some(Ok(Some(2..5))));
        assert_eq!(range("bytes=7-"), Some(Ok(Some(7..10))));
        assert_eq!(range("bytes=-3"), Some(Ok(Some(7..10))));
        assert_eq!(
            range("bytes=5-99"),
            Some(Ok(Some(5..10))),
            "it ends where the content does"
        );
        assert!(matches!(range("bytes=10-"), Some(Err(_))));
        assert!(matches!(range("bytes=-0"), Some(Err(_))));
        for ignored in ["bytes=4-2", "bytes=a-b", "lines=1-2", "bytes=0-1,3-4", ""] {
            assert_eq!(range(ignored), None, "{ignored}");
        }
        let only = |tag| asked(&[(header::RANGE, "bytes=0-1"), (header::IF_RANGE, tag)]).is_some();
        assert!(only("\"tag\""));
        assert!(!only("\"another\""));
        assert!(!only("W/\"tag\""), "a weak tag does not vouch for bytes");
    }

    #[test]
    fn a_file_is_saved_under_its_own_name_whatever_is_in_it() {
        assert_eq!(
            disposition("north/a \"ü\"\r\n.png"),
            "inline; filename*=UTF-8''a%20%22%C3%BC%22%0D%0A.png"
        );
    }
}
