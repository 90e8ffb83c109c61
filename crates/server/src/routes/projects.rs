//! `/projects`, their members and their labels.

use axum::Json;
use axum::extract::State;
use axum::response::NoContent;
use lockstep_wire::{Label, LabelId, Project, ProjectId, UserId};
use serde::Serialize;
use utoipa::ToSchema;

use super::Server;
use super::answer::{Answered, Created};
use super::extract::{At, Body, Caller};
use crate::service::{Added, LabelFields, Member, MemberChange, NewMember, ProjectFields, taken};

pub(super) async fn list(State(server): State<Server>, Caller(user): Caller) -> Answered<Json<Vec<Project>>> {
    Ok(Json(server.service.projects(user).await?))
}

pub(super) async fn add(
    State(server): State<Server>,
    Caller(user): Caller,
    Body(fields): Body<ProjectFields>,
) -> Answered<Created<Project>> {
    match server.service.add_project(user, fields).await? {
        Added::New(project) => Ok(Created(project)),
        Added::Taken => Err(taken("project").into()),
    }
}

/// A member, under the contract's name for his number.
#[derive(Serialize, ToSchema)]
pub(super) struct MemberBody {
    /// The account.
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
) -> Answered<Json<Vec<MemberBody>>> {
    let members = server.service.members(user, &project).await?;
    Ok(Json(
        members.into_iter().map(MemberBody::from).collect::<Vec<_>>(),
    ))
}

pub(super) async fn add_member(
    State(server): State<Server>,
    Caller(user): Caller,
    At(project): At<ProjectId>,
    Body(request): Body<NewMember>,
) -> Answered<Created<MemberBody>> {
    let member = server.service.add_member(user, &project, request).await?;
    Ok(Created(MemberBody::from(member)))
}

pub(super) async fn change_member(
    State(server): State<Server>,
    Caller(user): Caller,
    At((project, member)): At<(ProjectId, UserId)>,
    Body(change): Body<MemberChange>,
) -> Answered<NoContent> {
    server
        .service
        .change_member(user, &project, member, change.role)
        .await?;
    Ok(NoContent)
}

pub(super) async fn remove_member(
    State(server): State<Server>,
    Caller(user): Caller,
    At((project, member)): At<(ProjectId, UserId)>,
) -> Answered<NoContent> {
    server.service.change_role(user, &project, member, None).await?;
    Ok(NoContent)
}

pub(super) async fn labels(
    State(server): State<Server>,
    Caller(user): Caller,
    At(project): At<ProjectId>,
) -> Answered<Json<Vec<Label>>> {
    Ok(Json(server.service.labels(user, &project).await?))
}

pub(super) async fn add_label(
    State(server): State<Server>,
    Caller(user): Caller,
    At(project): At<ProjectId>,
    Body(fields): Body<LabelFields>,
) -> Answered<Created<Label>> {
    let label = server.service.add_label(user, &project, fields).await?;
    Ok(Created(label))
}

pub(super) async fn change_label(
    State(server): State<Server>,
    Caller(user): Caller,
    At((project, label)): At<(ProjectId, LabelId)>,
    Body(fields): Body<LabelFields>,
) -> Answered<Json<Label>> {
    Ok(Json(
        server
            .service
            .change_label(user, &project, &label, fields)
            .await?,
    ))
}

pub(super) async fn delete_label(
    State(server): State<Server>,
    Caller(user): Caller,
    At((project, label)): At<(ProjectId, LabelId)>,
) -> Answered<NoContent> {
    server.service.delete_label(user, &project, &label).await?;
    Ok(NoContent)
}
