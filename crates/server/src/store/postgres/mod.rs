//! PostgreSQL: the truth shared by any number of servers.
//!
//! **Invariant:** an acknowledged write has been committed, every time comes from the database's `now_ms()`, and whoever
//! decides about an image is alone on it while he does (see `locks`).

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use deadpool_postgres::{Hook, HookError, ManagerConfig, Pool, RecyclingMethod, Runtime};
use lockstep_wire::{
    AnnotationId, ApiToken, ChangePage, Cursor, Generation, Image, ImageId, ImagePage, Label, LabelId, Lock,
    Project, ProjectId, Role, TokenId, User, UserId,
};

use super::{
    Account, Added, AddedImage, AnnotationVersion, AnnotationsRead, Authorise, Credential, Deletion, Ended,
    GoodToken, Identity, ImageKey, Kept, LabelOutcome, LabelRule, LockOutcome, LockQuestion, LockRule,
    Member, NewApiToken, NewImage, NewProject, NewUser, News, Permitted, Presence, Result, RoleChange,
    RoleOutcome, RoleRule, Save, SaveReport, SessionId, Standing, Store, StoreError, TokenHash,
};

mod accounts;
mod address;
mod changes;
mod clock;
mod connection;
pub(super) mod copy;
mod hints;
mod history;
mod images;
mod locks;
mod migrations;
mod projects;
mod rounds;
mod saves;
mod scenes;
mod table;
mod tidy;
mod writes;

pub use address::Address;
use connection::{retrying, store_error};
use hints::Hints;
use rounds::Rounds;

/// Connections of one server. Writes share theirs, reads take milliseconds, and PostgreSQL allows a hundred to all.
const CONNECTIONS: usize = 16;

/// How long a call waits for a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// What holds for every connection. No statement of ours takes seconds: one that does would keep others waiting for what
/// it holds. Planning afresh and compiling cost more than our statements do; and since a plan is made once, when the
/// tables may still be empty, it is told that everything is found by keys, as it will have to be once they are full.
/// Acknowledged is stored, whatever the database's default says.
const SESSION: &str = "
    SET statement_timeout = '10s'; SET lock_timeout = '5s'; SET idle_in_transaction_session_timeout = '10s';
    SET default_transaction_isolation = 'read committed'; SET default_transaction_read_only = off;
    SET jit = off; SET plan_cache_mode = force_generic_plan;
    SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// A store in a PostgreSQL database. Any number of servers may share it.
pub struct PostgresStore {
    pool: Pool,
    rounds: Rounds,
    hints: Hints,
}

impl PostgresStore {
    /// Opens the database, bringing its schema up to date where needed.
    pub async fn open(address: &Address) -> anyhow::Result<Self> {
        migrate_up(address).await?;
        let tls = address.tls()?;
        let recycling = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let connections = deadpool_postgres::Manager::from_config(address.config().clone(), tls, recycling);
        let pool = Pool::builder(connections)
            .max_size(CONNECTIONS)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(PATIENCE))
            .create_timeout(Some(PATIENCE))
            .post_create(Hook::async_fn(|client, _| {
                Box::pin(async move {
                    let made_ready = async {
                        client.batch_execute(SESSION).await?;
                        history::look(client).await
                    };
                    made_ready.await.map_err(HookError::Backend)
                })
            }))
            .build()?;
        accounts::ensure_identity(&pool)
            .await
            .context("cannot write to the database")?;
        history::look(&**pool.get().await?).await?;
        let rounds = Rounds::begin(&pool, rounds::PATIENCE);
        let hints = Hints::begin(address);
        Ok(Self { pool, rounds, hints })
    }
}

/// Steps of the schema that this program knows.
pub(super) const KNOWN_STEPS: usize = migrations::KNOWN;

/// Takes every step that is left.
pub(super) async fn migrate_up(address: &Address) -> anyhow::Result<Standing> {
    migrations::up(&mut address.connect().await?).await
}

/// Takes the last `steps` back.
pub(super) async fn migrate_down(address: &Address, steps: usize) -> anyhow::Result<Standing> {
    migrations::down(&mut address.connect().await?, steps).await
}

/// Where the schema stands.
pub(super) async fn status(address: &Address) -> anyhow::Result<Standing> {
    migrations::status(&mut address.connect().await?).await
}

