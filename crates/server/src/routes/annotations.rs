//! `/annotations`, and an image's annotations.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse as _;
use lockstep_wire::{AnnotationId, CreateAnnotation, ImageId, ProjectId, UpdateAnnotation, Version};
use serde::Deserialize;

use super::answer::Answered;
use super::extract::{Asked, At, Body, Caller, Context};
use super::{Server, ok};
use crate::service::{BatchOp, ImageKey};

pub(super) async fn of_image(
    State(server): State<Server>,
    Caller(user): Caller,
    At((project, image)): At<(ProjectId, ImageId)>,
) -> Answered {
    let rendered = server.service.annotations(user, project, image).await?;
    Ok(([(CONTENT_TYPE, "application/json")], rendered.json).into_response())
}

pub(super) async fn create(
    State(server): State<Server>,
    Caller(user): Caller,
    Context(context): Context,
    Body(request): Body<CreateAnnotation>,
) -> Answered {
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
) -> Answered {
    Ok(ok(server.service.update(user, id, request, context).await?))
}

#[derive(Deserialize)]
pub(super) struct Deleted {
    version: Version,
}

pub(super) async fn delete(
    State(server): State<Server>,
    Caller(user): Caller,
    Context(context): Context,
    At(id): At<AnnotationId>,
    Asked(Deleted { version }): Asked<Deleted>,
) -> Answered {
    Ok(ok(server.service.delete(user, id, version, context).await?))
}

pub(super) async fn history(
    State(server): State<Server>,
    Caller(user): Caller,
    At(id): At<AnnotationId>,
) -> Answered {
    Ok(ok(server.service.history(user, &id).await?))
}

#[derive(Deserialize)]
pub(super) struct Batch {
    ops: Vec<BatchOp>,
}

pub(super) async fn batch(
    State(server): State<Server>,
    Caller(user): Caller,
    Context(context): Context,
    At((project, image)): At<(ProjectId, ImageId)>,
    Body(Batch { ops }): Body<Batch>,
) -> Answered {
    Ok(ok(server
        .service
        .batch(user, ImageKey { project, image }, ops, context)
        .await?))
}
