//! The one open image: its lock, and what may be done with it.
//!
//! **Invariant:** the loop holds no rules. What happens goes to [`state::step`], what that says is done.

mod close;
mod heartbeat;
mod lane;
mod lease;
mod open;
pub(crate) mod state;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::DateTime;
use lockstep_wire::{Api, LockLoss, Role};
use tokio::sync::{mpsc, oneshot};

use crate::desk::Desk;
use crate::view::{Access, Event as Fact, Holder, Notice, SessionView};
use crate::{Error, Place};
pub(crate) use lane::{Borrowed, Lane, run_lane};
pub(crate) use lease::Renewal;
use state::{Attempt, Effect, Event, State, step};

/// A sleeping machine's timers do not run; looking at the clock this often makes the first moment awake
/// count.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How an opening went, before it is drawn.
#[derive(Debug, PartialEq)]
pub(crate) enum Opening {
    Open,
    Locked(Holder),
    Unreachable,
}

enum Ask {
    Tell(Box<Event>),
    Online,
    Open {
        place: Place,
        take_over: bool,
        reply: oneshot::Sender<Opening>,
    },
    TakeBack {
        reply: oneshot::Sender<Opening>,
    },
    Look {
        place: Place,
        holder: Option<Holder>,
        done: oneshot::Sender<()>,
    },
    Close {
        done: oneshot::Sender<()>,
    },
}

/// A handle on the loop.
#[derive(Clone)]
pub(crate) struct Session {
    asks: mpsc::UnboundedSender<Ask>,
    shown: Arc<Mutex<Shown>>,
}

/// What others may know of the session without waiting for it.
#[derive(Debug, Clone, Default)]
struct Shown {
    open: Option<(Place, Access)>,
    wants: Option<Place>,
    asking: Option<Attempt>,
}

/// The loop's end of a [`Session`].
pub(crate) struct SessionLoop {
    asks: mpsc::UnboundedReceiver<Ask>,
    shown: Arc<Mutex<Shown>>,
    attempts: Attempt,
}

impl Session {
    pub(crate) fn new() -> (Self, SessionLoop) {
        let (sender, asks) = mpsc::unbounded_channel();
        let shown = Arc::default();
        (
            Self {
                asks: sender,
                shown: Arc::clone(&shown),
            },
            SessionLoop {
                asks,
                shown,
                attempts: 0,
            },
        )
    }

    fn shown(&self) -> Shown {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The open image and what may be done with it.
    pub(crate) fn open_place(&self) -> Option<(Place, Access)> {
        self.shown().open
    }

    /// The lock of this image is held, asked for, or to be asked for.
    pub(crate) fn wants(&self, place: &Place) -> bool {
        self.shown().wants.as_ref() == Some(place)
    }

    /// This acquire's answer is still waited for.
    fn is_asking(&self, attempt: Attempt) -> bool {
        self.shown().asking == Some(attempt)
    }

    /// What happened goes to the loop; a loop that ended has nothing open.
    pub(crate) fn tell(&self, event: Event) {
        drop(self.asks.send(Ask::Tell(Box::new(event))));
    }

    /// The server answers again.
    pub(crate) fn tell_online(&self) {
        drop(self.asks.send(Ask::Online));
    }

    pub(crate) async fn open(&self, place: Place, take_over: bool) -> Result<Opening, Error> {
        let (reply, opening) = oneshot::channel();
        self.asks
            .send(Ask::Open {
                place,
                take_over,
                reply,
            })
            .map_err(|_| Error::Closing)?;
        opening.await.map_err(|_| Error::Superseded)
    }

    pub(crate) async fn take_back(&self) -> Result<Opening, Error> {
        let (reply, opening) = oneshot::channel();
        self.asks
            .send(Ask::TakeBack { reply })
            .map_err(|_| Error::Closing)?;
        opening.await.map_err(|_| Error::Superseded)
    }

    pub(crate) async fn look(&self, place: Place, holder: Option<Holder>) -> Result<(), Error> {
        let (done, looked) = oneshot::channel();
        self.asks
            .send(Ask::Look { place, holder, done })
            .map_err(|_| Error::Closing)?;
        looked.await.map_err(|_| Error::Closing)
    }

    /// Returns once the lock's return is on its way in the lane.
    pub(crate) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.asks.send(Ask::Close { done }).is_ok() {
            // An error means the loop ended, and with it the session.
            drop(closed.await);
        }
    }
}

