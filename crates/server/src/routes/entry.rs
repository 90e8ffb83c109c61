//! What every request goes through on its way in and out: it gets an id, room and time; then it is counted, and logged.
//!
//! **Invariant:** the log has the route's pattern and the user's number, never an address, a name, a header or a body: the
//! address has file names in it, and file names say who and what.

use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use lockstep_wire::{Refusal, RefusalDetail};
use serde_json::json;
use tower_http::timeout::TimeoutBody;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use super::Server;
use super::answer::refused;

/// Which request this is, in the log, in the answer and in the body of a failure.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// No longer than any that is in use: a UUID, a trace's id.
const LONGEST_ID: usize = 64;

/// Left in an answer by whatever refused it.
#[derive(Clone)]
pub(super) struct Refused {
    pub(super) error: &'static str,
    /// When the server is at fault: told again with the request's id, by which an operator finds it in the log.
    pub(super) fault: Option<RefusalDetail>,
}

/// Around everything.
pub(super) async fn attend(State(server): State<Server>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = request_id(request.headers());
    let method = known_method(request.method());
    let path = request.extensions().get::<MatchedPath>().cloned();
    let route = path.as_ref().map_or("-", MatchedPath::as_str);
    let span = tracing::info_span!("request", id = %id, method, route, user = Empty);
    let mut answer = next.run(request).instrument(span.clone()).await;

    let took = began.elapsed();
    let refusal = answer.extensions_mut().remove::<Refused>();
    if let Some(Refused { error, fault }) = &refusal {
        server.service.metrics().refused(error);
        if let Some(fault) = fault {
            tell_id(&mut answer, fault, &id);
        }
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        answer.headers_mut().insert(REQUEST_ID, id);
    }
    let status = answer.status();
    server
        .service
        .metrics()
        .answered(method, route, status.as_u16(), took);
    let error = refusal.map(|refusal| refusal.error);
    let (status, ms) = (status.as_u16(), took.as_secs_f64() * 1000.0);
    span.in_scope(|| match status {
        // A full house is no fault, and would flood the log that should say why.
        503 => tracing::debug!(status, ms, error, "answered"),
        500.. => tracing::warn!(status, ms, error, "answered"),
        _ => tracing::debug!(status, ms, error, "answered"),
    });
    answer
}

/// Anyone can make methods up, and each would be counted by itself for as long as the server runs.
fn known_method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

/// The caller's own, if it can be told from noise; else a new one.
fn request_id(headers: &HeaderMap) -> String {
    let sane = |id: &&str| {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        (1..=LONGEST_ID).contains(&id.len()) && id.bytes().all(good)
    };
    let named = headers
        .get(REQUEST_ID)
        .and_then(|id| id.to_str().ok())
        .filter(sane);
    named.map_or_else(|| uuid::Uuid::now_v7().to_string(), str::to_owned)
}

fn tell_id(answer: &mut Response, fault: &RefusalDetail, id: &str) {
    let mut body = json!({"detail": fault});
    body["detail"]["request_id"] = id.into();
    let body = body.to_string();
    answer
        .headers_mut()
        .insert(axum::http::header::CONTENT_LENGTH, body.len().into());
    *answer.body_mut() = Body::from(body);
}

/// The log says whose request it was from here on, by his number.
pub(super) fn note_user(user: lockstep_wire::UserId) {
    Span::current().record("user", user.0);
}

/// Room for so many at a time: whoever comes when all is taken is asked to come again, before he waits for nothing.
pub(super) async fn admit(State(server): State<Server>, request: Request, next: Next) -> Response {
    let inside = server.service.metrics().requests_in_work.enter();
    if server.service.metrics().requests_in_work.get() > server.service.settings().requests_at_once {
        return refused(Refusal::Unavailable.because("The server is busy; please try again."));
    }
    let answer = next.run(request).await;
    drop(inside);
    answer
}

/// For a request that is read and answered at once.
pub(super) async fn hurry(State(server): State<Server>, request: Request, next: Next) -> Response {
    let limit = server.service.settings().request_time;
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(answer) => answer,
        Err(_) => refused(Refusal::Unavailable.because("The request took too long.")),
    }
}

/// For a request that may be as long as it likes while something comes.
pub(super) async fn keep_coming(State(server): State<Server>, request: Request, next: Next) -> Response {
    let limit = server.service.settings().request_time;
    let request = request.map(|body| Body::new(TimeoutBody::new(limit, Box::pin(body))));
    next.run(request).await.into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_could_forge_the_log_is_replaced() {
        let named = |id: &'static str| {
            let headers = HeaderMap::from_iter([(REQUEST_ID, HeaderValue::from_static(id))]);
            request_id(&headers)
        };
        assert_eq!(named("0af7651916cd43dd-8448.eb_1"), "0af7651916cd43dd-8448.eb_1");
        for bad in ["", "a b", "a\"b", "ann@example.org", &"x".repeat(65)] {
            let bad: &'static str = bad.to_owned().leak();
            assert_ne!(named(bad), bad);
        }
        assert_ne!(request_id(&HeaderMap::new()), request_id(&HeaderMap::new()));
    }
}
