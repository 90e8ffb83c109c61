//! Projects, their people and their labels.

use anyhow::bail;
use lockstep_server::service::{LabelFields, NewMember, ProjectFields};
use lockstep_server::store::Added;
use lockstep_wire::ProjectId;

use super::open;
use crate::cli::{Label, Member, Place, Project};

pub(super) async fn project(command: Project, place: &Place) -> anyhow::Result<()> {
    let Project::Add {
        id,
        name,
        owner,
        annotators_edit_all,
    } = command;
    let service = open(place).await?;
    let owner = service.user_of(&owner).await?;
    let fields = ProjectFields {
        id: Some(ProjectId(id)),
        name,
        annotators_edit_all,
    };
    let Added::New(project) = service.add_project(owner.id, fields).await? else {
        bail!("There is a project of this id already.");
    };
    println!("{}", project.id);
    Ok(())
}

pub(super) async fn member(command: Member, place: &Place) -> anyhow::Result<()> {
    let Member::Add { project, email, role } = command;
    let service = open(place).await?;
    let project = ProjectId(project);
    let owner = service.owner_of(&project).await?;
    let member = NewMember {
        user_id: None,
        email: Some(email),
        role,
    };
    service.add_member(owner.id, &project, member).await?;
    Ok(())
}

pub(super) async fn label(command: Label, place: &Place) -> anyhow::Result<()> {
    let Label::Add {
        project,
        name,
        color,
        hotkey,
    } = command;
    let service = open(place).await?;
    let project = ProjectId(project);
    let owner = service.owner_of(&project).await?;
    let fields = LabelFields {
        name: Some(name),
        color: Some(color),
        hotkey,
        ..LabelFields::default()
    };
    println!("{}", service.add_label(owner.id, &project, fields).await?.id);
    Ok(())
}
