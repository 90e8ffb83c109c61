//! Projects, their people and their labels.

use lockstep_wire::{Answer, Label, LabelId, Project, ProjectId, Refusal, RefusalDetail, Role, UserId};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{Service, authorise_manager, check_text, forbidden, invalid, no_such_project};
use crate::store::{Added, LabelRule, LabelScene, Member, NewProject, RoleChange, RoleOutcome, RoleScene};

/// `POST /projects`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub struct ProjectFields {
    /// Made from a UUID when left out.
    #[serde(default)]
    pub id: Option<ProjectId>,
    /// As people see it.
    #[schema(min_length = 1, max_length = 200)]
    pub name: String,
    /// Annotators may change what others drew.
    #[serde(default)]
    pub annotators_edit_all: bool,
}

/// `POST /projects/{pid}/members`: one of `user_id` and `email`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub struct NewMember {
    /// Who.
    #[serde(default)]
    pub user_id: Option<UserId>,
    /// Who.
    #[serde(default)]
    pub email: Option<String>,
    /// As what.
    pub role: Role,
}

/// `PATCH /projects/{pid}/members/{user_id}`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub struct MemberChange {
    /// What he may do from now on.
    pub role: Role,
}

/// `POST` and `PATCH` of a label: absent fields stay as they are, or are left out.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
pub struct LabelFields {
    /// Made from a UUID when left out.
    #[serde(default)]
    pub id: Option<LabelId>,
    /// As people see it.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 200)]
    pub name: Option<String>,
    /// `#rrggbb`.
    #[serde(default)]
    #[schema(pattern = "^#[0-9a-fA-F]{6}$")]
    pub color: Option<String>,
    /// A digit key.
    #[serde(default)]
    pub hotkey: Option<String>,
    /// All else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl Service {
    /// Makes a project whose owner is the asker.
    pub async fn add_project(&self, owner: UserId, fields: ProjectFields) -> Answer<Added<Project>> {
        let id = fields.id.unwrap_or_else(|| ProjectId(new_id()));
        check_text("The project's id", id.as_str(), 50)?;
        check_text("The project's name", &fields.name, 200)?;
        let annotators_edit_all = fields.annotators_edit_all;
        Ok(self
            .store
            .add_project(NewProject {
                id,
                name: fields.name,
                owner,
                annotators_edit_all,
            })
            .await?)
    }

    /// The asker's projects.
    pub async fn projects(&self, user: UserId) -> Answer<Vec<Project>> {
        Ok(self.store.projects_of(user).await?)
    }

    /// A project's people.
    pub async fn members(&self, user: UserId, project: &ProjectId) -> Answer<Vec<Member>> {
        let members = self.store.members(project, user).await?;
        Ok(members.ok_or_else(no_such_project)?)
    }

    /// Joins someone to a project.
    pub async fn add_member(&self, user: UserId, project: &ProjectId, request: NewMember) -> Answer<Member> {
        let found = match (request.user_id, &request.email) {
            (Some(id), None) => self.store.user(id).await?,
            (None, Some(email)) => self.store.account(email).await?.map(|account| account.user),
            _ => return Err(invalid("Name the new member by user_id or by email.").into()),
        };
        self.manager(user, project).await?;
        let member = found.ok_or_else(|| invalid("There is no such account."))?;
        self.change_role(user, project, member.id, Some(request.role))
            .await?;
        Ok(Member {
            user: member,
            role: request.role,
        })
    }

    /// Changes what a member may do.
    pub async fn change_member(
        &self,
        user: UserId,
        project: &ProjectId,
        member: UserId,
        role: Role,
    ) -> Answer<()> {
        self.set_role(user, project, member, Some(role), Joining::Refused)
            .await
    }

    /// Joins someone or changes what he may do; with no role he is no longer a member.
    pub async fn change_role(
        &self,
        user: UserId,
        project: &ProjectId,
        member: UserId,
        role: Option<Role>,
    ) -> Answer<()> {
        self.set_role(user, project, member, role, Joining::Meant).await
    }

    async fn set_role(
        &self,
        user: UserId,
        project: &ProjectId,
        member: UserId,
        role: Option<Role>,
        joining: Joining,
    ) -> Answer<()> {
        let change = RoleChange {
            project: project.clone(),
            member,
            role,
            by: Some(user),
        };
        let rule = move |scene: &RoleScene| {
            let asker = authorise_manager(scene.asker)?;
            if (scene.before, joining) == (None, Joining::Refused) {
                return Err(no_such_member());
            }
            decide_role(asker, scene.before, role, user == member).map_err(forbidden)
        };
        let ended = match self.store.change_role(change, Box::new(rule)).await? {
            RoleOutcome::Changed(ended) => ended,
            RoleOutcome::Refused(refusal) => return Err(refusal.into()),
            RoleOutcome::Unknown => return Err(no_such_member().into()),
        };
        self.announce(ended);
        if role.is_none() {
            self.dismiss(project, member);
        }
        self.changed(project).await
    }

