//! HTTP in and out: who asks, what he asks, and the status of the answer.
//!
//! **Invariant:** nothing here knows the store or decides anything but a status code.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use lockstep_wire::{Image, ImageAnnotations, Refusal, Saved, routes as at};
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

use crate::service::Service;
use answer::refused;
use entry::{admit, attend, hurry, keep_coming};
use extract::JSON_LIMIT;
use operation::{Access, Operation, Pace, delete, get, patch, post, put};

mod accounts;
mod annotations;
mod answer;
mod changes;
mod document;
mod entry;
mod extract;
mod images;
mod locks;
mod operation;
mod operator;
mod projects;

pub(crate) use document::openapi;

/// What every handler may use.
#[derive(Clone)]
struct Server {
    service: Arc<Service>,
    /// Ends the event streams, which would else never end. Cloning such a token takes a mutex; this is cloned for every
    /// layer of every request.
    stopping: Arc<CancellationToken>,
    metrics_for: MetricsFor,
}

/// Whom the numbers are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MetricsFor {
    /// Callers on the server's own machine.
    ThisMachine,
    /// Whoever reaches the listener.
    Everyone,
    /// They have another listener.
    Nobody,
}

/// Every operation there is. To add one, add its line: what its handler takes and gives is read off the handler's
/// signature; `refuses` names the statuses that neither the signature nor the access implies.
#[rustfmt::skip] // A table is read line by line.
fn operations() -> Vec<Operation> {
    use Access::{Annotator, Anyone, Manager, Member, SignedIn};
    vec![
        get(at::HEALTHZ, Anyone, "Whether the server runs.", operator::alive).at_the_root(),
        get(at::READYZ, Anyone, "Whether it can serve: database and images can be reached.", operator::ready)
            .at_the_root(),
        get(at::METRICS, Anyone, "Numbers for Prometheus; for the server's own machine alone, unless they have an address \
            of their own.", operator::metrics)
            .gives_content(200, operator::OPEN_METRICS, "OpenMetrics text.")
            .refuses(&[404])
            .at_the_root(),
        get(at::OPENAPI, Anyone, "This document.", document::document)
            .gives_content(200, "application/json", "An OpenAPI document."),
        get(at::META, Anyone, "Who the server is and how long its leases are.", accounts::meta),

        post(at::LOGIN, Anyone, "Begins a session.", accounts::login).refuses(&[401, 429]),
        post(at::REFRESH, Anyone, "Exchanges a refresh token for new tokens.", accounts::refresh).refuses(&[401]),
        post(at::LOGOUT, Anyone, "Ends the session of a refresh token, or everywhere: every session of its user.", accounts::logout),
        get(at::ME, SignedIn, "Whose token this is.", accounts::me),
        post(at::PASSWORD, SignedIn, "Changes one's password and ends one's other sessions.", accounts::change_password)
            .refuses(&[429]),
        get(at::TOKENS, SignedIn, "One's tokens for scripts.", accounts::tokens),
        post(at::TOKENS, SignedIn, "Makes a token for a script; this answer alone shows it.", accounts::add_token),
        delete(at::TOKEN, SignedIn, "Ends a token for a script.", accounts::delete_token).refuses(&[404]),

        post(at::ACQUIRE, Annotator, "Gives the image to the caller if it is free or his.", locks::acquire)
            .refuses(&[410]),
        get(at::LOCKS, Member, "The project's live locks.", locks::list),
        delete(at::LOCK, Member, "Gives the caller's lock back, and never another's.", locks::release),
        post(at::HEARTBEAT, Annotator, "Starts the caller's lease anew.", locks::heartbeat).refuses(&[410, 423]),
        get(at::LOCK_STATUS, Member, "Who holds the image; null when it is free.", locks::status),
        delete(at::FORCE_RELEASE, Manager, "Ends whoever's lock.", locks::force),

        get(at::PROJECTS, SignedIn, "The caller's projects.", projects::list),
        post(at::PROJECTS, SignedIn, "Makes a project; the caller is its owner.", projects::add),
        get(at::MEMBERS, Member, "The project's people.", projects::members),
        post(at::MEMBERS, Manager, "Joins someone to the project.", projects::add_member),
        patch(at::MEMBER, Manager, "Changes what someone may do.", projects::change_member),
        delete(at::MEMBER, Manager, "Ends someone's membership.", projects::remove_member),
        get(at::LABELS, Member, "The project's labels.", projects::labels),
        post(at::LABELS, Manager, "Adds a label.", projects::add_label),
        patch(at::LABEL, Manager, "Changes a label.", projects::change_label),
        delete(at::LABEL, Manager, "Deletes a label; annotations keep naming it.", projects::delete_label),

        get(at::IMAGES, Member, "A page of the project's images.", images::list),
        post(at::IMAGES, Manager, "Adds an image; one that is there already is answered with 200.", images::add)
            .takes_form::<images::UploadForm>()
            .gives::<Image>(200)
            .gives::<Image>(201)
            .of_any_length(),
        delete(at::IMAGE, Manager, "Deletes an image.", images::delete).refuses(&[410]),
        get(at::CONTENT, Member, "An image's bytes as they were imported.", images::content)
            .hears("if-none-match", "The ETag of what the caller has.")
            .hears("range", "Some of the bytes.")
            .hears("if-range", "Only if this is their ETag; else all of them.")
            .gives_content(200, "image/*", "The bytes.")
            .gives_content(206, "image/*", "Those that were asked for.")
            .gives_nothing(304, "The caller has them already.")
            .refuses(&[410, 416]),
        get(at::THUMBNAIL, Member, "A small upright picture of an image.", images::thumbnail)
            .hears("if-none-match", "The ETag of what the caller has.")
            .gives_content(200, "image/jpeg", "The bytes.")
            .gives_nothing(304, "The caller has them already.")
            .refuses(&[410]),

        get(at::IMAGE_ANNOTATIONS, Member, "What has been said about an image.", annotations::of_image)
            .gives::<ImageAnnotations>(200)
            .refuses(&[410]),
        post(at::BATCH, Member, "Writes in order, in one transaction; each has its result.", annotations::batch),
        post(at::ANNOTATIONS, Annotator, "Stores a new annotation.", annotations::create)
            .gives::<Saved>(200)
            .gives::<Saved>(201)
            .refuses(&[409, 410, 423]),
        put(at::ANNOTATION, Annotator, "Saves upon the version it names.", annotations::update)
            .refuses(&[409, 410, 423]),
        delete(at::ANNOTATION, Annotator, "Deletes the version it names.", annotations::delete)
            .refuses(&[409, 410, 423]),
        get(at::HISTORY, Member, "Every state an annotation was in.", annotations::history),

        get(at::CHANGES, Member, "What happened in the project since.", changes::changes),
        get(at::EVENTS, Member, "Hints as things happen, until the connection ends.", changes::events)
            .gives_content(200, "text/event-stream", "Server-sent events."),
    ]
}

