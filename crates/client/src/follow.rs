//! Following a project: who takes and frees images, whether its feed has grown, and the images someone waits
//! for.
//!
//! **Invariant:** events are hints; after each gap the whole list of locks is read again.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use futures::StreamExt as _;
use lockstep_wire::changes::ReleaseReason;
use lockstep_wire::{Answer, Api, ApiError, ImageId, ProjectId, ServerEvent};
use tokio::sync::Notify;

use crate::board::holder_of;
use crate::cache::{images, outbox, watches};
use crate::desk::Desk;
use crate::session::state::Event;
use crate::view::{Event as Fact, Notice};
use crate::{Error, Place};

/// With events, the list of locks is only a check; well within the 30 seconds that a list may be old.
const CHECK_EVERY: Duration = Duration::from_secs(10);
/// Without events it is all there is, and a watched image's freedom is told within two seconds.
const POLL_EVERY: Duration = Duration::from_secs(2);
/// A server that refuses will not soon think better of it; a member may be let in again.
const REFUSED_PAUSE: Duration = Duration::from_secs(30);
/// A stream that broke is asked for again this soon at first.
const RETRY_FIRST: Duration = Duration::from_millis(200);
/// After a forced release the image is kept this long for the one who forced it.
const KEPT_AFTER_FORCE: Duration = Duration::from_secs(30);

/// The projects that are followed.
#[derive(Default)]
pub(crate) struct Follows(Mutex<HashMap<ProjectId, Arc<Followed>>>);

/// What is known of one project's feed without asking.
#[derive(Default)]
pub(crate) struct Followed {
    /// Events come in: silence means that nothing happened.
    live: AtomicBool,
    /// The feed may have grown since it was read.
    behind: AtomicBool,
    /// Someone wants the locks read now.
    poke: Notify,
}

impl Follows {
    fn map(&self) -> MutexGuard<'_, HashMap<ProjectId, Arc<Followed>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn projects(&self) -> Vec<ProjectId> {
        self.map().keys().cloned().collect()
    }

    /// Projects whose feed may have grown, each said once.
    pub(crate) fn take_behind(&self) -> Vec<ProjectId> {
        let is_behind = |followed: &Followed| {
            let behind = followed.behind.swap(false, Ordering::AcqRel);
            behind || !followed.live.load(Ordering::Acquire)
        };
        self.map()
            .iter()
            .filter(|(_, followed)| is_behind(followed))
            .map(|(project, _)| project.clone())
            .collect()
    }

    /// Events may be lost on the way; now and then the feed is read unasked.
    pub(crate) fn suspect_all(&self) {
        self.map()
            .values()
            .for_each(|followed| followed.behind.store(true, Ordering::Release));
    }

    /// The feed was not read to its end after all.
    pub(crate) fn still_behind(&self, project: &ProjectId) {
        if let Some(followed) = self.map().get(project) {
            followed.behind.store(true, Ordering::Release);
        }
    }

    /// Reads the project's locks now.
    pub(crate) fn poke(&self, project: &ProjectId) {
        if let Some(followed) = self.map().get(project) {
            followed.poke.notify_one();
        }
    }
}

/// Follows a project from now on.
pub(crate) fn follow<A: Api>(desk: &Arc<Desk<A>>, project: &ProjectId) {
    let followed = Arc::new(Followed::default());
    {
        let mut map = desk.follows.map();
        if map.contains_key(project) {
            return;
        }
        map.insert(project.clone(), Arc::clone(&followed));
    }
    let project = project.clone();
    desk.keep_running("following a project", move |desk| {
        let (project, followed) = (project.clone(), Arc::clone(&followed));
        async move { run_follow(&desk, &project, &followed).await }
    });
}

/// Follows what an earlier run left to wait for: watched images, and unsent work.
pub(crate) async fn resume<A: Api>(desk: &Arc<Desk<A>>) -> Result<(), Error> {
    let mut places = desk.cache.read(|tx| watches::all(tx)).await?;
    places.extend(desk.cache.read(|tx| outbox::places(tx)).await?);
    places.iter().for_each(|place| follow(desk, &place.project));
    Ok(())
}

/// What one follower remembers between events.
#[derive(Default)]
struct Memory {
    /// Images kept for someone after a forced release, until when by the steady clock.
    kept: HashMap<ImageId, Duration>,
}

async fn run_follow<A: Api>(desk: &Arc<Desk<A>>, project: &ProjectId, followed: &Followed) {
    let mut memory = Memory::default();
    let station = &desk.station;
    loop {
        let mut pauses = ExponentialBuilder::default()
            .with_min_delay(RETRY_FIRST)
            .with_max_delay(POLL_EVERY)
            .without_max_times()
            .build();
        loop {
            station.link.until_online().await;
            let mut pause = pauses.next().unwrap_or(POLL_EVERY);
            if !station.must_sign_in_again() {
                let heard = run_events(desk, project, followed, &mut memory).await;
                followed.live.store(false, Ordering::Release);
                desk.sync.wake();
                match heard {
                    // A stream that had begun is worth asking for again soon.
                    Ok(()) => {
                        station.link.doubt();
                        break;
                    }
                    Err(error) => tracing::debug!(%error, "no events"),
                }
                if let Err(ApiError::Refused(detail)) = refresh_locks(desk, project, &mut memory).await {
                    tracing::warn!(%detail, "the locks are not for this person to see");
                    pause = REFUSED_PAUSE;
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = followed.poke.notified() => {}
            }
        }
        tokio::time::sleep(RETRY_FIRST).await;
    }
}

/// Listens until the stream ends.
async fn run_events<A: Api>(
    desk: &Arc<Desk<A>>,
    project: &ProjectId,
    followed: &Followed,
    memory: &mut Memory,
) -> Answer<()> {
    let mut events = desk.station.ask(desk.station.api.events(project)).await?;
    followed.behind.store(true, Ordering::Release);
    followed.live.store(true, Ordering::Release);
    desk.sync.wake();
    let mut check = tokio::time::interval(CHECK_EVERY);
    check.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(event) => apply_event(desk, project, followed, memory, event).await,
                None => return Ok(()),
            },
            _ = check.tick() => { refresh_locks(desk, project, memory).await?; }
            () = followed.poke.notified() => { refresh_locks(desk, project, memory).await?; }
        }
    }
}

