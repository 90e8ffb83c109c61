//! What watchers of a project are told once it is committed, and what a feed is about.

use lockstep_wire::{Cursor, Lock, ProjectId, ServerEvent, UserId};

use super::Ended;

/// An event, and whom it is for.
#[derive(Debug, Clone)]
pub struct Announcement {
    /// The members of this project.
    pub project: ProjectId,
    /// What they are told.
    pub event: ServerEvent,
}

/// What has happened in a project that its watchers may not have been told, since another process did it.
#[derive(Debug, Clone, PartialEq)]
pub struct News {
    /// The feed's newest place.
    pub newest: Cursor,
    /// Who is no longer a member.
    pub left: Vec<UserId>,
    /// Locks that are no more.
    pub ended: Vec<Ended>,
    /// Locks that are new.
    pub granted: Vec<Lock>,
}

impl News {
    /// As watchers are told: an image's old lock ends before its new one begins.
    pub fn events(self) -> impl Iterator<Item = ServerEvent> {
        let ended = self
            .ended
            .into_iter()
            .map(|ended| Announcement::from(ended).event);
        let granted = self
            .granted
            .into_iter()
            .map(|lock| ServerEvent::LockAcquired { lock });
        let changes = ServerEvent::Changes { cursor: self.newest };
        ended.chain(granted).chain([changes])
    }
}

/// What a row of the feed is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Annotation,
    Image,
    Label,
    Member,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Annotation, Self::Image, Self::Label, Self::Member];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Annotation => "annotation",
            Self::Image => "image",
            Self::Label => "label",
            Self::Member => "member",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}