    /// A project's labels.
    pub async fn labels(&self, user: UserId, project: &ProjectId) -> Answer<Vec<Label>> {
        let labels = self.store.labels(project, user).await?;
        Ok(labels.ok_or_else(no_such_project)?)
    }

    /// Adds a label.
    pub async fn add_label(&self, user: UserId, project: &ProjectId, fields: LabelFields) -> Answer<Label> {
        let id = fields.id.clone().unwrap_or_else(|| LabelId(new_id()));
        let blank = Label {
            id: id.clone(),
            name: String::new(),
            color: DEFAULT_COLOR.into(),
            hotkey: None,
            more: Map::new(),
        };
        let rule = move |scene: &LabelScene| {
            authorise_manager(scene.asker)?;
            match &scene.label {
                Some(_) => Err(invalid("The project has a label with this id.")),
                None => decide_label(blank.clone(), fields.clone()).map(Some),
            }
        };
        self.update_label(user, project, &id, Box::new(rule)).await
    }

    /// Changes a label.
    pub async fn change_label(
        &self,
        user: UserId,
        project: &ProjectId,
        id: &LabelId,
        fields: LabelFields,
    ) -> Answer<Label> {
        let rule = move |scene: &LabelScene| {
            authorise_manager(scene.asker)?;
            let label = scene.label.clone().ok_or_else(no_such_label)?;
            decide_label(label, fields.clone()).map(Some)
        };
        self.update_label(user, project, id, Box::new(rule)).await
    }

    async fn update_label(
        &self,
        user: UserId,
        project: &ProjectId,
        id: &LabelId,
        rule: LabelRule,
    ) -> Answer<Label> {
        let label = self.store.update_label(project, id, user, rule).await??;
        self.changed(project).await?;
        Ok(label.ok_or_else(no_such_label)?)
    }

    /// Deletes a label; annotations keep naming it.
    pub async fn delete_label(&self, user: UserId, project: &ProjectId, id: &LabelId) -> Answer<()> {
        let rule = |scene: &LabelScene| {
            authorise_manager(scene.asker)?;
            scene.label.as_ref().ok_or_else(no_such_label)?;
            Ok(None)
        };
        self.store
            .update_label(project, id, user, Box::new(rule))
            .await??;
        self.changed(project).await
    }
}

/// Of a label nobody gave one: a grey that stands out from light and dark alike.
const DEFAULT_COLOR: &str = "#888888";

fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

fn no_such_member() -> RefusalDetail {
    Refusal::NotFound.because("There is no such member.")
}

fn no_such_label() -> RefusalDetail {
    Refusal::NotFound.because("There is no such label.")
}

fn is_color(color: &str) -> bool {
    color
        .strip_prefix('#')
        .is_some_and(|digits| digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn decide_label(mut label: Label, fields: LabelFields) -> Result<Label, RefusalDetail> {
    label.name = fields.name.unwrap_or(label.name);
    label.color = fields.color.unwrap_or(label.color);
    label.hotkey = fields.hotkey.or(label.hotkey);
    label.more.extend(fields.more);
    check_text("The label's id", label.id.as_str(), 64)?;
    check_text("The label's name", &label.name, 200)?;
    if !is_color(&label.color) {
        return Err(invalid("A colour is written #rrggbb."));
    }
    Ok(label)
}

/// Whether a change of someone's role may make him a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Joining {
    Meant,
    Refused,
}

/// Only an owner makes or unmakes owners, and never himself: a project always has one.
fn decide_role(
    asker: Role,
    before: Option<Role>,
    after: Option<Role>,
    of_oneself: bool,
) -> Result<(), &'static str> {
    let about_owners = before == Some(Role::Owner) || after == Some(Role::Owner);
    match (asker, about_owners) {
        (Role::Owner, true) if of_oneself && after != Some(Role::Owner) => {
            Err("An owner cannot give up the project; another owner can relieve him.")
        }
        (Role::Owner, _) | (Role::Manager, false) => Ok(()),
        _ => Err("Only an owner may do this."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_never_loses_its_last_owner_and_managers_make_none() {
        use Role::{Annotator, Manager, Owner, Viewer};
        let rows = [
            (Owner, None, Some(Owner), false, true),
            (Owner, Some(Owner), None, false, true),
            (Owner, Some(Owner), None, true, false),
            (Owner, Some(Owner), Some(Viewer), true, false),
            (Manager, Some(Annotator), Some(Viewer), false, true),
            (Manager, None, Some(Annotator), false, true),
            (Manager, Some(Owner), Some(Viewer), false, false),
            (Manager, Some(Manager), Some(Owner), true, false),
        ];
        for (asker, before, after, of_oneself, allowed) in rows {
            let decided = decide_role(asker, before, after, of_oneself).is_ok();
            assert_eq!(decided, allowed, "{asker:?} {before:?} → {after:?}");
        }
    }

    #[test]
    fn a_colour_is_six_hex_digits() {
        assert!(is_color("#0072b2"));
        assert!(!is_color("red"));
        assert!(!is_color("#0072bg"));
    }
}
