//! The facade: every command a shell may give, each a call that comes back with what the window shows.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use lockstep_wire::{
    AnnotationId, Answer, Api, ApiError, Image, ImageId, Label, LoginRequest, ProjectId, Refusal, User,
};
use rusqlite::Connection;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use url::Url;

use crate::board::holder_of;
use crate::cache::annotations::Rights;
use crate::cache::installation::{Account, Installation};
use crate::cache::journal::{self, Touched};
use crate::cache::pictures::{self, Kind, Pictures};
use crate::cache::{conflicts, images, kept, labels, projects, watches};
use crate::desk::{Desk, rights};
use crate::follow::follow;
use crate::link::{Link, run_link};
use crate::ports::{Clock, Keychain};
use crate::session::Opening;
use crate::station::{Person, Station};
use crate::sync::push_image;
use crate::view::{
    AccountView, ConflictView, Delta, Edit, Event, ImageRow, KeptVersion, OpenOutcome, OpenedImage,
    ProjectView, Resolution, SaveState, SaveView,
};
use crate::{Error, HttpApi, Place};

/// Closing an image never keeps a person waiting longer.
const CLOSE_DEADLINE: Duration = Duration::from_millis(1500);
/// Of that, what may go to sending the image's last edits under its lock; the rest is for giving it back.
const FLUSH_DEADLINE: Duration = Duration::from_millis(700);
const _: () = assert!(
    FLUSH_DEADLINE.as_millis() * 2 <= CLOSE_DEADLINE.as_millis(),
    "the lock must have its turn"
);

/// Where a client keeps its things and whom it talks to.
#[derive(Debug, Clone)]
pub struct Config {
    /// Databases and pictures.
    pub data_dir: PathBuf,
    /// Base address of the server.
    pub server: Url,
    /// This machine, for people: what others read beside the holder's name.
    pub device: String,
}

