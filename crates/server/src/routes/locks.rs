//! `/image-locks`.

use axum::extract::State;
use lockstep_wire::{AcquireRequest, HeartbeatRequest, ImageId, ProjectId, ReleaseRequest};

use super::answer::Answered;
use super::extract::{Asked, At, Body, Caller, OptionalBody};
use super::{Server, ok};

pub(super) async fn acquire(
    State(server): State<Server>,
    Caller(user): Caller,
    Body(request): Body<AcquireRequest>,
) -> Answered {
    Ok(ok(server.service.acquire(user, request).await?))
}

pub(super) async fn heartbeat(
    State(server): State<Server>,
    Caller(user): Caller,
    At((project, image)): At<(ProjectId, ImageId)>,
    OptionalBody(request): OptionalBody<HeartbeatRequest>,
) -> Answered {
    Ok(ok(server
        .service
        .heartbeat(user, project, image, request)
        .await?))
}

pub(super) async fn release(
    State(server): State<Server>,
    Caller(user): Caller,
    At((project, image)): At<(ProjectId, ImageId)>,
    Asked(request): Asked<ReleaseRequest>,
) -> Answered {
    Ok(ok(server.service.release(user, project, image, request).await?))
}

pub(super) async fn force(
    State(server): State<Server>,
    Caller(user): Caller,
    At((project, image)): At<(ProjectId, ImageId)>,
) -> Answered {
    Ok(ok(server.service.force_release(user, project, image).await?))
}

pub(super) async fn list(
    State(server): State<Server>,
    Caller(user): Caller,
    At(project): At<ProjectId>,
) -> Answered {
    Ok(ok(server.service.locks(user, &project).await?))
}

pub(super) async fn status(
    State(server): State<Server>,
    Caller(user): Caller,
    At((project, image)): At<(ProjectId, ImageId)>,
) -> Answered {
    Ok(ok(server.service.lock_status(user, project, image).await?))
}
