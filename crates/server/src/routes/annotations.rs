//! `/annotations`, and an image's annotations.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use lockstep_wire::{
    AnnotationId, CreateAnnotation, ImageId, ProjectId, Removed, Saved, UpdateAnnotation, Version,
};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::Server;
use super::answer::Answered;
use super::extract::{Asked, At, Body, Caller, Context};
use crate::service::{BatchAnswer, BatchOp, History, ImageKey};

pub(super) async fn of_image(
    State(server): State<Server>,
    Caller(user): Caller,
    At((project, image)): At<(ProjectId, ImageId)>,
) -> Answered<Response> {
    let rendered = server.service.annotations(user, project, image).await?;
    Ok(([(CONTENT_TYPE, "application/json")], rendered.json).into_response())
}

pub(super) async fn create(
    State(server): State<Server>,
    Caller(user): Caller,
    Context(context): Context,
    Body(request): Body<CreateAnnotation>,
) -> Answered<Response> {
    let (saved, created) = server.service.create(user, request, context).await?;
    let status = if created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((status, Json(saved)).into_response())
}

pub(super) async fn update(
    State(server): State<Server>,
    Caller(user): Caller,
    Context(context): Context,
    At(id): At<AnnotationId>,
    Body(request): Body<UpdateAnnotation>,
) -> Answered<Json<Saved>> {
    Ok(Json(server.service.update(user, id, request, context).await?))
}

#[derive(Deserialize, IntoParams, ToSchema)]
pub(super) struct Deleted {
    /// What the decision to delete was based on.
    version: Version,
}

pub(super) async fn delete(
    State(server): State<Server>,
    Caller(user): Caller,
    Context(context): Context,
    At(id): At<AnnotationId>,
    Asked(Deleted { version }): Asked<Deleted>,
) -> Answered<Json<Removed>> {
    Ok(Json(server.service.delete(user, id, version, context).await?))
}

pub(super) async fn history(
    State(server): State<Server>,
    Caller(user): Caller,
    At(id): At<AnnotationId>,
) -> Answered<Json<History>> {
    Ok(Json(server.service.history(user, &id).await?))
}

#[derive(Deserialize, ToSchema)]
pub(super) struct Batch {
    /// In order.
    #[schema(max_items = 1000)]
    ops: Vec<BatchOp>,
}

pub(super) async fn batch(
    State(server): State<Server>,
    Caller(user): Caller,
    Context(context): Context,
    At((project, image)): At<(ProjectId, ImageId)>,
    Body(Batch { ops }): Body<Batch>,
) -> Answered<Json<BatchAnswer>> {
    Ok(Json(
        server
            .service
            .batch(user, ImageKey { project, image }, ops, context)
            .await?,
    ))
}
