//! Signing in and out, and who the server is.

use axum::Json;
use axum::extract::State;
use axum::response::NoContent;
use lockstep_wire::{LoginRequest, Meta, RefreshRequest, Tokens, User};

use super::Server;
use super::answer::Answered;
use super::extract::{Body, Caller};

pub(super) async fn meta(State(server): State<Server>) -> Json<Meta> {
    Json(server.service.meta())
}

pub(super) async fn login(
    State(server): State<Server>,
    Body(request): Body<LoginRequest>,
) -> Answered<Json<Tokens>> {
    Ok(Json(server.service.login(request).await?))
}

pub(super) async fn refresh(
    State(server): State<Server>,
    Body(request): Body<RefreshRequest>,
) -> Answered<Json<Tokens>> {
    Ok(Json(server.service.refresh(&request.refresh_token).await?))
}

pub(super) async fn logout(
    State(server): State<Server>,
    Body(request): Body<RefreshRequest>,
) -> Answered<NoContent> {
    server.service.logout(&request.refresh_token).await?;
    Ok(NoContent)
}

pub(super) async fn me(State(server): State<Server>, Caller(user): Caller) -> Answered<Json<User>> {
    Ok(Json(server.service.me(user).await?))
}
