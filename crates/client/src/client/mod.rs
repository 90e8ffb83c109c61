//! The facade: every command a shell may give, each a call that comes back with what the window shows.

mod account;
mod annotations;
mod conflicts;
mod images;
mod locks;
mod projects;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lockstep_wire::Api;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use url::Url;

use crate::cache::installation::{Account, Installation};
use crate::cache::pictures::Pictures;
use crate::desk::Desk;
use crate::link::{Link, run_link};
use crate::ports::{Clock, Keychain};
use crate::station::{Person, Station};
use crate::view::{Event, SaveView};
use crate::watchdog::keep_running;
use crate::{Error, HttpApi, Place};

/// Closing an image never keeps a person waiting longer.
const CLOSE_DEADLINE: Duration = Duration::from_millis(1500);
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
        telling: tokio::sync::Mutex::default(),
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
        tokio::spawn({
            let station = Arc::clone(&station);
            async move { keep_running("asking for the server", || run_link(Arc::clone(&station))).await }
        }),
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
    /// Looks at outbox and feed now.
    pub async fn sync_now(&self) -> Result<(), Error> {
        let desk = self.desk()?;
        self.core.station.link.doubt();
        desk.follows.suspect_all();
        desk.sync.wake();
        Ok(())
    }

    /// Whether the server answers; nothing while that is not known yet.
    pub fn connection(&self) -> Option<bool> {
        let link = &self.core.station.link;
        (link.is_online() || link.is_offline()).then(|| link.is_online())
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
