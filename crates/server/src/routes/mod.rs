//! HTTP in and out: who asks, what he asks, and the status of the answer.
//!
//! **Invariant:** nothing here knows the store or decides anything but a status code.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, delete, get, patch, post, put};
use axum::{Json, Router};
use lockstep_wire::{Refusal, routes as at};
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

use crate::service::Service;
use answer::refused;
use extract::JSON_LIMIT;

mod accounts;
mod annotations;
mod answer;
mod changes;
mod extract;
mod images;
mod locks;
mod projects;

/// What every handler may use.
#[derive(Clone)]
struct Server {
    service: Arc<Service>,
    /// Ends the event streams, which would else never end.
    stopping: CancellationToken,
}

/// Every route of the contract.
pub(crate) fn router(service: Arc<Service>, stopping: CancellationToken) -> Router {
    let api = Router::new()
        .route(at::META, get(accounts::meta))
        .route(at::LOGIN, post(accounts::login))
        .route(at::REFRESH, post(accounts::refresh))
        .route(at::LOGOUT, post(accounts::logout))
        .route(at::ME, get(accounts::me))
        .route(at::ACQUIRE, post(locks::acquire))
        .route(at::LOCKS, get(locks::list))
        .route(at::LOCK, delete(locks::release))
        .route(at::HEARTBEAT, post(locks::heartbeat))
        .route(at::LOCK_STATUS, get(locks::status))
        .route(at::FORCE_RELEASE, delete(locks::force))
        .route(at::PROJECTS, get(projects::list).post(projects::add))
        .route(at::MEMBERS, get(projects::members).post(projects::add_member))
        .route(
            at::MEMBER,
            patch(projects::change_member).delete(projects::remove_member),
        )
        .route(at::LABELS, get(projects::labels).post(projects::add_label))
        .route(
            at::LABEL,
            patch(projects::change_label).delete(projects::delete_label),
        )
        .route(at::IMAGES, upload(get(images::list).post(images::add)))
        .route(at::IMAGE, delete(images::delete))
        .route(at::CONTENT, get(images::content))
        .route(at::THUMBNAIL, get(images::thumbnail))
        .route(at::IMAGE_ANNOTATIONS, get(annotations::of_image))
        .route(at::BATCH, post(annotations::batch))
        .route(at::CHANGES, get(changes::changes))
        .route(at::EVENTS, get(changes::events))
        .route(at::ANNOTATIONS, post(annotations::create))
        .route(
            at::ANNOTATION,
            put(annotations::update).delete(annotations::delete),
        )
        .route(at::HISTORY, get(annotations::history));
    Router::new()
        .nest(at::BASE, api)
        .route("/healthz", get(async || StatusCode::OK))
        .route("/readyz", get(accounts::ready))
        .fallback(async || no_such_route())
        .method_not_allowed_fallback(async || no_such_route())
        .layer(DefaultBodyLimit::max(JSON_LIMIT))
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            // The panic hook has logged it.
            refused(Refusal::Internal.because("Something went wrong on the server."))
        }))
        .layer(from_fn(log))
        .with_state(Server { service, stopping })
}

/// A photograph from a large-format camera, as TIFF.
const IMAGE_LIMIT: usize = 256 << 20;

fn upload(routes: MethodRouter<Server>) -> MethodRouter<Server> {
    routes.layer(DefaultBodyLimit::max(IMAGE_LIMIT))
}

fn no_such_route() -> Response {
    refused(Refusal::NotFound.because("There is nothing at this address."))
}

/// The route's pattern, never the address itself: that has file names in it, and file names say who and what.
async fn log(request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map(|path| path.as_str().to_owned());
    let began = std::time::Instant::now();
    let answer = next.run(request).await;
    let (status, took) = (answer.status().as_u16(), began.elapsed());
    tracing::debug!(%method, route = route.as_deref().unwrap_or("-"), status, ?took, "answered");
    answer
}

/// A JSON body with 200.
fn ok<T: serde::Serialize>(body: T) -> Response {
    Json(body).into_response()
}
