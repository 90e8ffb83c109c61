//! The same server inside another program: the desktop app, or a test.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::blobs::Blobs;
use crate::service::Service;
use crate::settings::Settings;
use crate::store::sqlite::SqliteStore;
use crate::{serve_service, store};

/// A server that accepts connections. Dropping it stops it without waiting.
pub struct Running {
    /// Where it listens; the port is known even when any free one was asked for.
    pub addr: SocketAddr,
    service: Arc<Service>,
    stop: CancellationToken,
    serving: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Running {
    /// Base of every address: `http://127.0.0.1:8787`.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The server without its HTTP.
    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// Stops; what is in flight finishes first.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        match self.serving.take() {
            Some(serving) => serving.await.context("the server panicked")?,
            None => Ok(()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Opens the service over the database and images in a folder, both made where needed.
pub async fn open(data: &Path, settings: Settings) -> anyhow::Result<Arc<Service>> {
    let (store, blobs) = open_folder(data)?;
    Service::open(store, blobs, settings).await
}

/// Serves the database and images in a folder on `listen`; port 0 picks a free one.
pub async fn start(data: &Path, listen: SocketAddr, settings: Settings) -> anyhow::Result<Running> {
    let service = open(data, settings).await?;
    start_service(listen, service).await
}

/// As [`start`], over a service that was opened before.
pub async fn start_service(listen: SocketAddr, service: Arc<Service>) -> anyhow::Result<Running> {
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen}"))?;
    let addr = listener.local_addr()?;
    let stop = CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    let serving = tokio::spawn(serve_service(listener, Arc::clone(&service), stopped));
    Ok(Running {
        addr,
        service,
        stop,
        serving: Some(serving),
    })
}

/// The parts of a folder: `lockstep.sqlite` and `blobs/`.
pub fn open_folder(data: &Path) -> anyhow::Result<(Arc<dyn store::Store>, Blobs)> {
    std::fs::create_dir_all(data).with_context(|| format!("cannot make {}", data.display()))?;
    let store = SqliteStore::open(&data.join(DATABASE))?;
    Ok((Arc::new(store), Blobs::folder(&data.join(BLOBS))?))
}

/// The database's name in a data folder.
pub const DATABASE: &str = "lockstep.sqlite";
/// The images' folder in a data folder.
pub const BLOBS: &str = "blobs";