/// The machine.
#[derive(Clone)]
pub struct Ports {
    /// Where the refresh token lives between runs.
    pub keychain: Arc<dyn Keychain>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// A handle on the core of a Lockstep client; clones are the same client.
pub struct Client<A: Api = HttpApi> {
    core: Arc<Core<A>>,
}

struct Core<A: Api> {
    station: Arc<Station<A>>,
    pictures: Pictures,
    desk: Mutex<Option<Arc<Desk<A>>>>,
    /// Signing in and out, one at a time.
    door: tokio::sync::Mutex<()>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl<A: Api> Clone for Client<A> {
    fn clone(&self) -> Self {
        Self {
            core: Arc::clone(&self.core),
        }
    }
}

impl Client<HttpApi> {
    /// Starts over HTTP: opens the cache, replays, gives back locks an earlier run left. Does not wait for
    /// the network.
    pub async fn start(
        config: Config,
        ports: Ports,
    ) -> Result<(Self, mpsc::UnboundedReceiver<Event>), Error> {
        let installation = load_installation(&config).await?;
        let account = account_here(&installation, &config);
        let remembered = account.as_ref().map(|account| account.user.email.as_str());
        let api = HttpApi::new(config.server.clone(), Arc::clone(&ports.keychain), remembered)
            .map_err(|error| Error::Refused(format!("This machine cannot use the network: {error}")))?;
        let this_run_only = api.this_run_only();
        start(config, ports, api, this_run_only, installation).await
    }
}

async fn load_installation(config: &Config) -> Result<Installation, Error> {
    let data_dir = config.data_dir.clone();
    tokio::task::spawn_blocking(move || {
        std::fs::create_dir_all(data_dir.join("accounts"))?;
        Installation::load(&data_dir)
    })
    .await
    .map_err(|_| Error::Closing)?
}

fn server_name(server: &Url) -> String {
    server.as_str().trim_end_matches('/').to_owned()
}

/// Who was signed in last, if that was at this server.
fn account_here(installation: &Installation, config: &Config) -> Option<Account> {
    installation
        .account
        .clone()
        .filter(|account| account.server == server_name(&config.server))
}

async fn start<A: Api>(
    config: Config,
    ports: Ports,
    api: A,
    this_run_only: watch::Receiver<Option<String>>,
    installation: Installation,
) -> Result<(Client<A>, mpsc::UnboundedReceiver<Event>), Error> {
    let (events, facts) = mpsc::unbounded_channel();
    let account = account_here(&installation, &config);
    let user = account.as_ref().map(|account| account.user.clone());
    let station = Arc::new(Station {
        api,
        link: Link::new(),
        clock: ports.clock,
        client_id: installation.client_id.clone(),
        device: config.device,
        server: server_name(&config.server),
        data_dir: config.data_dir.clone(),
        events,
        runtime: Handle::current(),
        this_run_only: this_run_only.clone(),
        person: Mutex::new(Person {
            user,
            sign_in_again: false,
        }),
    });
    let core = Arc::new(Core {
        station: Arc::clone(&station),
        pictures: Pictures::new(&config.data_dir),
        desk: Mutex::default(),
        door: tokio::sync::Mutex::default(),
        tasks: Mutex::default(),
    });
    let client = Client { core };
    if let Some(account) = account {
        let desk = Desk::open(
            Arc::clone(&station),
            account.user.clone(),
            &account.cache_path(&config.data_dir),
        )
        .await?;
        client.set_desk(Some(desk));
    }
    let tasks = vec![
        tokio::spawn(run_link(Arc::clone(&station))),
        tokio::spawn(tell_of_link(Arc::clone(&station))),
        tokio::spawn(tell_of_keychain(station, this_run_only)),
    ];
    *client.core.tasks.lock().unwrap_or_else(PoisonError::into_inner) = tasks;
    Ok((client, facts))
}

async fn tell_of_link<A: Api>(station: Arc<Station<A>>) {
    let mut reach = station.link.listen();
    while reach.changed().await.is_ok() {
        reach.mark_unchanged();
        station.tell(Event::Connection {
            online: station.link.is_online(),
        });
    }
}

async fn tell_of_keychain<A: Api>(
    station: Arc<Station<A>>,
    mut this_run_only: watch::Receiver<Option<String>>,
) {
    while this_run_only.changed().await.is_ok() {
        station.tell(Event::Account(station.account()));
    }
}

impl<A: Api> Client<A> {
    /// As [`Client::start`], over any implementation of the wire.
    pub async fn start_with(
        config: Config,
        ports: Ports,
        api: A,
    ) -> Result<(Self, mpsc::UnboundedReceiver<Event>), Error> {
        let installation = load_installation(&config).await?;
        start(config, ports, api, watch::channel(None).1, installation).await
    }

    fn desk(&self) -> Result<Arc<Desk<A>>, Error> {
        let desk = self.core.desk.lock().unwrap_or_else(PoisonError::into_inner);
        desk.clone().ok_or(Error::SignedOut)
    }

    fn set_desk(&self, desk: Option<Arc<Desk<A>>>) -> Option<Arc<Desk<A>>> {
        std::mem::replace(
            &mut *self.core.desk.lock().unwrap_or_else(PoisonError::into_inner),
            desk,
        )
    }

    /// The desk with an image open, and the image, if it may be edited.
    fn editing(&self) -> Result<(Arc<Desk<A>>, Place), Error> {
        let desk = self.desk()?;
        match desk.session.open_place() {
            Some((place, access)) if access.edits() => Ok((desk, place)),
            _ => Err(Error::NotEditing),
        }
    }

    /// Who is signed in.
    pub async fn account(&self) -> AccountView {
        self.core.station.account()
    }

    /// Signs in; unsent work of an earlier sign-in of the same person goes on.
    pub async fn sign_in(&self, email: &str, password: &str) -> Result<AccountView, Error> {
        let _door = self.core.door.lock().await;
        let station = &self.core.station;
        let request = LoginRequest {
            email: email.to_owned(),
            password: password.to_owned(),
        };
        let user = match station.api.login(request).await {
            Ok(user) => user,
            Err(ApiError::Refused(detail)) if detail.refusal == Refusal::Unauthorized => {
                return Err(Error::WrongPassword);
            }
            Err(error) => {
                station.link.doubt();
                return Err(error.into());
            }
        };
        let account = Account {
            server: station.server.clone(),
            user: user.clone(),
        };
        self.remember(Some(account.clone())).await?;
        match self.desk() {
            Ok(desk) if desk.user.id == user.id => {
                self.enter(user);
                desk.session.tell_online();
                desk.sync.wake();
            }
            _ => {
                self.clear_desk(CLOSE_DEADLINE).await;
                let path = account.cache_path(&station.data_dir);
                let desk = Desk::open(Arc::clone(station), user.clone(), &path).await?;
                self.set_desk(Some(desk));
                self.enter(user);
            }
        }
        Ok(station.account())
    }

