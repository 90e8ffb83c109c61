//! What the window is shown: plain facts, ready to draw. The window never works anything out from the wire.

use chrono::{DateTime, Utc};
use lockstep_wire::{
    Annotation, AnnotationFields, AnnotationId, ImageId, Label, LockLoss, Project, ProjectId, User, UserId,
    Version,
};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// Who is signed in where, and whether that will be remembered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct AccountView {
    /// Base address of the server.
    pub server: String,
    /// `null`: nobody; show the sign-in screen.
    pub user: Option<User>,
    /// Why the sign-in lasts for this run only (no keychain); `null` when it is remembered.
    pub this_run_only: Option<String>,
    /// The sign-in has ended at the server; unsent work is kept and goes out after signing in again.
    pub sign_in_again: bool,
}

/// A project, and what of it waits on this machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct ProjectView {
    /// As the server gave it last.
    pub project: Project,
    /// How many images it has.
    pub images: u32,
}

/// A row of the image list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct ImageRow {
    /// Which image.
    pub id: ImageId,
    /// As it was imported.
    pub file_name: String,
    /// Pixels, upright.
    pub width: u32,
    /// Pixels, upright.
    pub height: u32,
    /// With this machine's unsent ones.
    pub annotation_count: u32,
    /// Who has it.
    pub lock: LockView,
    /// Changes kept here that the server does not have.
    pub unsent: u32,
    /// Conflicts waiting for a decision.
    pub conflicts: u32,
    /// Someone asked here to be told when it is free.
    pub watched: bool,
}

/// Who has an image, as far as this machine knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum LockView {
    /// Nobody.
    Free,
    /// This window.
    Mine,
    /// The same person in another window.
    MineElsewhere {
        /// The other machine, for people.
        device: Option<String>,
        /// Since when, by the server's clock.
        since: DateTime<Utc>,
    },
    /// Someone else.
    Theirs {
        /// The holder.
        user_id: UserId,
        /// The holder's.
        user_name: String,
        /// Since when, by the server's clock.
        since: DateTime<Utc>,
    },
    /// Offline: nobody knows.
    Unknown,
}

/// What the window may do with the open image, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Access {
    /// Locked by this window.
    Editing {
        /// When this window will stop saying so unless the lease is renewed, by this machine's clock.
        until: DateTime<Utc>,
    },
    /// As [`Access::Editing`], but no beat got through lately and the end is near.
    Jeopardy {
        /// When the lock must be presumed lost, by this machine's clock.
        until: DateTime<Utc>,
    },
    /// Without the server; edits are kept here and compared when it is back.
    Offline,
    /// Being asked for.
    Acquiring,
    /// Looking only.
    ReadOnly {
        /// Who has it, if that is why.
        holder: Option<Holder>,
        /// It is free now: offer to take it.
        free: bool,
    },
    /// The lock was lost; what was drawn is kept, nothing more can be drawn until it is taken back.
    Lost {
        /// How.
        reason: LockLoss,
        /// Who ended it, where someone did.
        by: Option<String>,
    },
}

impl Access {
    /// Edits are accepted.
    pub fn edits(&self) -> bool {
        matches!(self, Self::Editing { .. } | Self::Jeopardy { .. } | Self::Offline)
    }
}

/// The holder of a lock that is not this window's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct Holder {
    /// The account.
    pub user_id: UserId,
    /// As people see it.
    pub user_name: String,
    /// It is the signed-in person, elsewhere.
    pub is_me: bool,
    /// The machine.
    pub device: Option<String>,
    /// Since when, by the server's clock.
    pub since: DateTime<Utc>,
}

/// The open image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct SessionView {
    /// As [`SaveView::as_of`], of the same count: whoever heard a later one ignores an earlier one.
    #[ts(type = "number")]
    pub as_of: u64,
    /// Where the image is.
    pub project_id: ProjectId,
    /// Which image.
    pub image_id: ImageId,
    /// As it was imported.
    pub file_name: String,
    /// Pixels, upright.
    pub width: u32,
    /// Pixels, upright.
    pub height: u32,
    /// What may be done.
    pub access: Access,
    /// The signed-in user may end another's lock.
    pub may_force: bool,
}

/// An annotation of the open image as this machine has it: the working copy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct AnnotationView {
    /// Made where it was drawn.
    pub id: AnnotationId,
    /// What and where.
    #[serde(flatten)]
    pub fields: AnnotationFields,
    /// The server's version this copy is based on; `null`: never sent.
    pub version: Option<Version>,
    /// The signed-in user may change it.
    pub editable: bool,
    /// Where it stands.
    pub sync: AnnotationSync,
}

/// Where one annotation stands between this machine and the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum AnnotationSync {
    /// The server has it as it is here.
    Synced,
    /// Kept here, to be sent.
    Unsent,
    /// Someone else saved meanwhile; waits for a decision.
    Conflict,
    /// The server refused it; kept here.
    Refused,
}

/// The open image with everything on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct OpenedImage {
    /// The image and what may be done with it.
    pub session: SessionView,
    /// In drawing order.
    pub annotations: Vec<AnnotationView>,
    /// What undo and redo would do.
    pub history: HistoryView,
    /// Where its changes stand.
    pub save: SaveView,
}

/// What undo and redo would do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct HistoryView {
    /// There is a step to take back.
    pub can_undo: bool,
    /// There is a step to do again.
    pub can_redo: bool,
}

/// One step of editing, as the window makes it: all of it is one undo.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct Edit {
    /// In order.
    pub changes: Vec<EditChange>,
}