/// Sees a write through, though whoever asked for it may go: a connection dropped in mid-write would have to be closed.
async fn finish<T: Send + 'static>(
    write: impl Future<Output = anyhow::Result<T>> + Send + 'static,
) -> Result<T> {
    tokio::spawn(write)
        .await
        .map_err(|panic| StoreError::Failed(panic.into()))?
        .map_err(store_error)
}

#[async_trait]
impl Store for PostgresStore {
    async fn identity(&self) -> Result<Identity> {
        accounts::identity(&self.pool).await.map_err(store_error)
    }

    async fn add_user(&self, user: NewUser) -> Result<Added<User>> {
        let pool = self.pool.clone();
        finish(async move { retrying(|| accounts::add_user(&pool, &user)).await }).await
    }

    async fn account(&self, email: &str) -> Result<Option<Account>> {
        accounts::account(&self.pool, email).await.map_err(store_error)
    }

    async fn user(&self, id: UserId) -> Result<Option<User>> {
        accounts::user(&self.pool, id).await.map_err(store_error)
    }

    async fn rehash_password(&self, user: UserId, before: String, after: String) -> Result<()> {
        let pool = self.pool.clone();
        finish(async move { accounts::rehash_password(&pool, user, &before, &after).await }).await
    }

    async fn set_password(
        &self,
        user: UserId,
        password_hash: String,
        keep: Option<SessionId>,
    ) -> Result<Vec<SessionId>> {
        let pool = self.pool.clone();
        finish(async move { retrying(|| accounts::set_password(&pool, user, &password_hash, keep)).await })
            .await
    }

    async fn begin_session(&self, user: UserId, token: TokenHash, lifetime: Duration) -> Result<SessionId> {
        let pool = self.pool.clone();
        finish(async move { accounts::begin_session(&pool, user, &token, lifetime).await }).await
    }

    async fn continue_session(
        &self,
        token: TokenHash,
        next: TokenHash,
        lifetime: Duration,
    ) -> Result<Option<(SessionId, User)>> {
        let pool = self.pool.clone();
        finish(async move { retrying(|| accounts::continue_session(&pool, &token, &next, lifetime)).await })
            .await
    }

    async fn end_session(&self, token: TokenHash, everywhere: bool) -> Result<Vec<SessionId>> {
        let pool = self.pool.clone();
        finish(async move { retrying(|| accounts::end_session(&pool, &token, everywhere)).await }).await
    }

    async fn add_api_token(&self, token: NewApiToken) -> Result<ApiToken> {
        let pool = self.pool.clone();
        finish(async move { accounts::add_api_token(&pool, &token).await }).await
    }

    async fn api_tokens(&self, user: UserId) -> Result<Vec<ApiToken>> {
        accounts::api_tokens(&self.pool, user).await.map_err(store_error)
    }

    async fn delete_api_token(&self, user: UserId, id: TokenId) -> Result<bool> {
        let pool = self.pool.clone();
        finish(async move { accounts::delete_api_token(&pool, user, id).await }).await
    }

    async fn use_api_token(&self, token: TokenHash) -> Result<Option<GoodToken>> {
        accounts::use_api_token(&self.pool, &token)
            .await
            .map_err(store_error)
    }

    async fn ended_credentials(&self, within: Duration) -> Result<Vec<Credential>> {
        let ended = accounts::ended_credentials(&self.pool, within).await;
        ended.map_err(store_error)
    }

    async fn add_project(&self, project: NewProject) -> Result<Added<Project>> {
        let pool = self.pool.clone();
        finish(async move { retrying(|| projects::add_project(&pool, &project)).await }).await
    }

    async fn projects_of(&self, user: UserId) -> Result<Vec<Project>> {
        projects::projects_of(&self.pool, user).await.map_err(store_error)
    }

    async fn role(&self, project: &ProjectId, user: UserId) -> Result<Option<Role>> {
        projects::role_in(&self.pool, project, user)
            .await
            .map_err(store_error)
    }

    async fn owner(&self, project: &ProjectId) -> Result<Option<User>> {
        projects::owner(&self.pool, project).await.map_err(store_error)
    }

