//! Projects and the people in them.

use lockstep_wire::{ProjectId, Role, User, UserId};
use serde::{Deserialize, Serialize};

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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Who.
    #[serde(flatten)]
    pub user: User,
    /// What he may do.
    pub role: Role,
}