/// A router of every operation.
pub(crate) fn router(service: Arc<Service>, stopping: CancellationToken, metrics_for: MetricsFor) -> Router {
    let server = Server {
        service,
        stopping: Arc::new(stopping),
        metrics_for,
    };
    routed(server, operations())
}

/// Of what is at the root alone: for a listener of the operator's own.
pub(crate) fn operators_router(service: Arc<Service>, stopping: CancellationToken) -> Router {
    let server = Server {
        service,
        stopping: Arc::new(stopping),
        metrics_for: MetricsFor::Everyone,
    };
    let operations = operations().into_iter();
    routed(
        server,
        operations.filter(|operation| operation.pace == Pace::Operator),
    )
}

fn routed(server: Server, operations: impl IntoIterator<Item = Operation>) -> Router {
    let routes = operations.into_iter().fold(Router::new(), |router, operation| {
        let in_time = match operation.pace {
            // An operator must see most when nothing else gets through.
            Pace::Operator => return router.route(&operation.path, operation.route),
            Pace::Prompt => operation.route.layer(from_fn_with_state(server.clone(), hurry)),
            Pace::Upload => operation
                .route
                .layer(from_fn_with_state(server.clone(), keep_coming)),
        };
        router.route(
            &operation.path,
            in_time.layer(from_fn_with_state(server.clone(), admit)),
        )
    });
    routes
        .fallback(async || no_such_address())
        .method_not_allowed_fallback(async || {
            refused(Refusal::MethodNotAllowed.because("This address does not take requests of this method."))
        })
        .layer(DefaultBodyLimit::max(JSON_LIMIT))
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            // The panic hook has logged it.
            refused(Refusal::Internal.because("Something went wrong on the server."))
        }))
        .layer(from_fn_with_state(server.clone(), attend))
        .with_state(server)
}

fn no_such_address() -> Response {
    refused(Refusal::NotFound.because("There is nothing at this address."))
}