/// Runs the session until the desk is closed. Begun again after a fault, what was open stays open.
pub(crate) async fn run_session<A: Api>(desk: Arc<Desk<A>>, session: &mut SessionLoop) {
    let clock = Arc::clone(&desk.station.clock);
    let mut state = match desk.session.open_place() {
        Some((place, access)) => State::resumed(place, access.edits(), clock.steady()),
        None => State::Closed,
    };
    let mut waiting: Option<(Attempt, oneshot::Sender<Opening>)> = None;
    let mut published = None;
    loop {
        let pause = state
            .wake_at()
            .map(|wake| wake.saturating_sub(clock.steady()).min(LOOK_EVERY));
        let ask = tokio::select! {
            ask = session.asks.recv() => match ask {
                Some(ask) => Some(ask),
                None => return,
            },
            () = sleep_or_forever(pause) => None,
        };
        session.attempts += 1;
        let attempt = session.attempts;
        let mut done = None;
        let event = match ask {
            None => Event::Tick { attempt },
            Some(Ask::Tell(event)) => *event,
            Some(Ask::Online) => Event::Online { attempt },
            Some(Ask::Open {
                place,
                take_over,
                reply,
            }) => {
                waiting = Some((attempt, reply));
                Event::Open {
                    place,
                    attempt,
                    take_over,
                }
            }
            Some(Ask::TakeBack { reply }) => {
                waiting = Some((attempt, reply));
                Event::TakeBack { attempt }
            }
            Some(Ask::Look {
                place,
                holder,
                done: looked,
            }) => {
                (waiting, done) = (None, Some(looked));
                Event::Look { place, holder }
            }
            Some(Ask::Close { done: closed }) => {
                (waiting, done) = (None, Some(closed));
                Event::Close
            }
        };
        let (next, effects) = step(state, with_own_attempt(event, attempt), clock.steady());
        state = next;
        *session.shown.lock().unwrap_or_else(PoisonError::into_inner) = Shown {
            open: state.place().map(|place| (place.clone(), access(&desk, &state))),
            wants: state.wants().cloned(),
            asking: state.asking(),
        };
        for effect in effects {
            run_effect(&desk, effect, &mut waiting);
        }
        publish(&desk, &state, &mut published).await;
        if let Some(done) = done {
            // Whoever asked may have stopped waiting.
            let _ = done.send(());
        }
    }
}

/// A task that tells of a lost lock does not count the loop's attempts.
fn with_own_attempt(event: Event, own: Attempt) -> Event {
    match event {
        Event::Gone {
            place,
            generation,
            reason,
            by,
            ..
        } => Event::Gone {
            place,
            generation,
            reason,
            by,
            attempt: own,
        },
        other => other,
    }
}

async fn sleep_or_forever(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => std::future::pending().await,
    }
}

