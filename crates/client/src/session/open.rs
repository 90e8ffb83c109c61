//! Asking for a lock, for the window or for sending.

use lockstep_wire::{AcquireAnswer, AcquireRequest, Answer, Api, ApiError, Grant, Refusal};
use std::time::Duration;

use super::lane::{Borrowed, Hold};
use super::lease::Renewal;
use super::state::{Attempt, Event};
use crate::board::holder_of;
use crate::cache::held_locks::HeldLock;
use crate::cache::{held_locks, images, watches};
use crate::desk::Desk;
use crate::{Error, Place};

/// Asks for the window, stores what comes with the grant, then tells the session.
pub(super) async fn run_acquire<A: Api>(desk: &Desk<A>, place: Place, attempt: Attempt, take_over: bool) {
    let sent_at = desk.station.clock.steady();
    let event = match ask(desk, &place, take_over, true).await {
        Ok(AcquireAnswer::Acquired(grant) | AcquireAnswer::Refreshed(grant)) => {
            let renewal = Renewal {
                generation: grant.lock.generation,
                sent_at,
                ttl: Duration::from_millis(grant.ttl_ms),
                beat_every: desk.station.link.beat_every(),
            };
            take_grant(desk, &place, grant, |hold| hold.window = true).await;
            Event::Granted {
                attempt,
                place: place.clone(),
                renewal,
            }
        }
        Ok(AcquireAnswer::AlreadyLocked { locked_by, .. }) => {
            let holder = holder_of(&locked_by, desk.user.id);
            desk.board.set(&place.project, locked_by);
            desk.announce_image(&place).await;
            Event::Held { attempt, holder }
        }
        Err(ApiError::Refused(detail)) if detail.refusal != Refusal::Unauthorized => {
            Event::Denied { attempt }
        }
        Err(_) => Event::Unreachable { attempt },
    };
    desk.session.tell(event);
}

/// Asks for sending.
pub(super) async fn run_borrow<A: Api>(desk: &Desk<A>, place: &Place) -> Answer<Borrowed> {
    match ask(desk, place, false, false).await? {
        AcquireAnswer::Acquired(grant) | AcquireAnswer::Refreshed(grant) => {
            let generation = grant.lock.generation;
            take_grant(desk, place, grant, |hold| hold.sending = true).await;
            Ok(Borrowed::Granted(desk.lane.loan(place, generation)))
        }
        AcquireAnswer::AlreadyLocked { locked_by, .. } => {
            desk.board.set(&place.project, locked_by);
            Ok(Borrowed::Locked)
        }
    }
}

/// One acquire, noted on the disk before it is sent and until its outcome is known.
async fn ask<A: Api>(desk: &Desk<A>, place: &Place, take_over: bool, include: bool) -> Answer<AcquireAnswer> {
    if desk.station.link.is_offline() {
        return Err(ApiError::Network("offline".to_owned()));
    }
    note(desk, place, None).await;
    let request = AcquireRequest {
        project_id: place.project.clone(),
        image_id: place.image.clone(),
        client_id: Some(desk.station.client_id.clone()),
        device: Some(desk.station.device.clone()),
        take_over,
        include: if include {
            vec!["annotations".to_owned()]
        } else {
            Vec::new()
        },
    };
    let answer = desk.station.ask(desk.station.api.acquire(request)).await;
    match &answer {
        Ok(AcquireAnswer::Acquired(grant) | AcquireAnswer::Refreshed(grant)) => {
            note(desk, place, Some(grant.lock.generation)).await;
        }
        Ok(AcquireAnswer::AlreadyLocked { .. }) | Err(ApiError::Refused(_)) => {
            let at = place.clone();
            log(desk.cache.write(move |tx| held_locks::remove(tx, &at)).await);
        }
        Err(ApiError::Network(_) | ApiError::Later { .. }) => {}
    }
    answer
}

async fn note<A: Api>(desk: &Desk<A>, place: &Place, generation: Option<lockstep_wire::Generation>) {
    let lock = HeldLock {
        place: place.clone(),
        generation,
        client_id: desk.station.client_id.clone(),
    };
    log(desk.cache.write(move |tx| held_locks::put(tx, &lock)).await);
}

async fn take_grant<A: Api>(desk: &Desk<A>, place: &Place, grant: Grant, mark: impl FnOnce(&mut Hold)) {
    let generation = grant.lock.generation;
    let for_window = {
        let mut holds = desk.lane.holds();
        let hold = holds.entry(place.clone()).or_insert(Hold {
            generation,
            window: false,
            sending: false,
        });
        hold.generation = generation;
        mark(hold);
        hold.window
    };
    desk.board.set(&place.project, grant.lock);
    if let Some(annotations) = grant.annotations {
        log(desk
            .take_annotations(place, annotations, grant.image_revision)
            .await);
    }
    if for_window {
        let at = place.clone();
        let opened = desk
            .cache
            .write(move |tx| {
                images::set_displaced(tx, &at, false)?;
                // Whoever has the image need not be told that it is free.
                watches::remove(tx, &at)
            })
            .await;
        log(opened.map(drop));
    }
    desk.announce_image(place).await;
}

/// The lock is held all the same; what could not be noted is only the way back after a crash.
fn log(stored: Result<(), Error>) {
    if let Err(error) = stored {
        tracing::error!(%error, "a lock could not be noted");
    }
}
