//! What watchers of a project are told once it is committed.

use lockstep_wire::{ProjectId, ServerEvent};

/// An event, and whom it is for.
#[derive(Debug, Clone)]
pub struct Announcement {
    /// The members of this project.
    pub project: ProjectId,
    /// What they are told.
    pub event: ServerEvent,
}
