//! What callers do to a server, one scenario after the other.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use anyhow::{Result, bail};
use hyper::Method;
use lockstep_wire::{
    AcquireAnswer, AcquireRequest, AnnotationId, ClientId, CreateAnnotation, Generation, Heartbeat,
    HeartbeatRequest, IdempotencyKey, Release, ReleaseRequest, SaveContext, Saved, UpdateAnnotation, Version,
    routes,
};

use crate::caller::{Ask, Caller};
use crate::load::Work;
use crate::served::{LARGE, PROJECT, SMALL, Served, fields, image};

/// A caller's window on an image.
pub(crate) struct Window {
    pub(crate) caller: Caller,
    image: String,
    client: ClientId,
}

impl Window {
    pub(crate) async fn open(served: &Served, number: usize, image: String) -> Result<Self> {
        Ok(Self {
            caller: served.connect(number).await?,
            image,
            client: ClientId(format!("window-{number}")),
        })
    }

    pub(crate) async fn acquire(&mut self, include: &[&str]) -> Result<AcquireAnswer> {
        let request = AcquireRequest {
            project_id: PROJECT.into(),
            image_id: self.image.as_str().into(),
            client_id: Some(self.client.clone()),
            device: Some("bench".into()),
            take_over: false,
            include: include.iter().map(|part| (*part).to_owned()).collect(),
        };
        let path = routes::path(routes::ACQUIRE, &[]);
        self.caller.ask(Ask::json(Method::POST, path, &request)?).await
    }

    /// For one nobody else is after.
    pub(crate) async fn acquire_free(&mut self, include: &[&str]) -> Result<Generation> {
        match self.acquire(include).await? {
            AcquireAnswer::Acquired(grant) | AcquireAnswer::Refreshed(grant) => Ok(grant.lock.generation),
            AcquireAnswer::AlreadyLocked { locked_by, .. } => bail!("held by {}", locked_by.user_name),
        }
    }

    pub(crate) async fn beat(&mut self, generation: Generation) -> Result<()> {
        let request = HeartbeatRequest {
            generation: Some(generation),
            client_id: Some(self.client.clone()),
        };
        let path = routes::path(routes::HEARTBEAT, &[PROJECT, &self.image]);
        let _: Heartbeat = self.caller.ask(Ask::json(Method::POST, path, &request)?).await?;
        Ok(())
    }

    pub(crate) async fn release(&mut self, generation: Generation) -> Result<()> {
        let request = ReleaseRequest {
            generation: Some(generation),
            client_id: Some(self.client.clone()),
        };
        let path = routes::path(routes::LOCK, &[PROJECT, &self.image]);
        match self
            .caller
            .ask(Ask::json(Method::DELETE, path, &request)?)
            .await?
        {
            Release::Released => Ok(()),
            Release::NotHeld => bail!("the lock was not held"),
        }
    }

    pub(crate) async fn draw(&mut self) -> Result<Drawn> {
        let request = CreateAnnotation {
            id: Some(AnnotationId::new()),
            project_id: PROJECT.into(),
            image_id: self.image.as_str().into(),
            fields: fields(0.0),
        };
        let path = routes::path(routes::ANNOTATIONS, &[]);
        let saved: Saved = self.caller.ask(Ask::json(Method::POST, path, &request)?).await?;
        let id = saved.annotation.id;
        Ok(Drawn {
            path: routes::path(routes::ANNOTATION, &[id.as_str()]),
            version: saved.annotation.version,
        })
    }

    /// As the client saves: upon a version, under a lock, exactly once.
    pub(crate) async fn save(&mut self, drawn: &mut Drawn, generation: Generation) -> Result<()> {
        let update = UpdateAnnotation::whole(drawn.version, fields(drawn.version.0 as f64));
        let ask = Ask {
            context: SaveContext {
                key: Some(IdempotencyKey::new()),
                generation: Some(generation),
                client_id: Some(self.client.clone()),
            },
            ..Ask::json(Method::PUT, drawn.path.clone(), &update)?
        };
        // The answer is not read: the load shares the server's cores.
        self.caller.bytes(ask).await?;
        drawn.version = drawn.version.next();
        Ok(())
    }
}

/// An annotation that is being changed.
pub(crate) struct Drawn {
    path: String,
    version: Version,
}

/// Acquire, beat, release.
pub(crate) struct LockCycle(Window);

impl Work for LockCycle {
    type World = Served;

    async fn begin(served: &Served, number: usize) -> Result<Self> {
        Ok(Self(Window::open(served, number, image(number)).await?))
    }