    async fn members(&self, project: &ProjectId, reader: UserId) -> Result<Option<Vec<Member>>> {
        projects::members(&self.pool, project, reader)
            .await
            .map_err(store_error)
    }

    async fn change_role(&self, change: RoleChange, rule: RoleRule) -> Result<RoleOutcome> {
        let pool = self.pool.clone();
        finish(async move { retrying(|| projects::change_role(&pool, &change, &rule)).await }).await
    }

    async fn labels(&self, project: &ProjectId, reader: UserId) -> Result<Option<Vec<Label>>> {
        projects::labels(&self.pool, project, reader)
            .await
            .map_err(store_error)
    }

    async fn update_label(
        &self,
        project: &ProjectId,
        label: &LabelId,
        by: UserId,
        rule: LabelRule,
    ) -> Result<LabelOutcome> {
        let (pool, project, label) = (self.pool.clone(), project.clone(), label.clone());
        finish(async move { retrying(|| projects::update_label(&pool, &project, &label, by, &rule)).await })
            .await
    }

    async fn add_image(&self, image: NewImage, may: Authorise) -> Result<Permitted<AddedImage>> {
        let pool = self.pool.clone();
        finish(async move { retrying(|| images::add_image(&pool, &image, may)).await }).await
    }

    async fn images(
        &self,
        project: &ProjectId,
        reader: UserId,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Option<ImagePage>> {
        let page = images::images(&self.pool, project, reader, after, limit).await;
        page.map_err(store_error)
    }

    async fn image_of_content(&self, project: &ProjectId, content_hash: &str) -> Result<Option<Image>> {
        images::image_of_content(&self.pool, project, content_hash)
            .await
            .map_err(store_error)
    }

    async fn image(&self, key: &ImageKey, reader: UserId) -> Result<Option<(Presence, Option<Image>)>> {
        images::image(&self.pool, key, reader).await.map_err(store_error)
    }

    async fn delete_image(&self, key: &ImageKey, by: UserId, may: Authorise) -> Result<Permitted<Deletion>> {
        let (pool, key) = (self.pool.clone(), key.clone());
        finish(async move { retrying(|| images::delete_image(&pool, &key, by, may)).await }).await
    }

    async fn annotations(
        &self,
        key: &ImageKey,
        reader: UserId,
        known: Option<i64>,
    ) -> Result<Option<AnnotationsRead>> {
        saves::annotations(&self.pool, key, reader, known)
            .await
            .map_err(store_error)
    }

    async fn history(&self, id: &AnnotationId, reader: UserId) -> Result<Option<Vec<AnnotationVersion>>> {
        saves::history(&self.pool, id, reader).await.map_err(store_error)
    }

    async fn update_lock(&self, question: LockQuestion, rule: LockRule) -> Result<LockOutcome> {
        self.rounds.update_lock(question, rule).await
    }

    async fn locks(&self, project: &ProjectId, reader: UserId) -> Result<(Option<Vec<Lock>>, Vec<Ended>)> {
        let (pool, project) = (self.pool.clone(), project.clone());
        finish(async move { retrying(|| locks::locks(&pool, &project, reader)).await }).await
    }

    async fn settle_locks(&self) -> Result<Vec<Ended>> {
        let pool = self.pool.clone();
        finish(async move { retrying(|| locks::sweep(&pool)).await }).await
    }

    async fn save(&self, saves: Vec<Save>) -> Result<SaveReport> {
        self.rounds.save(saves).await
    }

    async fn changes(
        &self,
        project: &ProjectId,
        reader: UserId,
        since: Cursor,
        limit: u32,
    ) -> Result<Option<ChangePage>> {
        let page = changes::changes(&self.pool, project, reader, since, limit).await;
        page.map_err(store_error)
    }

    async fn news(
        &self,
        project: &ProjectId,
        since: Cursor,
        known: HashMap<ImageId, Generation>,
    ) -> Result<News> {
        changes::news(&self.pool, project, since, known)
            .await
            .map_err(store_error)
    }

    fn hint(&self, project: &ProjectId) {
        self.hints.hint(project);
    }

    async fn hinted(&self) -> HashSet<ProjectId> {
        self.hints.hinted().await
    }

    async fn newest_change(&self, project: &ProjectId) -> Result<Cursor> {
        changes::newest(&self.pool, project).await.map_err(store_error)
    }

    async fn locks_held(&self) -> Result<u64> {
        locks::held(&self.pool).await.map_err(store_error)
    }

    fn writes_waiting(&self) -> usize {
        self.rounds.waiting()
    }

    async fn tidy(&self, kept: Kept) -> Result<usize> {
        let pool = self.pool.clone();
        finish(async move { tidy::tidy(&pool, kept).await }).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::StreamExt as _;
    use lockstep_cluster::{Cluster, Durability, shared};
    use lockstep_wire::ServerEvent;

    use super::connection::Connection;
    use super::*;
    use crate::service::LabelFields;
    use crate::store::{LockDecision, Party, conformance};
    use crate::{Blobs, Service, Settings};

    async fn store() -> PostgresStore {
        open(&shared().new_database().expect("a database")).await
    }

    async fn open(url: &str) -> PostgresStore {
        let address: Address = url.parse().expect("an address");
        PostgresStore::open(&address).await.expect("a store")
    }

    /// The epoch, and the generation of a lock granted now.
    async fn epoch_and_grant(store: &PostgresStore, key: &ImageKey, user: &User) -> (String, i64) {
        let epoch = store.identity().await.expect("an identity").data_epoch;
        let lock = conformance::grant(store, key, user).await;
        (epoch, lock.generation.0)
    }

    #[tokio::test]
    async fn postgres_is_a_store() {
        let store = store().await;
        conformance::run(&store).await;
        conformance::run_by_hand(&store, "now_ms()", async |sql| {
            let hand = Connection::of(&store.pool).await.expect("a connection");
            hand.run(&sql).await.expect("SQL");
        })
        .await;
    }

    #[tokio::test]
    async fn e19_a_restored_dump_begins_a_new_epoch_once_and_grants_above_the_original() {
        let url = shared().new_database().expect("a database");
        let original = open(&url).await;
        let (user, key) = conformance::project(&original, "p").await;
        let (epoch, generation) = epoch_and_grant(&original, &key, &user).await;
        assert_eq!(
            open(&url).await.identity().await.expect("an identity").data_epoch,
            epoch
        );
        let copy = shared().restored(&url).expect("a copy");
        let restored = open(&copy).await;
        let (new_epoch, above) = epoch_and_grant(&restored, &key, &user).await;
        assert_ne!(new_epoch, epoch);
        assert!(above > generation + (1 << 32), "{above}");
        let again = open(&copy).await;
        let (same_epoch, next) = epoch_and_grant(&again, &key, &user).await;
        assert_eq!((same_epoch, next), (new_epoch, above + 1));
    }

    /// The way to the cluster, as a proxy's port. Connections that were made before `cut` are never heard of again.
    async fn way_that_can_be_cut() -> (u16, tokio::sync::watch::Sender<bool>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (cut, is_cut) = tokio::sync::watch::channel(false);
        tokio::spawn(async move {
            while let Ok((mut here, _)) = listener.accept().await {
                let mut is_cut = is_cut.clone();
                tokio::spawn(async move {
                    let there = shared().host();
                    let mut there = tokio::net::TcpStream::connect(there).await.expect("the cluster");
                    let was_cut = tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut here, &mut there) => false,
                        () = async { drop(is_cut.wait_for(|cut| *cut).await) } => true,
                    };
                    if was_cut {
                        std::future::pending::<()>().await;
                    }
                });
            }
        });
        (port, cut)
    }

