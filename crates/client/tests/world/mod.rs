//! A real server, real clients with real folders, and nothing that sleeps and hopes.

#![allow(dead_code, reason = "each test file uses its own part of it")]
#![allow(unreachable_pub, reason = "a module of several test programs")]

pub mod line;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use lockstep_client::ports::{Clock, Keychain};
use lockstep_client::view::{Access, Edit, EditChange, Event, LockView, OpenOutcome, OpenedImage, SaveState};
use lockstep_client::{Client, Config, Ports};
use lockstep_server::embedded::{self, Running};
use lockstep_server::service::{NewMember, ProjectFields, Upload};
use lockstep_server::store::Added;
use lockstep_server::{Service, Settings};
use lockstep_wire::{
    Annotation, AnnotationFields, AnnotationId, Geometry, ImageId, Lock, ProjectId, Role, UserId,
};
use tokio::sync::mpsc::UnboundedReceiver;
use url::Url;

pub const PASSWORD: &str = "correct horse";
/// How long anything may take that does not wait on purpose.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn project() -> ProjectId {
    "p".into()
}

pub fn street() -> ImageId {
    "street.png".into()
}

pub fn harbour() -> ImageId {
    "a/b ü.png".into()
}

/// A server with people and images: Olga owns the project, Ann and Ben annotate, Vera looks.
pub struct World {
    pub folder: tempfile::TempDir,
    pub server: Option<Running>,
    pub addr: SocketAddr,
    settings: Settings,
    users: HashMap<String, UserId>,
}

/// Leases that lapse within a test.
pub fn quick() -> Settings {
    Settings {
        sweep_every: Duration::from_millis(50),
        force_hold: Duration::from_millis(400),
        ..Settings::with_lease(Duration::from_secs(3))
    }
}

impl World {
    pub async fn begin(settings: Settings) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = embedded::start(folder.path(), any, settings.clone())
            .await
            .expect("a server");
        let users = people(server.service()).await;
        let addr = server.addr;
        Self {
            folder,
            server: Some(server),
            addr,
            settings,
            users,
        }
    }

    pub fn service(&self) -> &Arc<Service> {
        self.server.as_ref().expect("a running server").service()
    }

    pub fn user(&self, name: &str) -> UserId {
        self.users[name]
    }

    /// The server goes away.
    pub async fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop().await.expect("a clean stop");
        }
    }

    /// It comes back where it was.
    pub async fn start_again(&mut self) {
        let (path, addr, settings) = (self.folder.path().to_owned(), self.addr, self.settings.clone());
        let server = until("the server's port is free", async || {
            embedded::start(&path, addr, settings.clone()).await.ok()
        });
        self.server = Some(server.await);
    }

    /// What the server has on an image.
    pub async fn stored(&self, image: &ImageId) -> Vec<Annotation> {
        let list = self
            .service()
            .annotations(self.user("olga"), project(), image.clone())
            .await;
        let list = list.and_then(|list| list.parse());
        list.expect("a list").annotations
    }

    /// The lock of an image.
    pub async fn lock(&self, image: &ImageId) -> Option<Lock> {
        let user = self.user("olga");
        self.service()
            .lock_status(user, project(), image.clone())
            .await
            .expect("a status")
    }

    /// Who holds an image, by name.
    pub async fn holder(&self, image: &ImageId) -> Option<String> {
        self.lock(image).await.map(|lock| lock.user_name)
    }

    /// How many locks there are.
    pub async fn locks(&self) -> usize {
        self.service()
            .locks(self.user("olga"), &project())
            .await
            .expect("a list")
            .locks
            .len()
    }

    /// A window of someone's, in a new folder.
    pub async fn window(&self, name: &str) -> Window {
        window_at(self.url(), name).await
    }

    pub fn url(&self) -> Url {
        Url::parse(&format!("http://{}", self.addr)).expect("an address")
    }
}

/// A window of someone's with the project open, by another way to the server.
pub async fn window_at(server: Url, name: &str) -> Window {
    let folder = Arc::new(tempfile::tempdir().expect("a folder"));
    let window = Window::start(server, folder, Arc::new(MemoryKeychain::default()));
    window
        .client
        .sign_in(&email(name), PASSWORD)
        .await
        .expect("signed in");
    window.client.open_project(&project()).await.expect("a project");
    window
}

