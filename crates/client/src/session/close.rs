//! Giving locks back: now, or when the server can be reached again.

use lockstep_wire::{Api, ApiError, ReleaseRequest};

use crate::cache::held_locks::{self, HeldLock};
use crate::desk::Desk;
use crate::{Error, Place};

/// What a lock was held for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    Window,
    Sending,
}

/// Gives a lock back unless it is still held for something else.
pub(super) async fn run_release<A: Api>(desk: &Desk<A>, place: &Place, held_for: For) {
    {
        let mut holds = desk.lane.holds();
        if let Some(hold) = holds.get_mut(place) {
            match held_for {
                For::Window => hold.window = false,
                For::Sending => hold.sending = false,
            }
            if hold.window || hold.sending {
                return;
            }
            holds.remove(place);
        }
    }
    match noted(desk).await {
        Ok(locks) => {
            if let Some(lock) = locks.into_iter().find(|lock| lock.place == *place) {
                give_back(desk, lock).await;
            }
        }
        Err(error) => tracing::error!(%error, "the held locks could not be read"),
    }
    desk.announce_image(place).await;
}

/// Gives back whatever is noted and neither held nor wanted now.
pub(super) async fn run_leftovers<A: Api>(desk: &Desk<A>) {
    match noted(desk).await {
        Ok(locks) => {
            for lock in locks {
                if desk.lane.generation(&lock.place).is_none() && !desk.session.wants(&lock.place) {
                    give_back(desk, lock).await;
                }
            }
        }
        Err(error) => tracing::error!(%error, "the held locks could not be read"),
    }
}

async fn noted<A: Api>(desk: &Desk<A>) -> Result<Vec<HeldLock>, Error> {
    desk.cache.read(|tx| held_locks::all(tx)).await
}

/// Naming the generation, it never touches a later lock; where the answer to the acquire was lost, the
/// window's own id is all there is to name.
async fn give_back<A: Api>(desk: &Desk<A>, lock: HeldLock) {
    if desk.station.link.is_offline() {
        return;
    }
    let HeldLock {
        place,
        generation,
        client_id,
    } = lock;
    let request = ReleaseRequest {
        generation,
        client_id: Some(client_id),
    };
    let answer = desk
        .station
        .ask(desk.station.api.release(&place.project, &place.image, request))
        .await;
    if matches!(answer, Err(ApiError::Network(_) | ApiError::Later { .. })) {
        return;
    }
    if let Some(generation) = generation {
        desk.board.clear(&place, generation);
    }
    let at = place.clone();
    if let Err(error) = desk.cache.write(move |tx| held_locks::remove(tx, &at)).await {
        tracing::error!(%error, "a lock that was given back is still noted as held");
    }
}
