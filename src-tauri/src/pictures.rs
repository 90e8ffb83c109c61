//! Hands pictures to the window as bytes, over a protocol of their own: `lockstep://localhost/picture/PID/IID`.

use lockstep_wire::{ImageId, ProjectId};
use tauri::http::{Request, Response, StatusCode, header};
use tauri::{Manager, Runtime, UriSchemeContext, UriSchemeResponder};

use crate::Desk;

/// The scheme's name, also in the window's content security policy.
pub(crate) const SCHEME: &str = "lockstep";

/// What is asked for.
#[derive(Debug, PartialEq)]
enum Wanted {
    Picture(ProjectId, ImageId),
    Thumbnail(ProjectId, ImageId),
}

/// Answers from the core's cache or the server, off the window's thread.
#[expect(clippy::needless_pass_by_value, reason = "the toolkit hands it over by value")]
pub(crate) fn serve<R: Runtime>(
    context: UriSchemeContext<'_, R>,
    request: Request<Vec<u8>>,
    responder: UriSchemeResponder,
) {
    let app = context.app_handle().clone();
    tauri::async_runtime::spawn(async move {
        let Some(wanted) = parse(request.uri().path()) else {
            responder.respond(answer(StatusCode::NOT_FOUND, "text/plain", Vec::new()));
            return;
        };
        let client = &app.state::<Desk>().client;
        let found = match wanted {
            Wanted::Picture(project, image) => client.picture(&project, &image).await,
            Wanted::Thumbnail(project, image) => client.thumbnail(&project, &image).await,
        };
        responder.respond(match found {
            Ok((media_type, bytes)) => answer(StatusCode::OK, &media_type, bytes.into()),
            // The window only tells pictures that are there from pictures that are not.
            Err(error) => answer(
                StatusCode::SERVICE_UNAVAILABLE,
                "text/plain",
                error.to_string().into_bytes(),
            ),
        });
    });
}

fn answer(status: StatusCode, media_type: &str, body: Vec<u8>) -> Response<Vec<u8>> {
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, media_type)
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        // The core's cache is the one that knows when a picture changed.
        .header(header::CACHE_CONTROL, "no-cache")
        .body(body)
        .expect("a response of fixed headers is well-formed")
}

fn parse(path: &str) -> Option<Wanted> {
    let mut parts = path.trim_start_matches('/').split('/');
    let (kind, project, image) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let project = ProjectId(decode(project)?);
    let image = ImageId(decode(image)?);
    match kind {
        "picture" => Some(Wanted::Picture(project, image)),
        "thumbnail" => Some(Wanted::Thumbnail(project, image)),
        _ => None,
    }
}

fn decode(part: &str) -> Option<String> {
    percent_encoding::percent_decode_str(part)
        .decode_utf8()
        .ok()
        .map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_images_id_may_hold_a_slash() {
        assert_eq!(
            parse("/picture/p/a%2Fb%20%C3%BC"),
            Some(Wanted::Picture("p".into(), "a/b ü".into()))
        );
        assert_eq!(
            parse("/thumbnail/p/i"),
            Some(Wanted::Thumbnail("p".into(), "i".into()))
        );
    }

    #[test]
    fn anything_else_is_not_there() {
        for path in [
            "/",
            "/picture/p",
            "/picture/p/i/more",
            "/secret/p/i",
            "/picture/p/%FF",
        ] {
            assert_eq!(parse(path), None, "{path}");
        }
    }
}