    #[tokio::test]
    async fn e18_a_database_that_goes_without_a_word_does_not_hold_up_its_successor() {
        let url = shared().new_database().expect("a database");
        let (port, cut) = way_that_can_be_cut().await;
        let way = url.replace(&shared().host(), &format!("127.0.0.1:{port}"));
        assert_ne!(way, url);
        let mut store = open(&way).await;
        let (user, key) = conformance::project(&store, "p").await;
        store.rounds = Rounds::begin(&store.pool, Duration::from_secs(2));
        let look = async || {
            let question = LockQuestion {
                image: key.clone(),
                party: Party {
                    user: user.id,
                    client: None,
                },
                generation: None,
            };
            let looked = store.update_lock(question, Box::new(|_| LockDecision::Nothing));
            tokio::time::timeout(Duration::from_secs(60), looked)
                .await
                .expect("nobody waits for what is gone")
        };
        look().await.expect("an answer");
        cut.send_replace(true);
        let gone = look().await;
        assert!(matches!(gone, Err(StoreError::Busy)), "{gone:?}");
        cut.send_replace(false);
        let mut after = look().await;
        for _ in 0..CONNECTIONS {
            if after.is_ok() {
                break;
            }
            after = look().await;
        }
        after.expect("an answer of the one that is there now");
    }

