//! `/image-locks`.

use axum::Json;
use axum::extract::State;
use lockstep_wire::{
    AcquireAnswer, AcquireRequest, Heartbeat, HeartbeatRequest, ImageId, Lock, LockList, ProjectId, Release,
    ReleaseRequest,
};

use super::Server;
use super::answer::Answered;
use super::extract::{Asked, At, Body, Caller, OptionalBody};

pub(super) async fn acquire(
    State(server): State<Server>,
    Caller(user): Caller,
    Body(request): Body<AcquireRequest>,
) -> Answered<Json<AcquireAnswer>> {
    Ok(Json(server.service.acquire(user, request).await?))
}

pub(super) async fn heartbeat(
    State(server): State<Server>,
    Caller(user): Caller,
    At((project, image)): At<(ProjectId, ImageId)>,
    OptionalBody(request): OptionalBody<HeartbeatRequest>,
) -> Answered<Json<Heartbeat>> {
    Ok(Json(
        server.service.heartbeat(user, project, image, request).await?,
    ))
}

pub(super) async fn release(
    State(server): State<Server>,
    Caller(user): Caller,
    At((project, image)): At<(ProjectId, ImageId)>,
    Asked(request): Asked<ReleaseRequest>,
) -> Answered<Json<Release>> {
    Ok(Json(server.service.release(user, project, image, request).await?))
}

pub(super) async fn force(
    State(server): State<Server>,
    Caller(user): Caller,
    At((project, image)): At<(ProjectId, ImageId)>,
) -> Answered<Json<Release>> {
    Ok(Json(server.service.force_release(user, project, image).await?))
}

pub(super) async fn list(
    State(server): State<Server>,
    Caller(user): Caller,
    At(project): At<ProjectId>,
) -> Answered<Json<LockList>> {
    Ok(Json(server.service.locks(user, &project).await?))
}

pub(super) async fn status(
    State(server): State<Server>,
    Caller(user): Caller,
    At((project, image)): At<(ProjectId, ImageId)>,
) -> Answered<Json<Option<Lock>>> {
    Ok(Json(server.service.lock_status(user, project, image).await?))
}
