//! SQLite: the whole truth in one file, written by one thread and read by many.
//!
//! **Invariant:** an acknowledged write is on the disk (WAL with `synchronous=FULL`), and every time comes from the
//! database's clock, asked inside the transaction.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use async_trait::async_trait;
use lockstep_wire::{
    AnnotationId, ApiToken, ChangePage, Cursor, Generation, Image, ImageId, ImagePage, Label, LabelId, Lock,
    Project, ProjectId, Role, TokenId, User, UserId,
};
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use super::{
    Account, Added, AddedImage, AnnotationVersion, AnnotationsRead, Authorise, Credential, Deletion, Ended,
    GoodToken, Identity, ImageKey, Kept, LabelOutcome, LabelRule, LockOutcome, LockQuestion, LockRule,
    Member, NewApiToken, NewImage, NewProject, NewUser, News, Permitted, Presence, Result, RoleChange,
    RoleOutcome, RoleRule, Save, SaveReport, SessionId, Store, StoreError, TokenHash,
};

mod accounts;
mod changes;
mod clock;
pub(super) mod copy;
mod images;
mod locks;
pub mod migrations;
mod projects;
mod saves;
mod tidy;
mod writer;

use writer::Writer;

/// Older ones have a bug that can corrupt a WAL database (fixed in 3.51.3).
const OLDEST_SQLITE: i32 = 3_051_003;

/// How long a process waits for another one's write; writes take milliseconds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Pages the log may grow to before they are copied into the database: 16 MiB. A busy group writes a hundred, most of them
/// the same ones as the group before, so the copying and its syncs are shared by dozens of groups.
const LOG_PAGES: u32 = 4000;

/// Readers kept open. A burst opens more and closes them again.
const IDLE_READERS: usize = 4;

/// A store in one SQLite file. Several processes may share it.
pub struct SqliteStore {
    writer: Writer,
    readers: Arc<Readers>,
}

impl SqliteStore {
    /// Opens the database, making it or bringing its schema up to date where needed.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let _alone = migrations::lock(path)?;
        let mut connection = connect(path)?;
        migrations::up(&mut connection)?;
        Self::start(path, connection)
    }

    fn start(path: &Path, mut connection: Connection) -> anyhow::Result<Self> {
        accounts::ensure_identity(&mut connection).context("cannot write to the database")?;
        Ok(Self {
            writer: Writer::start(connection)?,
            readers: Arc::new(Readers {
                path: path.to_owned(),
                idle: Mutex::default(),
            }),
        })
    }

    async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&Transaction) -> anyhow::Result<T> + Send + 'static,
    {
        self.writer.write(work).await
    }

    /// Reads as much as it takes, on a thread that may be kept busy.
    async fn read<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction) -> anyhow::Result<T> + Send + 'static,
    {
        let readers = Arc::clone(&self.readers);
        tokio::task::spawn_blocking(move || readers.read(work))
            .await
            .map_err(|panic| StoreError::Failed(panic.into()))?
    }

    /// Reads a row or two, here and now: in a database that is written to by one process at a time and never locks its
    /// readers out, that takes less than the way to another thread and back.
    fn look<T>(&self, work: impl FnOnce(&Transaction) -> anyhow::Result<T>) -> Result<T> {
        self.readers.read(work)
    }

    /// Reads a project's things for a member of it, and nothing for a stranger.
    async fn read_as_member<T, F>(&self, project: &ProjectId, reader: UserId, work: F) -> Result<Option<T>>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction, &ProjectId) -> anyhow::Result<T> + Send + 'static,
    {
        let project = project.clone();
        self.read(move |tx| projects::if_member(tx, &project, reader, || work(tx, &project)))
            .await
    }
}

/// Connections that read.
struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle
            .lock()
            .expect("nothing panics while it holds the list of readers")
    }

    fn read<T>(&self, work: impl FnOnce(&Transaction) -> anyhow::Result<T>) -> Result<T> {
        let idle = self.idle().pop();
        let mut reader = match idle {
            Some(reader) => reader,
            None => connect(&self.path)?,
        };
        let outcome = in_transaction(&mut reader, TransactionBehavior::Deferred, work);
        let mut idle = self.idle();
        if idle.len() < IDLE_READERS {
            idle.push(reader);
        }
        Ok(outcome?)
    }
}

