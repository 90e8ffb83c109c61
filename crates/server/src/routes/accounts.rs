//! Signing in and out, and who the server is.

use axum::Json;
use axum::extract::State;
use axum::response::NoContent;
use lockstep_wire::{
    ApiToken, LoginRequest, LogoutRequest, MadeToken, Meta, NewToken, PasswordChange, RefreshRequest,
    TokenId, Tokens, User,
};

use super::Server;
use super::answer::{Answered, Created};
use super::extract::{At, AtHome, Body, Caller, ClientAddress};

pub(super) async fn meta(State(server): State<Server>) -> Answered<Json<Meta>> {
    Ok(Json(server.service.meta().await?))
}

pub(super) async fn login(
    State(server): State<Server>,
    ClientAddress(from): ClientAddress,
    Body(request): Body<LoginRequest>,
) -> Answered<Json<Tokens>> {
    Ok(Json(server.service.login(request, from).await?))
}

pub(super) async fn refresh(
    State(server): State<Server>,
    Body(request): Body<RefreshRequest>,
) -> Answered<Json<Tokens>> {
    Ok(Json(server.service.refresh(&request.refresh_token).await?))
}

pub(super) async fn logout(
    State(server): State<Server>,
    Body(request): Body<LogoutRequest>,
) -> Answered<NoContent> {
    server.service.logout(request).await?;
    Ok(NoContent)
}

pub(super) async fn change_password(
    State(server): State<Server>,
    AtHome(user, here): AtHome,
    Body(change): Body<PasswordChange>,
) -> Answered<NoContent> {
    server.service.change_password(user, here, change).await?;
    Ok(NoContent)
}

pub(super) async fn tokens(
    State(server): State<Server>,
    AtHome(user, _): AtHome,
) -> Answered<Json<Vec<ApiToken>>> {
    Ok(Json(server.service.api_tokens(user).await?))
}

pub(super) async fn add_token(
    State(server): State<Server>,
    AtHome(user, _): AtHome,
    Body(request): Body<NewToken>,
) -> Answered<Created<MadeToken>> {
    Ok(Created(server.service.add_api_token(user, request).await?))
}

pub(super) async fn delete_token(
    State(server): State<Server>,
    AtHome(user, _): AtHome,
    At(token): At<TokenId>,
) -> Answered<NoContent> {
    server.service.delete_api_token(user, token).await?;
    Ok(NoContent)
}

pub(super) async fn me(State(server): State<Server>, Caller(user): Caller) -> Answered<Json<User>> {
    Ok(Json(server.service.me(user).await?))
}