    fn enter(&self, user: User) {
        self.core.station.change_person(|person| {
            *person = Person {
                user: Some(user),
                sign_in_again: false,
            }
        });
    }

    async fn remember(&self, account: Option<Account>) -> Result<(), Error> {
        let data_dir = self.core.station.data_dir.clone();
        let installation = Installation {
            client_id: self.core.station.client_id.clone(),
            account,
        };
        tokio::task::spawn_blocking(move || installation.store(&data_dir))
            .await
            .map_err(|_| Error::Closing)?
    }

    /// Signs out; unsent work stays on this machine.
    pub async fn sign_out(&self) -> Result<AccountView, Error> {
        let _door = self.core.door.lock().await;
        self.clear_desk(CLOSE_DEADLINE).await;
        self.remember(None).await?;
        let station = &self.core.station;
        // Whether the server heard it or not, this machine has forgotten the tokens.
        match tokio::time::timeout(CLOSE_DEADLINE, station.api.logout()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::info!(%error, "the server was not told of the sign-out"),
            Err(_) => tracing::info!("the server was not told of the sign-out in time"),
        }
        station.change_person(|person| *person = Person::default());
        Ok(station.account())
    }

    async fn clear_desk(&self, deadline: Duration) {
        if let Some(desk) = self.set_desk(None) {
            if tokio::time::timeout(deadline, leave(&desk, None)).await.is_err() {
                tracing::info!("a lock could not be given back in time; it is at the next start");
            }
            desk.close().await;
        }
    }

    /// The person's projects, from the server or as it gave them last.
    pub async fn projects(&self) -> Result<Vec<ProjectView>, Error> {
        let desk = self.desk()?;
        self.refresh_projects(&desk).await?;
        desk.cache.read(|tx| projects::all(tx)).await
    }

    async fn refresh_projects(&self, desk: &Desk<A>) -> Result<(), Error> {
        if let Some(list) = fresh(desk, desk.station.api.projects()).await? {
            desk.cache
                .write(move |tx| projects::replace_all(tx, &list))
                .await?;
        }
        Ok(())
    }

    /// The project's images; from now on its news are followed.
    pub async fn open_project(&self, project: &ProjectId) -> Result<Vec<ImageRow>, Error> {
        let desk = self.desk()?;
        let of = project.clone();
        if desk.cache.read(move |tx| projects::get(tx, &of)).await?.is_none() {
            self.refresh_projects(&desk).await?;
        }
        let of = project.clone();
        if desk.cache.read(move |tx| projects::get(tx, &of)).await?.is_none() {
            return Err(if desk.station.link.is_offline() {
                Error::Offline
            } else {
                Error::NotFound("project")
            });
        }
        let of = project.clone();
        let (_, complete) = desk.cache.read(move |tx| projects::feed(tx, &of)).await?;
        if !complete {
            self.read_lists(&desk, project).await?;
        }
        follow(&desk, project);
        desk.rows(project).await
    }