pub fn email(name: &str) -> String {
    format!("{name}@example.org")
}

async fn people(service: &Service) -> HashMap<String, UserId> {
    let mut users = HashMap::new();
    for name in ["olga", "ann", "ben", "vera"] {
        let added = service
            .add_user(&email(name), name, PASSWORD.into(), false)
            .await
            .expect("an account");
        let Added::New(user) = added else {
            panic!("{name} is there already")
        };
        users.insert(name.to_owned(), user.id);
    }
    let fields = ProjectFields {
        id: Some(project()),
        name: "Streets".into(),
        annotators_edit_all: true,
    };
    service
        .add_project(users["olga"], fields)
        .await
        .expect("a project");
    for (name, role) in [
        ("ann", Role::Annotator),
        ("ben", Role::Annotator),
        ("vera", Role::Viewer),
    ] {
        let member = NewMember {
            user_id: Some(users[name]),
            email: None,
            role,
        };
        service
            .add_member(users["olga"], &project(), member)
            .await
            .expect("a member");
    }
    for (shade, id) in [(90, street()), (140, harbour())] {
        let upload = Upload {
            file_name: id.0.clone(),
            id: Some(id),
            content: Bytes::from(picture(shade)),
        };
        service
            .add_image(users["olga"], &project(), upload)
            .await
            .expect("an image");
    }
    users
}

/// A tiny real PNG: one pixel, stretched by nobody.
fn picture(shade: u8) -> Vec<u8> {
    let mut content = std::io::Cursor::new(Vec::new());
    let pixels = image::GrayImage::from_pixel(32, 20, image::Luma([shade]));
    pixels
        .write_to(&mut content, image::ImageFormat::Png)
        .expect("a PNG");
    content.into_inner()
}

/// A keychain that forgets when the test ends, or fails when told to.
#[derive(Default)]
pub struct MemoryKeychain {
    pub secrets: Mutex<HashMap<String, String>>,
    pub broken: Mutex<Option<String>>,
}

impl MemoryKeychain {
    fn check(&self) -> Result<(), String> {
        self.broken
            .lock()
            .expect("not poisoned")
            .clone()
            .map_or(Ok(()), Err)
    }
}

impl Keychain for MemoryKeychain {
    fn read(&self, account: &str) -> Result<Option<String>, String> {
        self.check()?;
        Ok(self.secrets.lock().expect("not poisoned").get(account).cloned())
    }
    fn write(&self, account: &str, secret: &str) -> Result<(), String> {
        self.check()?;
        self.secrets
            .lock()
            .expect("not poisoned")
            .insert(account.to_owned(), secret.to_owned());
        Ok(())
    }
    fn delete(&self, account: &str) -> Result<(), String> {
        self.check()?;
        self.secrets.lock().expect("not poisoned").remove(account);
        Ok(())
    }
}

/// The machine's clock, which a test may send to sleep.
pub struct TestClock {
    begun: Instant,
    slept: Mutex<Duration>,
}

impl Default for TestClock {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            slept: Mutex::default(),
        }
    }
}

impl TestClock {
    /// Time passes in which nothing runs.
    pub fn sleep(&self, time: Duration) {
        *self.slept.lock().expect("not poisoned") += time;
    }
}

impl Clock for TestClock {
    fn wall(&self) -> DateTime<Utc> {
        Utc::now()
    }
    fn steady(&self) -> Duration {
        self.begun.elapsed() + *self.slept.lock().expect("not poisoned")
    }
}

/// Where a client runs.
pub fn machine(
    server: Url,
    data_dir: &Path,
    keychain: &Arc<MemoryKeychain>,
    clock: &Arc<TestClock>,
) -> (Config, Ports) {
    let config = Config {
        data_dir: data_dir.to_owned(),
        server,
        device: "test machine".to_owned(),
    };
    let ports = Ports {
        keychain: Arc::<MemoryKeychain>::clone(keychain),
        clock: Arc::<TestClock>::clone(clock),
    };
    (config, ports)
}

