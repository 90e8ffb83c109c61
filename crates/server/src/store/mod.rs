//! What the server remembers, behind one trait that every database implements alike.
//!
//! **Invariant:** a store decides nothing about locks and saves. It reads a scene, asks the rule it was given, and writes
//! the rule's decision, all in one transaction; so every database runs the same rules.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;
use lockstep_wire::{
    AnnotationId, ApiToken, ChangePage, Cursor, Generation, Image, ImageId, ImagePage, Label, LabelId, Lock,
    Project, ProjectId, RefusalDetail, Role, TokenId, User, UserId,
};

mod accounts;
mod annotations;
mod changes;
#[cfg(test)]
mod conformance;
pub(crate) mod copy;
mod database;
mod images;
mod locks;
mod names;
pub mod postgres;
mod projects;
mod saves;
pub mod sqlite;
mod tidy;

pub use accounts::{Account, Credential, GoodToken, Identity, NewApiToken, NewUser, SessionId, TokenHash};
pub use annotations::{AnnotationsRead, RenderedAnnotations};
pub use changes::{Announcement, News};
pub use database::{Database, Standing};
pub use images::{AddedImage, Deletion, ImageKey, NewImage, Presence};
pub use locks::{
    Attempt, Ended, Ending, Hold, LockDecision, LockOutcome, LockQuestion, LockRule, LockScene, Party,
    PastGrant, outage,
};
pub use projects::{
    LabelOutcome, LabelRule, LabelScene, Member, NewProject, RoleChange, RoleOutcome, RoleRule, RoleScene,
};
pub use saves::{
    AnnotationVersion, Applied, Save, SaveDecision, SaveOutcome, SaveQuestion, SaveReport, SaveRule,
    SaveScene, Stored, WriteDone,
};
pub use tidy::Kept;

/// Why a store could not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Something else is writing, or too much is waiting; asking again later is right.
    #[error("the database is busy")]
    Busy,
    /// The disk is full or read-only; someone must make room.
    #[error("the database cannot be written")]
    Unwritable(#[source] anyhow::Error),
    /// What should not happen: a damaged file, a fault of ours.
    #[error("the database failed")]
    Failed(#[source] anyhow::Error),
}

/// A store's answer, or why there is none.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Whether adding a thing found its name free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Added<T> {
    /// It was, and here is the thing.
    New(T),
    /// It was not; nothing was added.
    Taken,
}

/// Says whether someone of this role may do a thing.
pub type Authorise = fn(Option<Role>) -> Permitted<()>;

/// What was asked for, or why whoever asked may not have it.
pub type Permitted<T> = std::result::Result<T, RefusalDetail>;

