//! Signing in and out, and what the server says of itself.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use lockstep_wire::{LoginRequest, RefreshRequest, Refusal};

use super::answer::{Answered, refused};
use super::extract::{Body, Caller};
use super::{Server, ok};

pub(super) async fn meta(State(server): State<Server>) -> Response {
    ok(server.service.meta())
}

pub(super) async fn ready(State(server): State<Server>) -> Response {
    match server.service.ready().await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(_) => refused(Refusal::Unavailable.because("The database cannot be reached.")),
    }
}

pub(super) async fn login(State(server): State<Server>, Body(request): Body<LoginRequest>) -> Answered {
    Ok(ok(server.service.login(request).await?))
}

pub(super) async fn refresh(State(server): State<Server>, Body(request): Body<RefreshRequest>) -> Answered {
    Ok(ok(server.service.refresh(&request.refresh_token).await?))
}

pub(super) async fn logout(State(server): State<Server>, Body(request): Body<RefreshRequest>) -> Answered {
    server.service.logout(&request.refresh_token).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn me(State(server): State<Server>, Caller(user): Caller) -> Answered {
    Ok(ok(server.service.me(user).await?))
}