/// A part of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum EditChange {
    /// Draws a new annotation or replaces what is there under this id.
    Put {
        /// Made by the window for a new one (UUIDv7).
        id: AnnotationId,
        /// The whole of it.
        #[serde(flatten)]
        fields: AnnotationFields,
    },
    /// Deletes.
    Remove {
        /// Which.
        id: AnnotationId,
    },
}

/// What changed on the open image: after an edit, an undo, a redo, or news from the server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct Delta {
    /// Which image.
    pub image_id: ImageId,
    /// New or changed.
    pub changed: Vec<AnnotationView>,
    /// No longer there.
    pub removed: Vec<AnnotationId>,
    /// What undo and redo would do now.
    pub history: HistoryView,
    /// Where the changes stand now.
    pub save: SaveView,
}

/// Where the changes on this machine stand: always in sight.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct SaveView {
    /// Grows with every look at this machine's state, for the life of the program. What a command answers and
    /// what an event tells travel apart: whoever holds a later one ignores an earlier one.
    #[ts(type = "number")]
    pub as_of: u64,
    /// The worst of what there is, for the status bar.
    pub state: SaveState,
    /// Changes kept here that the server does not have, of all images.
    pub unsent: u32,
    /// Conflicts waiting for a decision, of all images.
    pub conflicts: u32,
    /// Changes the server refused, of all images; kept here.
    pub refused: u32,
}

/// See [`SaveView::state`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum SaveState {
    /// Everything is on the server.
    #[default]
    Synced,
    /// Durable here, not yet on its way.
    SavedHere,
    /// On its way.
    Syncing,
    /// No server; everything is durable here.
    Offline,
    /// At least one conflict waits.
    Conflict,
    /// At least one change was refused.
    Refused,
}

/// Two people changed the same thing of one annotation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct ConflictView {
    /// Which annotation.
    pub annotation_id: AnnotationId,
    /// Where the image is.
    pub project_id: ProjectId,
    /// Which image.
    pub image_id: ImageId,
    /// The image's.
    pub file_name: String,
    /// What both started from.
    pub base: Option<AnnotationFields>,
    /// This machine's; `null`: deleted here.
    pub mine: Option<AnnotationFields>,
    /// The server's; `null`: deleted there.
    pub theirs: Option<Annotation>,
    /// What mine was based on.
    pub your_version: Version,
    /// What the server has.
    pub current_version: Version,
    /// When the server's was saved.
    pub last_updated_at: DateTime<Utc>,
    /// Who saved it.
    pub last_updated_by: String,
    /// Fields that both changed: `label_id`, `geometry`, `attributes.NAME`, or `deleted`.
    pub fields: Vec<String>,
}

/// What someone decided about a conflict. Cancel is not one of these: nothing happens and it waits on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// Take the server's version and discard mine (kept recoverable).
    ReloadLatest,
    /// Send mine again upon the server's version (theirs is kept recoverable).
    Overwrite,
}

/// A version that lost a conflict, kept for its author to bring back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct KeptVersion {
    /// For [`Client::restore`](crate::Client::restore).
    #[ts(type = "number")]
    pub id: i64,
    /// Which annotation.
    pub annotation_id: AnnotationId,
    /// Whose it was: a person's name, or `null` for this machine's own.
    pub author: Option<String>,
    /// What it was; `null`: a deletion.
    pub fields: Option<AnnotationFields>,
    /// When it was set aside, by this machine's clock.
    pub kept_at: DateTime<Utc>,
}

/// How opening went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum OpenOutcome {
    /// It is open in this window.
    Opened {
        /// With everything on it.
        image: Box<OpenedImage>,
    },
    /// Someone else has it; nothing was opened. Ask, then perhaps open read-only.
    Locked {
        /// The holder.
        holder: Holder,
    },
}

/// Something to tell a person who may be looking elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[serde(tag = "notice", rename_all = "snake_case")]
pub enum Notice {
    /// A watched image is free.
    ImageFree {
        /// Where the image is.
        project_id: ProjectId,
        /// Which image.
        image_id: ImageId,
        /// The image's.
        file_name: String,
    },
    /// This window's lock was ended by someone.
    LockLost {
        /// Where the image is.
        project_id: ProjectId,
        /// Which image.
        image_id: ImageId,
        /// The image's.
        file_name: String,
        /// How.
        reason: LockLoss,
        /// Who ended it, where someone did.
        by: Option<String>,
    },
}

/// Facts as they come up from the core, on one channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[serde(tag = "event", content = "data", rename_all = "snake_case")]
pub enum Event {
    /// Signed in, out, or must sign in again.
    Account(AccountView),
    /// Whether the server answers.
    Connection {
        /// It does.
        online: bool,
    },
    /// Rows of the image list that changed; the project's own list is re-read when `rows` is `null`.
    Images {
        /// Which project.
        project_id: ProjectId,
        /// The changed ones.
        rows: Option<Vec<ImageRow>>,
    },
    /// The project's labels changed at the server: all of them, in their order.
    Labels {
        /// Which project.
        project_id: ProjectId,
        /// As they are now.
        labels: Vec<Label>,
    },
    /// The open image's access changed.
    Session(SessionView),
    /// Annotations of the open image changed, not by the window itself.
    Annotations(Delta),
    /// Where the changes stand.
    Save(SaveView),
    /// A conflict was found: ask.
    Conflict(Box<ConflictView>),
    /// Tell a person.
    Notice(Notice),
    /// Someone clicked a notification: the window opens this image.
    OpenRequested {
        /// Where the image is.
        project_id: ProjectId,
        /// Which image.
        image_id: ImageId,
    },
}