/// A client on threads of its own, so that it can die like a process does.
pub struct Window {
    pub client: Client,
    pub folder: Arc<tempfile::TempDir>,
    pub keychain: Arc<MemoryKeychain>,
    pub clock: Arc<TestClock>,
    pub events: Mutex<UnboundedReceiver<Event>>,
    pub seen: Mutex<Vec<Event>>,
    server: Url,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Window {
    pub fn start(server: Url, folder: Arc<tempfile::TempDir>, keychain: Arc<MemoryKeychain>) -> Self {
        let clock = Arc::<TestClock>::default();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let (config, ports) = machine(server.clone(), folder.path(), &keychain, &clock);
        let started = runtime.spawn(Client::start(config, ports));
        let (client, events) = futures::executor::block_on(started)
            .expect("no panic")
            .expect("a client");
        Self {
            client,
            folder,
            keychain,
            clock,
            events: Mutex::new(events),
            seen: Mutex::default(),
            server,
            runtime: Some(runtime),
        }
    }

    /// Dies in the middle of things.
    pub fn crash(mut self) -> Grave {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        Grave {
            server: self.server.clone(),
            folder: Arc::clone(&self.folder),
            keychain: Arc::clone(&self.keychain),
        }
    }

    /// Everything told so far.
    pub fn told(&self) -> Vec<Event> {
        let mut seen = self.seen.lock().expect("not poisoned");
        let mut events = self.events.lock().expect("not poisoned");
        while let Ok(event) = events.try_recv() {
            seen.push(event);
        }
        seen.clone()
    }

    /// Waits until something is told that `pick` takes.
    pub async fn told_of<T>(&self, what: &str, pick: impl Fn(&Event) -> Option<T>) -> T {
        until(what, async || self.told().iter().find_map(&pick)).await
    }

    pub async fn open(&self, image: &ImageId) -> OpenedImage {
        match self
            .client
            .open_image(&project(), image, false)
            .await
            .expect("an outcome")
        {
            OpenOutcome::Opened { image } => *image,
            OpenOutcome::Locked { holder } => panic!("{} has it", holder.user_name),
        }
    }

    pub async fn put(&self, id: &AnnotationId, fields: AnnotationFields) {
        let change = EditChange::Put {
            id: id.clone(),
            fields,
        };
        self.client
            .edit(Edit {
                changes: vec![change],
            })
            .await
            .expect("an edit");
    }

    pub async fn draw(&self, x: f64) -> AnnotationId {
        let id = AnnotationId::new();
        self.put(&id, at_x(x)).await;
        id
    }

    pub async fn access(&self) -> Option<Access> {
        self.told().into_iter().rev().find_map(|event| match event {
            Event::Session(view) => Some(view.access),
            _ => None,
        })
    }

    /// Waits until everything drawn here is on the server.
    pub async fn synced(&self) {
        until("everything is synced", async || {
            let save = self.client.save();
            (save.unsent == 0 && save.state == SaveState::Synced).then_some(())
        })
        .await;
    }

    pub async fn row_lock(&self, image: &ImageId) -> LockView {
        let rows = self.client.images(&project()).await.expect("rows");
        rows.into_iter()
            .find(|row| row.id == *image)
            .expect("the image")
            .lock
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// What a dead window leaves behind.
pub struct Grave {
    pub server: Url,
    pub folder: Arc<tempfile::TempDir>,
    pub keychain: Arc<MemoryKeychain>,
}

impl Grave {
    /// The app is started again.
    pub fn rise(self) -> Window {
        Window::start(self.server, self.folder, self.keychain)
    }
}

pub fn at_x(x: f64) -> AnnotationFields {
    AnnotationFields {
        label_id: None,
        geometry: Geometry::bbox(x, 0.0, 5.0, 5.0),
        attributes: serde_json::Map::new(),
    }
}

/// Waits until `look` sees something, and says what it waited for when it never does.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// For what nothing but time brings about: a lease or a token that runs out, the pace of a hand. Never to wait
/// for something that can be looked at; that is [`until`]'s.
pub async fn time_passes(span: Duration) {
    tokio::time::sleep(span).await;
}

/// Every file below a folder.
pub fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}
