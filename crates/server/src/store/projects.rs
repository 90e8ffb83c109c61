//! Projects and the people in them.

use lockstep_wire::{Label, ProjectId, RefusalDetail, Role, User, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Ended;

/// A project to be made.
#[derive(Debug, Clone)]
pub struct NewProject {
    /// Chosen by who makes it.
    pub id: ProjectId,
    /// As people see it.
    pub name: String,
    /// Its first member.
    pub owner: UserId,
    /// Annotators may change what others drew.
    pub annotators_edit_all: bool,
}

/// Someone in a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Member {
    /// Who.
    #[serde(flatten)]
    pub user: User,
    /// What he may do.
    pub role: Role,
}

/// What is to become of someone's membership.
#[derive(Debug, Clone)]
pub struct RoleChange {
    /// Where.
    pub project: ProjectId,
    /// Whose.
    pub member: UserId,
    /// What he may do from now on; `None` ends his membership.
    pub role: Option<Role>,
    /// Who wants it so; `None` for the server itself.
    pub by: Option<UserId>,
}

/// What a rule about a membership may know, as of one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoleScene {
    /// Of whoever asks.
    pub asker: Option<Role>,
    /// The member's until now.
    pub before: Option<Role>,
}

/// Judges a scene. It may be run again, and must then judge alike.
pub type RoleRule = Box<dyn Fn(&RoleScene) -> Result<(), RefusalDetail> + Send + Sync>;

/// What came of a change of a role.
#[derive(Debug, Clone, PartialEq)]
pub enum RoleOutcome {
    /// Nothing: the rule says no.
    Refused(RefusalDetail),
    /// Nothing: there is no such project, person or member.
    Unknown,
    /// It is done, and these locks ended by it.
    Changed(Vec<Ended>),
}

/// What a rule about a label may know, as of one instant.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelScene {
    /// Of whoever asks.
    pub asker: Option<Role>,
    /// As it is; deleted ones are not there.
    pub label: Option<Label>,
}

/// Judges a scene: the label as it shall be, `None` to delete it. It may be run again, and must then judge alike.
pub type LabelRule = Box<dyn Fn(&LabelScene) -> LabelOutcome + Send + Sync>;

/// A label as a rule left it, or why it did not.
pub type LabelOutcome = Result<Option<Label>, RefusalDetail>;