    #[tokio::test]
    async fn e18_a_standby_that_takes_over_begins_a_new_epoch_under_running_servers() {
        let primary = Cluster::start(Durability::Hasty).expect("a primary");
        primary.new_database().expect("a database");
        let standby = primary.follow().expect("a standby");
        // Both by one URL, as a server is given them.
        let hosts = format!(
            "postgres://postgres@{},{}/lockstep_0?target_session_attrs=read-write",
            primary.host(),
            standby.host()
        );
        let store = open(&hosts).await;
        let (user, key) = conformance::project(&store, "p").await;
        let (epoch, generation) = epoch_and_grant(&store, &key, &user).await;
        primary.wait_for_followers().expect("everything is copied");
        drop(primary);
        standby.promote().expect("a primary");
        // The first of these may meet the connections that were lost.
        let mut after = store.identity().await;
        for _ in 0..CONNECTIONS {
            if after.is_ok() {
                break;
            }
            after = store.identity().await;
        }
        assert_ne!(after.expect("an identity").data_epoch, epoch);
        let (_, above) = epoch_and_grant(&store, &key, &user).await;
        assert!(above > generation + (1 << 32), "{above}");
    }

    #[tokio::test]
    async fn a_hint_reaches_the_other_servers_and_not_its_sender() {
        let url = shared().new_database().expect("a database");
        let [sender, other, third] = [open(&url).await, open(&url).await, open(&url).await];
        let project = ProjectId::from("p");
        // They connect in their own time, and what was said before that is lost.
        let told = async |store: &PostgresStore| {
            loop {
                sender.hint(&project);
                let patience = Duration::from_millis(100);
                if let Ok(told) = tokio::time::timeout(patience, store.hinted()).await {
                    return told;
                }
            }
        };
        let expected = HashSet::from([project.clone()]);
        let both = async { (told(&other).await, told(&third).await) };
        let both = tokio::time::timeout(Duration::from_secs(30), both)
            .await
            .expect("hints");
        assert_eq!(both, (expected.clone(), expected));
        // By now its own ones would have come, too.
        assert!(futures::poll!(std::pin::pin!(sender.hinted())).is_pending());
    }

    #[tokio::test]
    async fn a_watcher_hears_of_another_servers_write_without_a_regular_look() {
        let url = shared().new_database().expect("a database");
        let folder = tempfile::tempdir().expect("a folder");
        let service = async || {
            let blobs = Blobs::folder(folder.path()).expect("a folder");
            let store = Arc::new(open(&url).await);
            Service::open(store, blobs, Settings::default())
                .await
                .expect("a service")
        };
        let (here, there) = (service().await, service().await);
        let store = open(&url).await;
        let (ann, key) = conformance::project(&store, "p").await;
        let listening = Arc::clone(&here);
        let listening = tokio::spawn(async move { listening.listen_for_news().await });
        let mut events = here
            .watch(ann.id, key.project.clone(), None)
            .await
            .expect("a stream");
        events.next().await.expect("where the feed is");
        let label = |number: i32| LabelFields {
            name: Some(format!("label {number}")),
            color: Some("#0072b2".into()),
            ..LabelFields::default()
        };
        // They connect in their own time, and what was said before that is lost.
        let heard = async {
            for number in 0.. {
                there
                    .add_label(ann.id, &key.project, label(number))
                    .await
                    .expect("a label");
                let patience = Duration::from_millis(200);
                if let Ok(event) = tokio::time::timeout(patience, events.next()).await {
                    return event;
                }
            }
            None
        };
        let heard = tokio::time::timeout(Duration::from_secs(30), heard)
            .await
            .expect("an event");
        assert!(matches!(heard, Some(ServerEvent::Changes { .. })));
        listening.abort();
    }
}
