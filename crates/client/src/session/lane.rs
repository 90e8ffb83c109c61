//! Everything this window asks of the server about locks, one after the other.
//!
//! **Invariant:** no two lock calls of this window but beats are under way at once, so that a grant is known
//! before it is given back and one image is given back before the next is asked for (E10, E11).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lockstep_wire::{Answer, Api, Generation};
use tokio::sync::{mpsc, oneshot};

use super::state::{Attempt, Event};
use super::{close, open};
use crate::Place;
use crate::desk::Desk;
use crate::watchdog::has_panicked;

/// What is asked for on the lane.
enum Job {
    Acquire {
        place: Place,
        attempt: Attempt,
        take_over: bool,
    },
    Release {
        place: Place,
    },
    Borrow {
        place: Place,
        reply: oneshot::Sender<Answer<Borrowed>>,
    },
    Return {
        place: Place,
    },
    GiveBackLeftovers,
    Fence {
        done: oneshot::Sender<()>,
    },
}

/// Whether unsent work of an image that is not open may go.
pub(crate) enum Borrowed {
    /// Under this grant.
    Granted(Loan),
    /// Another has the image.
    Locked,
}

/// A lock for as long as sending takes; given back when it is dropped, whatever ended the sending.
pub(crate) struct Loan {
    pub generation: Generation,
    place: Place,
    lane: Lane,
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.lane.push(Job::Return {
            place: self.place.clone(),
        });
    }
}

/// A lock this machine believes it holds, and what for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hold {
    pub generation: Generation,
    pub window: bool,
    pub sending: bool,
}

/// A handle on the lane.
#[derive(Clone)]
pub(crate) struct Lane {
    jobs: mpsc::UnboundedSender<Job>,
    holds: Arc<Mutex<HashMap<Place, Hold>>>,
}

/// The worker's end of a [`Lane`].
pub(crate) struct LaneJobs(mpsc::UnboundedReceiver<Job>);

impl Lane {
    pub(crate) fn new() -> (Self, LaneJobs) {
        let (jobs, inbox) = mpsc::unbounded_channel();
        (
            Self {
                jobs,
                holds: Arc::default(),
            },
            LaneJobs(inbox),
        )
    }

    pub(super) fn holds(&self) -> MutexGuard<'_, HashMap<Place, Hold>> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A lane that ended has nothing left to do.
    fn push(&self, job: Job) {
        drop(self.jobs.send(job));
    }

    pub(super) fn acquire(&self, place: Place, attempt: Attempt, take_over: bool) {
        self.push(Job::Acquire {
            place,
            attempt,
            take_over,
        });
    }

    pub(super) fn release(&self, place: Place) {
        self.push(Job::Release { place });
    }

    /// The lock is gone, or may be: no save names it any more.
    pub(super) fn forget(&self, place: &Place) {
        self.holds().remove(place);
    }

    /// The grant under which this image's work may be sent now.
    pub(crate) fn generation(&self, place: &Place) -> Option<Generation> {
        self.holds().get(place).map(|hold| hold.generation)
    }

    /// The window holds it.
    pub(crate) fn is_windows(&self, place: &Place) -> bool {
        self.holds().get(place).is_some_and(|hold| hold.window)
    }

    /// A save was granted the lock anew. False when nothing here holds the image any more.
    pub(crate) fn regranted(&self, place: &Place, generation: Generation) -> bool {
        let mut holds = self.holds();
        let Some(hold) = holds.get_mut(place) else {
            return false;
        };
        hold.generation = hold.generation.max(generation);
        true
    }

    /// Asks for the lock to send an image's unsent work.
    pub(crate) async fn borrow(&self, place: &Place) -> Answer<Borrowed> {
        let (reply, borrowed) = oneshot::channel();
        self.push(Job::Borrow {
            place: place.clone(),
            reply,
        });
        borrowed
            .await
            .unwrap_or_else(|_| Err(lockstep_wire::ApiError::Network("closing".to_owned())))
    }

    pub(super) fn loan(&self, place: &Place, generation: Generation) -> Loan {
        Loan {
            generation,
            place: place.clone(),
            lane: self.clone(),
        }
    }

    /// Gives back what an earlier run, or a moment without network, left behind.
    pub(crate) fn give_back_leftovers(&self) {
        self.push(Job::GiveBackLeftovers);
    }

    /// Returns when everything asked for before is done.
    pub(crate) async fn fence(&self) {
        let (done, passed) = oneshot::channel();
        self.push(Job::Fence { done });
        // An error means the lane ended.
        drop(passed.await);
    }
}

/// Works the lane until the desk is closed.
pub(crate) async fn run_lane<A: Api>(desk: Arc<Desk<A>>, LaneJobs(mut jobs): LaneJobs) {
    while let Some(job) = jobs.recv().await {
        let attempt = match &job {
            Job::Acquire { attempt, .. } => Some(*attempt),
            _ => None,
        };
        if has_panicked(run_job(&desk, job)).await {
            tracing::error!("a lock call failed unexpectedly");
            if let Some(attempt) = attempt {
                desk.session.tell(Event::Unreachable { attempt });
            }
        }
    }
}

async fn run_job<A: Api>(desk: &Arc<Desk<A>>, job: Job) {
    match job {
        // Someone changed his mind while it queued: never asked, nothing to give back.
        Job::Acquire { attempt, .. } if !desk.session.is_asking(attempt) => {}
        Job::Acquire {
            place,
            attempt,
            take_over,
        } => open::run_acquire(desk, place, attempt, take_over).await,
        Job::Release { place } => {
            if !desk.session.wants(&place) {
                close::run_release(desk, &place, close::For::Window).await;
            }
        }
        Job::Borrow { place, reply } => drop(reply.send(open::run_borrow(desk, &place).await)),
        Job::Return { place } => close::run_release(desk, &place, close::For::Sending).await,
        Job::GiveBackLeftovers => close::run_leftovers(desk).await,
        Job::Fence { done } => drop(done.send(())),
    }
}