/// Everything the server asks of a database. Each call is one transaction, and whoever reads a project's things is
/// checked to be a member in the same one: `None` answers a stranger.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Of this database.
    async fn identity(&self) -> Result<Identity>;

    /// Makes an account.
    async fn add_user(&self, user: NewUser) -> Result<Added<User>>;
    /// Finds one by what its owner signs in with.
    async fn account(&self, email: &str) -> Result<Option<Account>>;
    /// Finds one by its number.
    async fn user(&self, id: UserId) -> Result<Option<User>>;
    /// Puts a better hash of the same password in the place of `before`, if that is still there.
    async fn rehash_password(&self, user: UserId, before: String, after: String) -> Result<()>;
    /// Gives an account another password, and ends its sessions but one. Says which it ended.
    async fn set_password(
        &self,
        user: UserId,
        password_hash: String,
        keep: Option<SessionId>,
    ) -> Result<Vec<SessionId>>;
    /// A sign-in: its first refresh token.
    async fn begin_session(&self, user: UserId, token: TokenHash, lifetime: Duration) -> Result<SessionId>;
    /// Exchanges a refresh token for the next. A token that was exchanged before is honoured once more shortly after, as
    /// long as nobody used what it was exchanged for (the answer may have been lost); else it is a stolen one, and ends
    /// its session.
    async fn continue_session(
        &self,
        token: TokenHash,
        next: TokenHash,
        lifetime: Duration,
    ) -> Result<Option<(SessionId, User)>>;
    /// A sign-out: of the token's session, or of every session of its user. Says which it ended.
    async fn end_session(&self, token: TokenHash, everywhere: bool) -> Result<Vec<SessionId>>;
    /// Makes a token for a script.
    async fn add_api_token(&self, token: NewApiToken) -> Result<ApiToken>;
    /// A user's tokens that were not deleted, the oldest first.
    async fn api_tokens(&self, user: UserId) -> Result<Vec<ApiToken>>;
    /// Ends one of them. Says whether it was there.
    async fn delete_api_token(&self, user: UserId, id: TokenId) -> Result<bool>;
    /// Finds a token that is good, and notes, coarsely, that it was used.
    async fn use_api_token(&self, token: TokenHash) -> Result<Option<GoodToken>>;
    /// What was ended before its time within the last while, by any server on this database.
    async fn ended_credentials(&self, within: Duration) -> Result<Vec<Credential>>;

    /// Makes a project with its first member.
    async fn add_project(&self, project: NewProject) -> Result<Added<Project>>;
    /// The projects someone is a member of.
    async fn projects_of(&self, user: UserId) -> Result<Vec<Project>>;
    /// What someone may do in a project.
    async fn role(&self, project: &ProjectId, user: UserId) -> Result<Option<Role>>;
    /// A project's owner, or one of them.
    async fn owner(&self, project: &ProjectId) -> Result<Option<User>>;
    /// A project's people.
    async fn members(&self, project: &ProjectId, reader: UserId) -> Result<Option<Vec<Member>>>;
    /// If the rule allows it, joins someone to a project, or changes what he may do there. Whoever may no longer
    /// annotate loses his locks.
    async fn change_role(&self, change: RoleChange, rule: RoleRule) -> Result<RoleOutcome>;
    /// A project's labels in their order.
    async fn labels(&self, project: &ProjectId, reader: UserId) -> Result<Option<Vec<Label>>>;
    /// Shows the rule a label and who asks, and does as it says. Annotations keep naming one that is deleted.
    async fn update_label(
        &self,
        project: &ProjectId,
        label: &LabelId,
        by: UserId,
        rule: LabelRule,
    ) -> Result<LabelOutcome>;

    /// Adds an image, if whoever adds it may.
    async fn add_image(&self, image: NewImage, may: Authorise) -> Result<Permitted<AddedImage>>;
    /// A project's live image of this content, if it has one.
    async fn image_of_content(&self, project: &ProjectId, content_hash: &str) -> Result<Option<Image>>;
    /// A page of a project's live images.
    async fn images(
        &self,
        project: &ProjectId,
        reader: UserId,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Option<ImagePage>>;
    /// One image, deleted or not.
    async fn image(&self, key: &ImageKey, reader: UserId) -> Result<Option<(Presence, Option<Image>)>>;
    /// Deletes an image that is there, if whoever wants it so may, and ends its lock.
    async fn delete_image(&self, key: &ImageKey, by: UserId, may: Authorise) -> Result<Permitted<Deletion>>;

    /// What has been said about an image, unless it is still at the revision `known`.
    async fn annotations(
        &self,
        key: &ImageKey,
        reader: UserId,
        known: Option<i64>,
    ) -> Result<Option<AnnotationsRead>>;
    /// Every state an annotation was in, oldest first.
    async fn history(&self, id: &AnnotationId, reader: UserId) -> Result<Option<Vec<AnnotationVersion>>>;

    /// Settles what is due, shows the rule the scene, and does as it says.
    async fn update_lock(&self, question: LockQuestion, rule: LockRule) -> Result<LockOutcome>;
    /// A project's live locks, and what lapsed on the way.
    async fn locks(&self, project: &ProjectId, reader: UserId) -> Result<(Option<Vec<Lock>>, Vec<Ended>)>;
    /// Ends the locks that have lapsed, after making up for an outage. Also the server's sign of life.
    async fn settle_locks(&self) -> Result<Vec<Ended>>;

    /// How many live locks there are.
    async fn locks_held(&self) -> Result<u64>;
    /// Writes that wait for their turn, and those being written.
    fn writes_waiting(&self) -> usize;

    /// Shows each save's rule its scene and does as it says, in order, in one transaction.
    async fn save(&self, saves: Vec<Save>) -> Result<SaveReport>;

    /// What happened in a project since.
    async fn changes(
        &self,
        project: &ProjectId,
        reader: UserId,
        since: Cursor,
        limit: u32,
    ) -> Result<Option<ChangePage>>;
    /// What is not as watchers know it, who were told of the feed up to `since` and of these live locks.
    async fn news(
        &self,
        project: &ProjectId,
        since: Cursor,
        known: HashMap<ImageId, Generation>,
    ) -> Result<News>;
    /// Lets other servers on this database know soon that there is news in a project. Hints may be lost.
    fn hint(&self, _project: &ProjectId) {}
    /// Waits for hints of other servers. For ever, where there are none: whoever waits looks now and then all the same.
    async fn hinted(&self) -> HashSet<ProjectId> {
        std::future::pending().await
    }
    /// The newest place in a project's feed.
    async fn newest_change(&self, project: &ProjectId) -> Result<Cursor>;

    /// Forgets a bounded number of things of each kind that are older than they are kept for, and sessions and
    /// tokens that ended.
    /// Says how many went; none when there is nothing left to do.
    async fn tidy(&self, kept: Kept) -> Result<usize>;
}
