//! Giving locks back: now, or when the server can be reached again.

use std::sync::Arc;
use std::time::Duration;

use lockstep_wire::{Api, ApiError, Refusal, ReleaseRequest};

use crate::cache::held_locks::{self, HeldLock};
use crate::desk::Desk;
use crate::{Error, Place};

/// A release that got no answer is asked again this soon: others wait for the image.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// What a lock was held for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    Window,
    Sending,
}

/// Gives a lock back unless it is still held for something else.
pub(super) async fn run_release<A: Api>(desk: &Arc<Desk<A>>, place: &Place, held_for: For) {
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
                let left = give_back(desk, lock).await;
                try_again(desk, left);
            }
        }
        Err(error) => tracing::error!(%error, "the held locks could not be read"),
    }
    desk.announce_image(place).await;
}

/// Gives back whatever is noted and neither held nor wanted now.
pub(super) async fn run_leftovers<A: Api>(desk: &Arc<Desk<A>>) {
    match noted(desk).await {
        Ok(locks) => {
            let mut left = None;
            for lock in locks {
                if desk.lane.generation(&lock.place).is_none() && !desk.session.wants(&lock.place) {
                    left = give_back(desk, lock).await.max(left);
                }
            }
            try_again(desk, left);
        }
        Err(error) => tracing::error!(%error, "the held locks could not be read"),
    }
}

async fn noted<A: Api>(desk: &Desk<A>) -> Result<Vec<HeldLock>, Error> {
    desk.cache.read(|tx| held_locks::all(tx)).await
}

/// A server that did not answer a release is online for all anyone knows, and the image is kept from others.
fn try_again<A: Api>(desk: &Arc<Desk<A>>, left: Option<Duration>) {
    if let Some(pause) = left {
        let later = Arc::clone(desk);
        desk.spawn(async move {
            tokio::time::sleep(pause).await;
            later.lane.give_back_leftovers();
        });
    }
}

/// Naming the generation, it never touches a later lock; where the answer to the acquire was lost, the
/// window's own id is all there is to name. With no answer, how soon to ask again.
async fn give_back<A: Api>(desk: &Desk<A>, lock: HeldLock) -> Option<Duration> {
    // The server's return, or the next sign-in, is reason enough to ask again.
    if desk.station.link.is_offline() || desk.station.must_sign_in_again() {
        return None;
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
    match answer {
        Err(ApiError::Network(_)) => return Some(ASK_AGAIN),
        Err(ApiError::Later { retry_after }) => return Some(retry_after),
        Err(ApiError::Refused(detail)) if detail.refusal == Refusal::Unauthorized => return None,
        Ok(_) | Err(ApiError::Refused(_)) => {}
    }
    if let Some(generation) = generation {
        desk.board.clear(&place, generation);
    }
    let at = place.clone();
    if let Err(error) = desk.cache.write(move |tx| held_locks::remove(tx, &at)).await {
        tracing::error!(%error, "a lock that was given back is still noted as held");
    }
    None
}