/// Makes a file for nobody but whoever runs the server: a database has the key that signs access tokens in it. What
/// SQLite puts beside it is as private.
fn create_private(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Opens a connection that is safe to share the file with other processes.
pub(super) fn connect(path: &Path) -> anyhow::Result<Connection> {
    ensure!(
        rusqlite::version_number() >= OLDEST_SQLITE,
        "SQLite {} is too old: before 3.51.3 it can damage the database",
        rusqlite::version()
    );
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let cannot = || format!("cannot open {}", path.display());
    match create_private(path) {
        Err(fault) if fault.kind() != io::ErrorKind::AlreadyExists => return Err(fault).with_context(cannot),
        _ => {}
    }
    let connection = Connection::open_with_flags(path, flags).with_context(cannot)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // On macOS alone: there a plain sync leaves what was written in the drive's own memory.
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

fn in_transaction<T>(
    connection: &mut Connection,
    behavior: TransactionBehavior,
    work: impl FnOnce(&Transaction) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let transaction = connection.transaction_with_behavior(behavior)?;
    let done = work(&transaction)?;
    transaction.commit()?;
    Ok(done)
}

impl From<anyhow::Error> for StoreError {
    fn from(error: anyhow::Error) -> Self {
        let code = error
            .downcast_ref::<rusqlite::Error>()
            .and_then(rusqlite::Error::sqlite_error_code);
        store_error(code, error)
    }
}

fn store_error(code: Option<ErrorCode>, error: anyhow::Error) -> StoreError {
    match code {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy,
        Some(ErrorCode::DiskFull | ErrorCode::ReadOnly) => StoreError::Unwritable(error),
        _ => StoreError::Failed(error),
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn identity(&self) -> Result<Identity> {
        self.look(accounts::identity)
    }

    async fn add_user(&self, user: NewUser) -> Result<Added<User>> {
        self.write(move |tx| accounts::add_user(tx, &user)).await
    }

    async fn account(&self, email: &str) -> Result<Option<Account>> {
        self.look(|tx| accounts::account(tx, email))
    }

    async fn user(&self, id: UserId) -> Result<Option<User>> {
        self.look(|tx| accounts::user(tx, id))
    }

    async fn rehash_password(&self, user: UserId, before: String, after: String) -> Result<()> {
        self.write(move |tx| accounts::rehash_password(tx, user, &before, &after))
            .await
    }

    async fn set_password(
        &self,
        user: UserId,
        password_hash: String,
        keep: Option<SessionId>,
    ) -> Result<Vec<SessionId>> {
        self.write(move |tx| accounts::set_password(tx, user, &password_hash, keep))
            .await
    }

    async fn begin_session(&self, user: UserId, token: TokenHash, lifetime: Duration) -> Result<SessionId> {
        self.write(move |tx| accounts::begin_session(tx, user, &token, lifetime))
            .await
    }

    async fn continue_session(
        &self,
        token: TokenHash,
        next: TokenHash,
        lifetime: Duration,
    ) -> Result<Option<(SessionId, User)>> {
        self.write(move |tx| accounts::continue_session(tx, &token, &next, lifetime))
            .await
    }

    async fn end_session(&self, token: TokenHash, everywhere: bool) -> Result<Vec<SessionId>> {
        self.write(move |tx| accounts::end_session(tx, &token, everywhere))
            .await
    }

    async fn add_api_token(&self, token: NewApiToken) -> Result<ApiToken> {
        self.write(move |tx| accounts::add_api_token(tx, &token)).await
    }

    async fn api_tokens(&self, user: UserId) -> Result<Vec<ApiToken>> {
        self.read(move |tx| accounts::api_tokens(tx, user)).await
    }

    async fn delete_api_token(&self, user: UserId, id: TokenId) -> Result<bool> {
        self.write(move |tx| accounts::delete_api_token(tx, user, id))
            .await
    }

    async fn use_api_token(&self, token: TokenHash) -> Result<Option<GoodToken>> {
        let Some((token, news)) = self.read(move |tx| accounts::good_token(tx, &token)).await? else {
            return Ok(None);
        };
        if news {
            self.write(move |tx| accounts::note_use(tx, token.id)).await?;
        }
        Ok(Some(token))
    }

    async fn ended_credentials(&self, within: Duration) -> Result<Vec<Credential>> {
        self.read(move |tx| accounts::ended_credentials(tx, within)).await
    }

    async fn add_project(&self, project: NewProject) -> Result<Added<Project>> {
        self.write(move |tx| projects::add_project(tx, &project)).await
    }

    async fn projects_of(&self, user: UserId) -> Result<Vec<Project>> {
        self.read(move |tx| projects::projects_of(tx, user)).await
    }

    async fn role(&self, project: &ProjectId, user: UserId) -> Result<Option<Role>> {
        self.look(|tx| projects::role(tx, project, user))
    }

    async fn owner(&self, project: &ProjectId) -> Result<Option<User>> {
        let project = project.clone();
        self.read(move |tx| projects::owner(tx, &project)).await
    }

    async fn members(&self, project: &ProjectId, reader: UserId) -> Result<Option<Vec<Member>>> {
        self.read_as_member(project, reader, projects::members).await
    }

    async fn change_role(&self, change: RoleChange, rule: RoleRule) -> Result<RoleOutcome> {
        self.write(move |tx| projects::change_role(tx, &change, &rule))
            .await
    }

    async fn labels(&self, project: &ProjectId, reader: UserId) -> Result<Option<Vec<Label>>> {
        self.read_as_member(project, reader, projects::labels).await
    }

    async fn update_label(
        &self,
        project: &ProjectId,
        label: &LabelId,
        by: UserId,
        rule: LabelRule,
    ) -> Result<LabelOutcome> {
        let (project, label) = (project.clone(), label.clone());
        self.write(move |tx| projects::update_label(tx, &project, &label, by, &rule))
            .await
    }

    async fn add_image(&self, image: NewImage, may: Authorise) -> Result<Permitted<AddedImage>> {
        self.write(move |tx| images::add_image(tx, &image, may)).await
    }

    async fn image_of_content(&self, project: &ProjectId, content_hash: &str) -> Result<Option<Image>> {
        let (project, content_hash) = (project.clone(), content_hash.to_owned());
        self.read(move |tx| images::image_of_content(tx, &project, &content_hash))
            .await
    }

    async fn images(
        &self,
        project: &ProjectId,
        reader: UserId,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Option<ImagePage>> {
        let after = after.map(str::to_owned);
        self.read_as_member(project, reader, move |tx, project| {
            images::images(tx, project, after.as_deref(), limit)
        })
        .await
    }

    async fn image(&self, key: &ImageKey, reader: UserId) -> Result<Option<(Presence, Option<Image>)>> {
        self.look(|tx| projects::if_member(tx, &key.project, reader, || images::image(tx, key)))
    }

    async fn delete_image(&self, key: &ImageKey, by: UserId, may: Authorise) -> Result<Permitted<Deletion>> {
        let key = key.clone();
        self.write(move |tx| images::delete_image(tx, &key, by, may))
            .await
    }

    async fn annotations(
        &self,
        key: &ImageKey,
        reader: UserId,
        known: Option<i64>,
    ) -> Result<Option<AnnotationsRead>> {
        let image = match self.look(|tx| saves::place(tx, key, reader))? {
            None => return Ok(None),
            Some((Presence::Live, revision)) if known == Some(revision) => {
                return Ok(Some(AnnotationsRead::Unchanged));
            }
            Some((Presence::Live, _)) => key.clone(),
            Some((gone, _)) => return Ok(Some(AnnotationsRead::Missing(gone))),
        };
        self.read(move |tx| saves::annotations(tx, &image, reader)).await
    }

    async fn history(&self, id: &AnnotationId, reader: UserId) -> Result<Option<Vec<AnnotationVersion>>> {
        let id = id.clone();
        self.read(move |tx| saves::history(tx, &id, reader)).await
    }

    async fn update_lock(&self, question: LockQuestion, rule: LockRule) -> Result<LockOutcome> {
        self.write(move |tx| locks::update_lock(tx, &question, &rule))
            .await
    }

    async fn locks(&self, project: &ProjectId, reader: UserId) -> Result<(Option<Vec<Lock>>, Vec<Ended>)> {
        let asked = project.clone();
        let settled = self.read(move |tx| locks::settled(tx, &asked, reader)).await?;
        if let Some(locks) = settled {
            return Ok((locks, Vec::new()));
        }
        let project = project.clone();
        self.write(move |tx| locks::locks(tx, &project, reader)).await
    }

    async fn settle_locks(&self) -> Result<Vec<Ended>> {
        self.write(locks::sweep).await
    }

    async fn locks_held(&self) -> Result<u64> {
        self.read(locks::held).await
    }

    fn writes_waiting(&self) -> usize {
        self.writer.waiting()
    }

    async fn save(&self, saves: Vec<Save>) -> Result<SaveReport> {
        self.write(move |tx| saves::save(tx, &saves)).await
    }

    async fn changes(
        &self,
        project: &ProjectId,
        reader: UserId,
        since: Cursor,
        limit: u32,
    ) -> Result<Option<ChangePage>> {
        self.read_as_member(project, reader, move |tx, project| {
            changes::changes(tx, project, since, limit)
        })
        .await
    }

    async fn news(
        &self,
        project: &ProjectId,
        since: Cursor,
        known: HashMap<ImageId, Generation>,
    ) -> Result<News> {
        let project = project.clone();
        self.read(move |tx| changes::news(tx, &project, since, known))
            .await
    }

    async fn newest_change(&self, project: &ProjectId) -> Result<Cursor> {
        self.look(|tx| changes::newest(tx, project))
    }

    async fn tidy(&self, kept: Kept) -> Result<usize> {
        self.write(move |tx| tidy::tidy(tx, kept)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sqlite_is_a_store() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::open(&folder.path().join("db.sqlite")).expect("a store");
        crate::store::conformance::run(&store).await;
        let now = "unixepoch() * 1000";
        crate::store::conformance::run_by_hand(&store, now, async |sql| {
            let done = store.write(move |tx| Ok(tx.execute_batch(&sql)?)).await;
            done.expect("SQL");
        })
        .await;
    }

    #[test]
    fn l6_a_commit_waits_for_the_disk() {
        let folder = tempfile::tempdir().expect("a folder");
        let connection = connect(&folder.path().join("db.sqlite")).expect("a connection");
        let setting = |name| -> String {
            connection
                .query_row(
                    &format!("SELECT CAST(pragma_{name}.{name} AS TEXT) FROM pragma_{name}"),
                    [],
                    |row| row.get(0),
                )
                .expect("a setting")
        };
        // 2 is FULL.
        assert_eq!([setting("journal_mode"), setting("synchronous")], ["wal", "2"]);
    }

    #[tokio::test]
    async fn the_same_file_opened_again_is_the_same_server() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("db.sqlite");
        let identity = async || {
            SqliteStore::open(&path)
                .expect("a store")
                .identity()
                .await
                .expect("an identity")
        };
        let (first, second) = (identity().await, identity().await);
        assert_eq!(
            (first.data_epoch, first.signing_key),
            (second.data_epoch, second.signing_key)
        );
    }

    #[tokio::test]
    async fn a_write_that_panics_is_rolled_back_and_the_next_one_works() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::open(&folder.path().join("db.sqlite")).expect("a store");
        let panicked = store
            .write(|tx| -> anyhow::Result<()> {
                tx.execute("UPDATE server SET data_epoch = 'changed'", [])?;
                panic!("in the middle")
            })
            .await;
        assert!(matches!(panicked, Err(StoreError::Failed(_))));
        store.settle_locks().await.expect("a sweep");
        assert_ne!(store.identity().await.expect("an identity").data_epoch, "changed");
    }
}