    /// The first visit: the lists come at once, all that is on the images through the feed.
    async fn read_lists(&self, desk: &Desk<A>, project: &ProjectId) -> Result<(), Error> {
        if let Some(list) = fresh(desk, desk.station.api.labels(project)).await? {
            let of = project.clone();
            desk.cache
                .write(move |tx| labels::replace_all(tx, &of, &list))
                .await?;
        }
        let mut after = None;
        loop {
            let Some(page) = fresh(desk, desk.station.api.images(project, after.as_deref())).await? else {
                return Ok(());
            };
            let of = project.clone();
            after = desk
                .cache
                .write(move |tx| {
                    page.images
                        .iter()
                        .try_for_each(|image| images::put(tx, &of, image))?;
                    Ok(page.next)
                })
                .await?;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// The project's images as this machine knows them.
    pub async fn images(&self, project: &ProjectId) -> Result<Vec<ImageRow>, Error> {
        self.desk()?.rows(project).await
    }

    /// The project's labels as this machine knows them.
    pub async fn labels(&self, project: &ProjectId) -> Result<Vec<Label>, Error> {
        let of = project.clone();
        self.desk()?.cache.read(move |tx| labels::all(tx, &of)).await
    }

    /// Opens an image for editing: the lock first. Closes the one open before it.
    pub async fn open_image(
        &self,
        project: &ProjectId,
        image: &ImageId,
        take_over: bool,
    ) -> Result<OpenOutcome, Error> {
        let desk = self.desk()?;
        let place = Place::new(project, image);
        if !self.known(&desk, &place).await?.annotates {
            let image = Box::new(self.open_read_only(project, image).await?);
            return Ok(OpenOutcome::Opened { image });
        }
        leave(&desk, Some(&place)).await;
        let opening = desk.session.open(place.clone(), take_over).await?;
        self.opened(&desk, &place, opening).await
    }

    async fn opened(&self, desk: &Desk<A>, place: &Place, opening: Opening) -> Result<OpenOutcome, Error> {
        match opening {
            Opening::Open => Ok(OpenOutcome::Opened {
                image: Box::new(desk.opened_image(place).await?),
            }),
            Opening::Locked(holder) => Ok(OpenOutcome::Locked { holder }),
            Opening::Unreachable => Err(Error::Offline),
        }
    }

    /// An image this machine knows of, from now on followed; what may be done in its project.
    async fn known(&self, desk: &Arc<Desk<A>>, place: &Place) -> Result<Rights, Error> {
        if stored_image(desk, place).await?.is_none() {
            self.open_project(&place.project).await?;
        }
        if stored_image(desk, place).await?.is_none() {
            return Err(Error::NotFound("image"));
        }
        follow(desk, &place.project);
        let (project, me) = (place.project.clone(), desk.user.id);
        desk.cache.read(move |tx| rights(tx, &project, me)).await
    }

    /// Opens an image to look at. Closes the one open before it.
    pub async fn open_read_only(&self, project: &ProjectId, image: &ImageId) -> Result<OpenedImage, Error> {
        let desk = self.desk()?;
        let place = Place::new(project, image);
        self.known(&desk, &place).await?;
        leave(&desk, None).await;
        if let Some(list) = fresh(&desk, desk.station.api.annotations(project, image)).await? {
            desk.take_annotations(&place, list.annotations, list.image_revision)
                .await?;
        }
        let lock = desk
            .board
            .lock(&place)
            .filter(|lock| lock.client_id.as_ref() != Some(&desk.station.client_id));
        let holder = lock.map(|lock| holder_of(&lock, desk.user.id));
        desk.session.look(place.clone(), holder).await?;
        // The holder may not be known yet, or may have changed since.
        desk.follows.poke(project);
        desk.opened_image(&place).await
    }

    /// Closes the open image; its lock is given back when this returns, or will be.
    pub async fn close_image(&self) -> Result<(), Error> {
        let desk = self.desk()?;
        if tokio::time::timeout(CLOSE_DEADLINE, leave(&desk, None))
            .await
            .is_err()
        {
            tracing::info!("a lock could not be given back in time; it will be");
        }
        Ok(())
    }

    /// Makes one step of editing; durable when this returns.
    pub async fn edit(&self, edit: Edit) -> Result<Delta, Error> {
        self.journal(move |db, place, rights| journal::edit(db, place, rights, edit))
            .await
    }

    /// Takes the last step back; durable when this returns.
    pub async fn undo(&self) -> Result<Delta, Error> {
        self.journal(journal::undo).await
    }

    /// Does the last step taken back again; durable when this returns.
    pub async fn redo(&self) -> Result<Delta, Error> {
        self.journal(journal::redo).await
    }

    /// Brings a version that lost a conflict back as a step of editing on the open image.
    pub async fn restore(&self, kept: i64) -> Result<Delta, Error> {
        self.journal(move |db, place, rights| journal::restore(db, place, rights, kept))
            .await
    }

    async fn journal(
        &self,
        step: impl FnOnce(&Connection, &Place, Rights) -> Result<Touched, Error> + Send + 'static,
    ) -> Result<Delta, Error> {
        let (desk, place) = self.editing()?;
        let (at, me) = (place.clone(), desk.user.id);
        let touched = desk
            .cache
            .write(move |tx| {
                let rights = rights(tx, &at.project, me)?;
                step(tx, &at, rights)
            })
            .await?;
        desk.announce_save().await;
        desk.announce_image(&place).await;
        let delta = desk.delta(&place, touched).await;
        // Only now, so that the window does not hear of the save before it hears of the edit.
        desk.sync.wake();
        delta
    }

    /// Asks for the lock of the open image after it was lost, or after looking only.
    pub async fn take_back(&self) -> Result<OpenOutcome, Error> {
        let desk = self.desk()?;
        let Some((place, _)) = desk.session.open_place() else {
            return Err(Error::NotEditing);
        };
        let opening = desk.session.take_back().await?;
        self.opened(&desk, &place, opening).await
    }

    /// Ends someone else's lock.
    pub async fn force_release(&self, project: &ProjectId, image: &ImageId) -> Result<(), Error> {
        let desk = self.desk()?;
        desk.station
            .ask(desk.station.api.force_release(project, image))
            .await?;
        desk.follows.poke(project);
        Ok(())
    }

    /// Tells once when the image is free; survives a restart.
    pub async fn watch(&self, project: &ProjectId, image: &ImageId) -> Result<(), Error> {
        let desk = self.desk()?;
        let place = Place::new(project, image);
        if desk.lane.is_windows(&place) {
            return Ok(());
        }
        let at = place.clone();
        desk.cache.write(move |tx| watches::put(tx, &at)).await?;
        follow(&desk, project);
        // It may have become free while someone was asked.
        desk.follows.poke(project);
        desk.announce_image(&place).await;
        Ok(())
    }

    /// Does not tell after all.
    pub async fn unwatch(&self, project: &ProjectId, image: &ImageId) -> Result<(), Error> {
        let desk = self.desk()?;
        let place = Place::new(project, image);
        let at = place.clone();
        desk.cache.write(move |tx| watches::remove(tx, &at)).await?;
        desk.announce_image(&place).await;
        Ok(())
    }

    /// Conflicts waiting for a decision.
    pub async fn conflicts(&self) -> Result<Vec<ConflictView>, Error> {
        self.desk()?.cache.read(|tx| conflicts::views(tx)).await
    }

    /// Decides one; what changed on the open image, where it is on that.
    pub async fn resolve(
        &self,
        annotation: &AnnotationId,
        resolution: Resolution,
    ) -> Result<Option<Delta>, Error> {
        let desk = self.desk()?;
        let (id, now) = (annotation.clone(), desk.station.clock.wall());
        let place = desk
            .cache
            .write(move |tx| journal::resolve(tx, &id, resolution, now))
            .await?;
        desk.sync.wake();
        desk.announce_save().await;
        desk.announce_image(&place).await;
        match desk.session.open_place() {
            Some((open, _)) if open == place => Ok(Some(desk.delta(&place, vec![annotation.clone()]).await?)),
            _ => Ok(None),
        }
    }

    /// Versions that lost a conflict on this image.
    pub async fn kept(&self, project: &ProjectId, image: &ImageId) -> Result<Vec<KeptVersion>, Error> {
        let place = Place::new(project, image);
        self.desk()?
            .cache
            .read(move |tx| kept::of_image(tx, &place))
            .await
    }

    /// The image's bytes and media type, from this machine or the server.
    pub async fn picture(&self, project: &ProjectId, image: &ImageId) -> Result<(String, Bytes), Error> {
        let desk = self.desk()?;
        let place = Place::new(project, image);
        let stored = stored_image(&desk, &place)
            .await?
            .ok_or(Error::NotFound("image"))?;
        let call = desk.station.api.content(project, image);
        let bytes = self
            .load(&desk, Kind::Picture, &stored.content_hash, call)
            .await?;
        Ok((stored.media_type, bytes))
    }

    /// A small picture of it and its media type.
    pub async fn thumbnail(&self, project: &ProjectId, image: &ImageId) -> Result<(String, Bytes), Error> {
        let desk = self.desk()?;
        let place = Place::new(project, image);
        let stored = stored_image(&desk, &place)
            .await?
            .ok_or(Error::NotFound("image"))?;
        let call = desk.station.api.thumbnail(project, image);
        let bytes = self
            .load(&desk, Kind::Thumbnail, &stored.content_hash, call)
            .await?;
        Ok((pictures::sniff(&bytes).to_owned(), bytes))
    }

    async fn load(
        &self,
        desk: &Desk<A>,
        kind: Kind,
        content_hash: &str,
        call: impl Future<Output = Answer<Bytes>>,
    ) -> Result<Bytes, Error> {
        let pictures = &self.core.pictures;
        if let Some(bytes) = pictures.read(kind, content_hash).await? {
            return Ok(bytes);
        }
        let bytes = fresh(desk, call).await?.ok_or(Error::PictureNotHere)?;
        let is_right = match kind {
            Kind::Picture => pictures::matches_hash(&bytes, content_hash),
            Kind::Thumbnail => pictures::sniff(&bytes).starts_with("image/"),
        };
        if !is_right {
            return Err(Error::PictureNotHere);
        }
        if let Err(error) = pictures.write(kind, content_hash, bytes.clone()).await {
            // It can be shown all the same; the next time it is fetched again.
            tracing::warn!(%error, "a picture could not be kept");
        }
        Ok(bytes)
    }

    /// Looks at outbox and feed now.
    pub async fn sync_now(&self) -> Result<(), Error> {
        let desk = self.desk()?;
        self.core.station.link.doubt();
        desk.follows.suspect_all();
        desk.sync.wake();
        Ok(())
    }

    /// Where the changes stand.
    pub fn save(&self) -> SaveView {
        self.desk().map(|desk| desk.save()).unwrap_or_default()
    }

    /// Gives the lock back and closes the cache; never takes longer than `deadline`.
    pub async fn shutdown(&self, deadline: Duration) {
        // The lock's return may use most of it; the cache closes in what is left, and is safe if it does not.
        let for_lock = deadline.mul_f32(0.9);
        if tokio::time::timeout(deadline, self.clear_desk(for_lock))
            .await
            .is_err()
        {
            tracing::info!("the cache was not closed in time");
        }
        let tasks = std::mem::take(&mut *self.core.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.iter().for_each(JoinHandle::abort);
    }
}

/// The server's answer, or nothing where it cannot be asked.
async fn fresh<A: Api, T>(desk: &Desk<A>, call: impl Future<Output = Answer<T>>) -> Result<Option<T>, Error> {
    if desk.station.link.is_offline() {
        return Ok(None);
    }
    match desk.station.ask(call).await {
        Ok(value) => Ok(Some(value)),
        Err(ApiError::Network(_) | ApiError::Later { .. }) => Ok(None),
        // What is here is still the person's own.
        Err(ApiError::Refused(detail)) if detail.refusal == Refusal::Unauthorized => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn stored_image<A: Api>(desk: &Desk<A>, place: &Place) -> Result<Option<Image>, Error> {
    let at = place.clone();
    desk.cache.read(move |tx| images::get(tx, &at)).await
}

/// Leaves the open image for `next`: its last edits go under its lock, then the lock goes.
async fn leave<A: Api>(desk: &Desk<A>, next: Option<&Place>) {
    let Some((open, _)) = desk.session.open_place() else {
        if next.is_none() {
            desk.session.close().await;
            desk.lane.fence().await;
        }
        return;
    };
    if next == Some(&open) {
        return;
    }
    let has_work = !matches!(desk.save().state, SaveState::Synced);
    if has_work && desk.lane.is_windows(&open) && !desk.station.link.is_offline() {
        // What does not go now goes later, under a lock of its own.
        drop(tokio::time::timeout(FLUSH_DEADLINE, push_image(desk, &open)).await);
    }
    if next.is_none() {
        desk.session.close().await;
        desk.lane.fence().await;
    }
}