async fn apply_event<A: Api>(
    desk: &Arc<Desk<A>>,
    project: &ProjectId,
    followed: &Followed,
    memory: &mut Memory,
    event: ServerEvent,
) {
    match event {
        ServerEvent::LockAcquired { lock } => {
            let place = Place::new(project, &lock.image_id);
            memory.kept.remove(&place.image);
            let is_other = lock.client_id.as_ref() != Some(&desk.station.client_id);
            let holder = holder_of(&lock, desk.user.id);
            desk.board.set(project, lock);
            if is_other {
                desk.session.tell(Event::Seen {
                    place: place.clone(),
                    holder: Some(holder),
                });
            }
            desk.announce_image(&place).await;
        }
        ServerEvent::LockReleased {
            image_id,
            generation,
            reason,
            ..
        } => {
            let place = Place::new(project, &image_id);
            desk.board.clear(&place, generation);
            if reason == ReleaseReason::Forced {
                memory
                    .kept
                    .insert(image_id, desk.station.clock.steady() + KEPT_AFTER_FORCE);
            }
            // The news of an older grant's end may come after a newer grant was heard of.
            let is_free = matches!(reason, ReleaseReason::Released | ReleaseReason::Expired)
                && desk.board.lock(&place).is_none();
            if is_free || desk.lane.generation(&place) == Some(generation) {
                desk.session.tell(Event::Seen {
                    place: place.clone(),
                    holder: None,
                });
            }
            if is_free {
                tell_watcher(desk, &place).await;
                // What waited for this image can go.
                desk.sync.wake();
            }
            desk.announce_image(&place).await;
        }
        ServerEvent::Changes { .. } => {
            followed.behind.store(true, Ordering::Release);
            desk.sync.wake();
        }
    }
}

/// Reads who holds what, and tells what is different from what was known.
async fn refresh_locks<A: Api>(desk: &Arc<Desk<A>>, project: &ProjectId, memory: &mut Memory) -> Answer<()> {
    // Before the list is asked for: one that is on its way says nothing of an image watched since.
    let watched = desk
        .cache
        .read(|tx| watches::all(tx))
        .await
        .unwrap_or_else(|error| {
            tracing::error!(%error, "the watches could not be read");
            Vec::new()
        });
    let list = desk.station.ask(desk.station.api.locks(project)).await?;
    let now = desk.station.clock.steady();
    memory.kept.retain(|_, until| *until > now);
    let taken: HashSet<ImageId> = list.locks.iter().map(|lock| lock.image_id.clone()).collect();
    match desk.board.set_all(project, list.locks) {
        None => {
            desk.announce_list(project);
            desk.sync.wake();
        }
        Some(changed) => {
            for image in &changed {
                desk.announce_image(&Place::new(project, image)).await;
            }
            if changed.iter().any(|image| !taken.contains(image)) {
                desk.sync.wake();
            }
        }
    }
    if let Some((open, _)) = desk
        .session
        .open_place()
        .filter(|(open, _)| open.project == *project)
    {
        let lock = desk.board.lock(&open);
        let is_mine = lock
            .as_ref()
            .is_some_and(|lock| lock.client_id.as_ref() == Some(&desk.station.client_id));
        if !is_mine {
            let holder = lock.map(|lock| holder_of(&lock, desk.user.id));
            desk.session.tell(Event::Seen { place: open, holder });
        }
    }
    let is_free = |place: &&Place| {
        place.project == *project && !taken.contains(&place.image) && !memory.kept.contains_key(&place.image)
    };
    for place in watched.iter().filter(is_free) {
        tell_watcher(desk, place).await;
    }
    Ok(())
}

/// Tells that an image is free to whoever waits for it: once, for the watch is removed before it is told.
async fn tell_watcher<A: Api>(desk: &Arc<Desk<A>>, place: &Place) {
    let at = place.clone();
    let removed = desk
        .cache
        .write(move |tx| {
            let file_name = images::file_name(tx, &at)?;
            Ok(watches::remove(tx, &at)?.then_some(file_name))
        })
        .await;
    match removed {
        Ok(Some(file_name)) => {
            let Place { project, image } = place.clone();
            desk.station.tell(Fact::Notice(Notice::ImageFree {
                project_id: project,
                image_id: image,
                file_name,
            }));
            desk.announce_image(place).await;
        }
        Ok(None) => {}
        Err(error) => tracing::error!(%error, "a watch could not be removed"),
    }
}
