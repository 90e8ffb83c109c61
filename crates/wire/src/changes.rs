//! What happened in a project, in an order in which no committed change is ever skipped.

use serde::{Deserialize, Serialize};

use crate::{Annotation, AnnotationId, Cursor, Image, ImageId, Label, LabelId, Lock, Role, UserId, Version};

/// One change, with the newest state of what changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Change {
    /// Created or updated.
    Annotation {
        /// Its place in the feed.
        cursor: Cursor,
        /// As it is now.
        annotation: Annotation,
    },
    /// Deleted: its tombstone.
    AnnotationDeleted {
        /// Its place in the feed.
        cursor: Cursor,
        /// What was deleted.
        id: AnnotationId,
        /// Where it was.
        image_id: ImageId,
        /// The tombstone's.
        version: Version,
        /// Who did it.
        by: UserId,
    },
    /// Added, or its revision moved.
    Image {
        /// Its place in the feed.
        cursor: Cursor,
        /// As it is now.
        image: Image,
    },
    /// Deleted.
    ImageDeleted {
        /// Its place in the feed.
        cursor: Cursor,
        /// What was deleted.
        id: ImageId,
    },
    /// Created or changed.
    Label {
        /// Its place in the feed.
        cursor: Cursor,
        /// As it is now.
        label: Label,
    },
    /// Deleted.
    LabelDeleted {
        /// Its place in the feed.
        cursor: Cursor,
        /// What was deleted.
        id: LabelId,
    },
    /// Joined, left, or has another role.
    Member {
        /// Its place in the feed.
        cursor: Cursor,
        /// Who.
        user_id: UserId,
        /// `null`: no longer a member.
        role: Option<Role>,
    },
}

/// `GET /projects/{pid}/changes?since=CURSOR&limit=N`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChangePage {
    /// Oldest first.
    pub changes: Vec<Change>,
    /// Where to go on.
    pub next: Cursor,
    /// There is more at once.
    pub has_more: bool,
}

/// One server-sent event of `GET /projects/{pid}/events`; a hint, never the only way to learn of a thing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "event", content = "data")]
pub enum ServerEvent {
    /// Someone has an image now.
    #[serde(rename = "lock.acquired")]
    LockAcquired {
        /// Whose.
        lock: Lock,
    },
    /// An image is free.
    #[serde(rename = "lock.released")]
    LockReleased {
        /// Which.
        image_id: ImageId,
        /// Whose it was.
        user_id: UserId,
        /// Which grant ended.
        generation: crate::Generation,
        /// `released`, `expired`, `forced` or `taken_over`.
        reason: ReleaseReason,
    },
    /// The feed has grown.
    #[serde(rename = "changes")]
    Changes {
        /// Up to where.
        cursor: Cursor,
    },
}

/// Why an image is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ReleaseReason {
    /// Its holder gave it back.
    Released,
    /// Not renewed in time.
    Expired,
    /// Ended by an owner or manager.
    Forced,
    /// Another window, or a manager, took it.
    TakenOver,
}
