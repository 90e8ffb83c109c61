//! Where the story is played: a desktop, a server with the demo project, and a wall for pictures.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lockstep_server::demo::DEMO_PEOPLE;
use lockstep_stage::{Desktop, Server, until};
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::truth::Truth;

/// How long the server's leases last here: minutes in earnest, seconds in a story.
pub(crate) const LEASE: Duration = Duration::from_secs(6);
const HEARTBEAT: Duration = Duration::from_secs(2);

/// Long enough for anything that should simply happen.
pub(crate) const SOON: Duration = Duration::from_secs(15);

/// The promise for leaving: the lock is given back before the app is gone, and it is gone within this.
pub(crate) const LEAVING: Duration = Duration::from_millis(1500);

/// The screen: room for two windows side by side.
pub(crate) const SCREEN: (i32, i32) = (1840, 980);

pub(crate) struct World {
    pub(crate) desktop: Desktop,
    pub(crate) truth: Truth,
    pub(crate) address: String,
    server: Mutex<Server>,
    pictures: Cell<Option<u32>>,
    _data: TempDir,
}

impl World {
    /// A world with nobody in it yet.
    pub(crate) async fn new() -> Result<Self> {
        let (width, height) = SCREEN;
        let mut desktop = Desktop::start_sized(width.unsigned_abs(), height.unsigned_abs()).await?;
        desktop.keep_failures_in(target_folder().join("story-failures"));
        let data = tempfile::tempdir()?;
        let lease = format!("{}s", LEASE.as_secs());
        let heartbeat = format!("{}s", HEARTBEAT.as_secs());
        let binary = server_binary()?;
        Server::run(&binary, data.path(), "demo", &[], "")?;
        let arguments = ["--lock-ttl", &lease, "--heartbeat", &heartbeat];
        let server = Server::start(&binary, data.path(), &arguments).await?;
        let address = server.url();
        let truth = Truth::as_told_to(&DEMO_PEOPLE[0], &address).await?;
        let server = Mutex::new(server);
        Ok(Self {
            desktop,
            truth,
            address,
            server,
            pictures: Cell::new(None),
            _data: data,
        })
    }

    /// Keeps a picture at every [`World::picture`] from now on.
    pub(crate) fn keep_pictures(&self) -> Result<()> {
        let folder = tour_folder();
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("clearing {}", folder.display()))?;
        }
        self.pictures.set(Some(0));
        Ok(())
    }

    /// Takes a numbered picture of the screen.
    pub(crate) fn picture(&self, shows: &str) -> Result<()> {
        let Some(before) = self.pictures.get() else {
            return Ok(());
        };
        self.pictures.set(Some(before + 1));
        println!("  {:02} {}", before + 1, shows.replace('-', " "));
        self.desktop
            .screenshot(&tour_folder().join(format!("{:02}-{shows}.png", before + 1)))
    }

    /// The network goes away: for both windows alike, since what they miss is the server.
    pub(crate) async fn the_network_goes_away(&self) -> Result<()> {
        self.server.lock().await.stop().await
    }

    pub(crate) async fn the_network_comes_back(&self) -> Result<()> {
        self.server.lock().await.start_again().await
    }

    /// Waits until the server says that nobody holds the image.
    pub(crate) async fn until_free(&self, image: &str, deadline: Duration) -> Result<()> {
        until("the image to be free at the server", deadline, async || {
            Ok(self.truth.holder(image).await?.is_none().then_some(()))
        })
        .await
    }

    /// Waits until the server says that this person holds the image.
    pub(crate) async fn until_held_by(&self, name: &str, image: &str, deadline: Duration) -> Result<()> {
        until(
            format_args!("{name} to hold the image at the server"),
            deadline,
            async || Ok((self.truth.holder(image).await?.as_deref() == Some(name)).then_some(())),
        )
        .await
    }
}

pub(crate) fn app_binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_lockstep"))
}

fn server_binary() -> Result<PathBuf> {
    let binary = app_binary().with_file_name("lockstep-server");
    ensure!(
        binary.exists(),
        "{} is not built: `cargo build --workspace --bins`",
        binary.display()
    );
    Ok(binary)
}

fn tour_folder() -> PathBuf {
    target_folder().join("tour")
}

/// `target`, wherever it is.
fn target_folder() -> &'static Path {
    app_binary()
        .ancestors()
        .nth(2)
        .expect("a program lies in TARGET/PROFILE")
}
