//! Runs the server inside the app on this machine's loopback, or joins the one another window runs.
//!
//! **Invariant:** one program at a time serves a data folder; it holds the folder's lock file as long as it does.

use std::fs::{self, File, TryLockError};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use lockstep_server::demo::{self, DEMO_PEOPLE, Seeded};
use lockstep_server::{Service, Settings, embedded};
use serde::Serialize;
use tokio::sync::{Mutex, watch};
use url::Url;

/// Where the bundled server listens when it can, so that a window finds it again after a restart.
const PORT: u16 = 8787;

/// Where another window of this machine reads the address, in the server's folder.
const ADDRESS_FILE: &str = "address";

/// Requests in flight at the end; `lifecycle` allows no more.
const SHUTDOWN_GRACE: Duration = Duration::from_millis(300);

/// A person of the demo project, with the password everybody may know.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct DemoPerson {
    name: &'static str,
    email: &'static str,
    password: &'static str,
}

/// The server this window works with.
pub(crate) struct BundledServer {
    url: Url,
    /// There when it runs in this process.
    inside: Mutex<Option<Inside>>,
    demo: watch::Receiver<Demo>,
}

struct Inside {
    server: embedded::Running,
    /// Held for its lock alone.
    _folder: File,
}

/// Whether there are demo people to offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Demo {
    /// They are being made; it takes a second or two.
    Coming,
    /// One can sign in as them.
    There,
    /// This is no demo.
    None,
}

impl BundledServer {
    /// Another machine's, or another program's.
    pub(crate) fn elsewhere(address: &str) -> anyhow::Result<Self> {
        let url = Url::parse(address).with_context(|| format!("{address} is no address of a server"))?;
        Ok(Self::without_inside(url, Demo::None))
    }

    /// Serves `folder`, with the demo project in it on the first start; where another window of this machine
    /// does so already, works with that one.
    pub(crate) async fn start_or_join(folder: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("{} cannot be written", folder.display()))?;
        let lock =
            File::create(folder.join("running.lock")).context("the server's folder cannot be locked")?;
        match lock.try_lock() {
            Ok(()) => Self::start(folder, lock).await,
            Err(TryLockError::WouldBlock) => {
                let url = read_address(folder)
                    .context("another window is just starting the server; try again in a moment")?;
                Ok(Self::without_inside(url, Demo::There))
            }
            Err(TryLockError::Error(error)) => Err(error).context("the server's folder cannot be locked"),
        }
    }

    fn without_inside(url: Url, demo: Demo) -> Self {
        Self {
            url,
            inside: Mutex::new(None),
            demo: watch::channel(demo).1,
        }
    }

    async fn start(folder: &Path, lock: File) -> anyhow::Result<Self> {
        let settings = Settings {
            shutdown_grace: SHUTDOWN_GRACE,
            ..Settings::default()
        };
        let service = embedded::open(folder, settings)
            .await
            .context("the bundled server did not start")?;
        let last = read_address(folder).ok().and_then(|url| url.port());
        let server = listen(&service, last)
            .await
            .context("the bundled server did not start")?;
        let url = Url::parse(&server.url()).expect("a socket's address makes a URL");
        fs::write(folder.join(ADDRESS_FILE), url.as_str())
            .context("the server's address cannot be written")?;
        let (made, demo) = watch::channel(Demo::Coming);
        tauri::async_runtime::spawn(async move {
            made.send_replace(match demo::seed(&service).await {
                Ok(Seeded::Now | Seeded::Before) => Demo::There,
                Ok(Seeded::InUse) => Demo::None,
                Err(error) => {
                    tracing::error!(error = format!("{error:#}"), "the demo project could not be made");
                    Demo::None
                }
            });
        });
        let inside = Inside {
            server,
            _folder: lock,
        };
        Ok(Self {
            url,
            inside: Mutex::new(Some(inside)),
            demo,
        })
    }

    /// Where the core finds it.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// Who can sign in to the demo project, as soon as that is so.
    pub(crate) async fn demo_people(&self) -> Vec<DemoPerson> {
        let mut demo = self.demo.clone();
        let there = demo
            .wait_for(|demo| *demo != Demo::Coming)
            .await
            .is_ok_and(|demo| *demo == Demo::There);
        let people = DEMO_PEOPLE.iter().filter(|_| there);
        people
            .map(|person| DemoPerson {
                name: person.name,
                email: person.email,
                password: person.password,
            })
            .collect()
    }

    /// Finishes what is in flight, where the server is in this program.
    pub(crate) async fn stop(&self) {
        if let Some(inside) = self.inside.lock().await.take()
            && let Err(error) = inside.server.stop().await
        {
            tracing::warn!(
                error = format!("{error:#}"),
                "the bundled server did not stop cleanly"
            );
        }
    }
}

/// On the port it had last, on the usual one, or on a free one, whichever can be had first: accounts are kept by
/// the server's address, so it changes only where it must.
async fn listen(service: &Arc<Service>, last: Option<u16>) -> anyhow::Result<embedded::Running> {
    for port in last.into_iter().chain([PORT]) {
        match embedded::start_service(at(port), Arc::clone(service)).await {
            Ok(running) => return Ok(running),
            Err(taken) => tracing::info!(
                reason = format!("{taken:#}"),
                "the bundled server takes another port"
            ),
        }
    }
    embedded::start_service(at(0), Arc::clone(service)).await
}

fn at(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn read_address(folder: &Path) -> anyhow::Result<Url> {
    let text = fs::read_to_string(folder.join(ADDRESS_FILE)).context("the server's address is not there")?;
    Url::parse(&text).context("the server's address is no address")
}