    async fn round(&mut self) -> Result<()> {
        let generation = self.0.acquire_free(&[]).await?;
        self.0.beat(generation).await?;
        self.0.release(generation).await
    }

    fn caller(&mut self) -> &mut Caller {
        &mut self.0.caller
    }
}

/// A save upon a version, under a lock and an idempotency key.
pub(crate) struct VersionedSave {
    window: Window,
    drawn: Drawn,
    generation: Generation,
}

impl Work for VersionedSave {
    type World = Served;

    async fn begin(served: &Served, number: usize) -> Result<Self> {
        let mut window = Window::open(served, number, image(number)).await?;
        let generation = window.acquire_free(&[]).await?;
        let drawn = window.draw().await?;
        Ok(Self {
            window,
            drawn,
            generation,
        })
    }

    async fn round(&mut self) -> Result<()> {
        self.window.save(&mut self.drawn, self.generation).await
    }

    fn caller(&mut self) -> &mut Caller {
        &mut self.window.caller
    }
}

/// Images that all callers are after.
const CONTENDED: usize = 4;

/// Who believes to hold what, and what came of it.
pub(crate) struct Contest {
    pub(crate) served: Served,
    holders: [AtomicUsize; CONTENDED],
    pub(crate) grants: AtomicU64,
    pub(crate) held_twice: AtomicU64,
}

impl Contest {
    pub(crate) fn over(served: Served) -> Arc<Self> {
        Arc::new(Self {
            served,
            holders: Default::default(),
            grants: AtomicU64::new(0),
            held_twice: AtomicU64::new(0),
        })
    }
}

/// Acquire what others want as well, and let it go.
pub(crate) struct Contended {
    window: Window,
    contest: Arc<Contest>,
    number: usize,
}

impl Work for Contended {
    type World = Arc<Contest>;

    async fn begin(contest: &Arc<Contest>, number: usize) -> Result<Self> {
        Ok(Self {
            // Behind the images that other scenarios may have left locked.
            window: Window::open(&contest.served, number, image(900 + number % CONTENDED)).await?,
            contest: Arc::clone(contest),
            number,
        })
    }

    async fn round(&mut self) -> Result<()> {
        let AcquireAnswer::Acquired(grant) = self.window.acquire(&[]).await? else {
            return Ok(());
        };
        let holder = &self.contest.holders[self.number % CONTENDED];
        self.contest.grants.fetch_add(1, Ordering::Relaxed);
        if holder.swap(self.number + 1, Ordering::SeqCst) != 0 {
            self.contest.held_twice.fetch_add(1, Ordering::Relaxed);
        }
        holder.store(0, Ordering::SeqCst);
        self.window.release(grant.lock.generation).await
    }

    fn caller(&mut self) -> &mut Caller {
        &mut self.window.caller
    }
}

/// An image's annotations, read whole.
pub(crate) struct Read<const LARGE_ONE: bool>(Caller);

pub(crate) type ReadSmall = Read<false>;
pub(crate) type ReadLarge = Read<true>;

pub(crate) fn annotations_path(image: &str) -> String {
    routes::path(routes::IMAGE_ANNOTATIONS, &[PROJECT, image])
}

impl<const LARGE_ONE: bool> Work for Read<LARGE_ONE> {
    type World = Served;

    async fn begin(served: &Served, number: usize) -> Result<Self> {
        Ok(Self(served.connect(number).await?))
    }

    async fn round(&mut self) -> Result<()> {
        let image = if LARGE_ONE { LARGE } else { SMALL };
        self.0.bytes(Ask::get(annotations_path(image))).await?;
        Ok(())
    }

    fn caller(&mut self) -> &mut Caller {
        &mut self.0
    }
}

/// Where the floor is, and what it is asked for.
pub(crate) struct Floor {
    pub(crate) at: SocketAddr,
    pub(crate) path: &'static str,
}

/// The same number of callers on the floor.
pub(crate) struct OnFloor(Caller, &'static str);

impl Work for OnFloor {
    type World = Floor;

    async fn begin(floor: &Floor, _: usize) -> Result<Self> {
        // A token as long as a real one.
        Ok(Self(
            Caller::connect(floor.at, &"x".repeat(200)).await?,
            floor.path,
        ))
    }

    async fn round(&mut self) -> Result<()> {
        self.0.bytes(Ask::get(self.1)).await?;
        Ok(())
    }

    fn caller(&mut self) -> &mut Caller {
        &mut self.0
    }
}
