//! `/projects`, their members and their labels.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use lockstep_wire::{LabelId, ProjectId, UserId};
use serde::Serialize;

use super::answer::Answered;
use super::extract::{At, Body, Caller};
use super::{Server, ok};
use crate::service::{Added, LabelFields, Member, MemberChange, NewMember, ProjectFields, taken};

pub(super) async fn list(State(server): State<Server>, Caller(user): Caller) -> Answered {
    Ok(ok(server.service.projects(user).await?))
}

pub(super) async fn add(
    State(server): State<Server>,
    Caller(user): Caller,
    Body(fields): Body<ProjectFields>,
) -> Answered {
    match server.service.add_project(user, fields).await? {
        Added::New(project) => Ok((StatusCode::CREATED, Json(project)).into_response()),
        Added::Taken => Err(taken("project").into()),
    }
}

/// A member, under the contract's name for his number.
#[derive(Serialize)]
struct MemberBody {
    user_id: UserId,
    #[serde(flatten)]
    member: Member,
}

impl From<Member> for MemberBody {
    fn from(member: Member) -> Self {
        Self {
            user_id: member.user.id,
            member,
        }
    }
}

pub(super) async fn members(
    State(server): State<Server>,
    Caller(user): Caller,
    At(project): At<ProjectId>,
) -> Answered {
    let members = server.service.members(user, &project).await?;
    Ok(ok(members.into_iter().map(MemberBody::from).collect::<Vec<_>>()))
}

pub(super) async fn add_member(
    State(server): State<Server>,
    Caller(user): Caller,
    At(project): At<ProjectId>,
    Body(request): Body<NewMember>,
) -> Answered {
    let member = server.service.add_member(user, &project, request).await?;
    Ok((StatusCode::CREATED, Json(MemberBody::from(member))).into_response())
}

pub(super) async fn change_member(
    State(server): State<Server>,
    Caller(user): Caller,
    At((project, member)): At<(ProjectId, UserId)>,
    Body(change): Body<MemberChange>,
) -> Answered {
    server
        .service
        .change_role(user, &project, member, Some(change.role))
        .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn remove_member(
    State(server): State<Server>,
    Caller(user): Caller,
    At((project, member)): At<(ProjectId, UserId)>,
) -> Answered {
    server.service.change_role(user, &project, member, None).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn labels(
    State(server): State<Server>,
    Caller(user): Caller,
    At(project): At<ProjectId>,
) -> Answered {
    Ok(ok(server.service.labels(user, &project).await?))
}

pub(super) async fn add_label(
    State(server): State<Server>,
    Caller(user): Caller,
    At(project): At<ProjectId>,
    Body(fields): Body<LabelFields>,
) -> Answered {
    let label = server.service.add_label(user, &project, fields).await?;
    Ok((StatusCode::CREATED, Json(label)).into_response())
}

pub(super) async fn change_label(
    State(server): State<Server>,
    Caller(user): Caller,
    At((project, label)): At<(ProjectId, LabelId)>,
    Body(fields): Body<LabelFields>,
) -> Answered {
    Ok(ok(server
        .service
        .change_label(user, &project, &label, fields)
        .await?))
}

pub(super) async fn delete_label(
    State(server): State<Server>,
    Caller(user): Caller,
    At((project, label)): At<(ProjectId, LabelId)>,
) -> Answered {
    server.service.delete_label(user, &project, &label).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
