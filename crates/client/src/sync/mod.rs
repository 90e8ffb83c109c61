//! Bringing this machine and the server together: the outbox goes up, the change feed comes down.
//!
//! **Invariant:** a round takes no input; a save, a timer or a returned network only say "look again".

mod merge;
mod plan;
mod pull;
mod push;
mod run;
mod waiting;

pub(crate) use push::push_image;
pub(crate) use run::run_sync;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::Place;

/// What others see of the sync loop.
#[derive(Default)]
pub(crate) struct Sync {
    woken: Notify,
    sending: AtomicUsize,
    turns: Mutex<HashMap<Place, Arc<tokio::sync::Mutex<()>>>>,
}

impl Sync {
    /// Look again.
    pub(crate) fn wake(&self) {
        self.woken.notify_one();
    }

    /// Says so for as long as the answer lives.
    fn begin_sending(&self) -> Sending<'_> {
        self.sending.fetch_add(1, Ordering::AcqRel);
        Sending(&self.sending)
    }

    /// Something is on its way right now.
    pub(crate) fn is_sending(&self) -> bool {
        self.sending.load(Ordering::Acquire) > 0
    }

    /// One sender an image at a time: the order of its entries is the order of their writing.
    fn turn(&self, place: &Place) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry(place.clone()).or_default())
    }
}

/// Whoever waits for a sender may lose patience in the middle of it; the count is right all the same.
struct Sending<'a>(&'a AtomicUsize);

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