fn run_effect<A: Api>(
    desk: &Arc<Desk<A>>,
    effect: Effect,
    waiting: &mut Option<(Attempt, oneshot::Sender<Opening>)>,
) {
    let mut answer = |attempt, opening| {
        if let Some((_, reply)) = waiting.take_if(|(waiting, _)| *waiting == attempt) {
            drop(reply.send(opening));
        }
    };
    match effect {
        Effect::Acquire {
            place,
            attempt,
            take_over,
        } => desk.lane.acquire(place, attempt, take_over),
        Effect::Release { place } => desk.lane.release(place),
        Effect::Beat {
            place,
            generation,
            patience,
        } => {
            let desk = Arc::clone(desk);
            desk.clone()
                .spawn(async move { heartbeat::run_beat(&desk, place, generation, patience).await });
        }
        Effect::Forget { place } => desk.lane.forget(&place),
        Effect::AnswerOpened { attempt } => answer(attempt, Opening::Open),
        Effect::AnswerLocked { attempt, holder } => answer(attempt, Opening::Locked(holder)),
        Effect::AnswerUnreachable { attempt } => answer(attempt, Opening::Unreachable),
        Effect::Displaced { place, reason, by } => {
            let desk = Arc::clone(desk);
            desk.clone()
                .spawn(async move { run_displaced(&desk, place, reason, by).await });
        }
        Effect::Send => desk.sync.wake(),
    }
}

/// A displaced window tells its person, and keeps what was drawn until he takes the image back.
async fn run_displaced<A: Api>(desk: &Desk<A>, place: Place, reason: LockLoss, by: Option<String>) {
    let stored = place.clone();
    let file_name = desk
        .cache
        .write(move |tx| {
            crate::cache::images::set_displaced(tx, &stored, true)?;
            crate::cache::held_locks::remove(tx, &stored)?;
            crate::cache::images::file_name(tx, &stored)
        })
        .await;
    match file_name {
        Ok(file_name) => {
            let Place { project, image } = place.clone();
            desk.station.tell(Fact::Notice(Notice::LockLost {
                project_id: project,
                image_id: image,
                file_name,
                reason,
                by,
            }));
        }
        Err(error) => tracing::error!(%error, "a lost lock could not be noted"),
    }
    desk.announce_image(&place).await;
}

fn access<A: Api>(desk: &Desk<A>, state: &State) -> Access {
    state.access(|deadline| desk.station.wall_at(deadline))
}

/// Shows the session where it changed, with a clock that does not tremble.
async fn publish<A: Api>(desk: &Desk<A>, state: &State, published: &mut Option<(Place, Access)>) {
    let steadily = |deadline| DateTime::UNIX_EPOCH + deadline;
    let now = state.place().map(|place| (place.clone(), state.access(steadily)));
    if now == *published {
        return;
    }
    let left = published.take().map(|(place, _)| place);
    if let Some((place, _)) = &now {
        let mut turn = desk.station.telling.lock().await;
        match read_session(desk, &mut turn, place).await {
            Ok(view) => desk.station.tell(Fact::Session(view)),
            Err(error) => tracing::error!(%error, "the open image could not be read"),
        }
        drop(turn);
        desk.announce_image(place).await;
    }
    if let Some(left) = left.filter(|left| now.as_ref().is_none_or(|(place, _)| place != left)) {
        desk.announce_image(&left).await;
    }
    *published = now;
}

/// The open image as the window shows it.
pub(crate) async fn read_session<A: Api>(
    desk: &Desk<A>,
    as_of: &mut u64,
    place: &Place,
) -> Result<SessionView, Error> {
    let at = place.clone();
    let (image, project) = desk
        .cache
        .read(move |tx| {
            Ok((
                crate::cache::images::get(tx, &at)?,
                crate::cache::projects::get(tx, &at.project)?,
            ))
        })
        .await?;
    let image = image.ok_or(Error::NotFound("image"))?;
    let role = project.map(|project| project.role);
    let Some((_, access)) = desk.session.open_place().filter(|(open, _)| open == place) else {
        return Err(Error::Superseded);
    };
    let access = match access {
        // Nothing is offered to who may only look.
        Access::ReadOnly { holder, free } => {
            let free = free && role.is_some_and(Role::annotates);
            Access::ReadOnly { holder, free }
        }
        other => other,
    };
    *as_of += 1;
    Ok(SessionView {
        as_of: *as_of,
        project_id: place.project.clone(),
        image_id: place.image.clone(),
        file_name: image.file_name,
        width: image.width,
        height: image.height,
        access,
        may_force: role.is_some_and(Role::manages),
    })
}
