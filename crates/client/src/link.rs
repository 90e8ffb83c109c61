//! Whether the server answers: one place decides, everyone else doubts or listens.
//!
//! **Invariant:** only [`run_link`] says online or offline, and only after asking the server who it is.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use lockstep_wire::{Api, Meta};
use tokio::sync::{Notify, watch};

use crate::station::Station;

/// A server that just went away may be restarting; the first look comes soon.
const PROBE_FIRST: Duration = Duration::from_millis(250);
/// Doubled at most by jitter: a return is noticed within two seconds.
const PROBE_MOST: Duration = Duration::from_secs(1);

/// What is known of the server's reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Not asked yet.
    Unknown,
    /// It answered last.
    Online,
    /// It did not.
    Offline,
}

/// The state of the way to the server.
pub(crate) struct Link {
    reach: watch::Sender<Reach>,
    doubted: Notify,
    meta: Mutex<Option<Meta>>,
}

impl Link {
    pub(crate) fn new() -> Self {
        Self {
            reach: watch::Sender::new(Reach::Unknown),
            doubted: Notify::new(),
            meta: Mutex::new(None),
        }
    }

    pub(crate) fn is_online(&self) -> bool {
        *self.reach.borrow() == Reach::Online
    }

    pub(crate) fn is_offline(&self) -> bool {
        *self.reach.borrow() == Reach::Offline
    }

    pub(crate) fn listen(&self) -> watch::Receiver<Reach> {
        self.reach.subscribe()
    }

    /// Returns once the server answers.
    pub(crate) async fn until_online(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        drop(
            self.reach
                .subscribe()
                .wait_for(|reach| *reach == Reach::Online)
                .await,
        );
    }

    /// Something got no answer, or an unexpected one: look now.
    pub(crate) fn doubt(&self) {
        self.doubted.notify_one();
    }

    /// How often the server wants to hear of a lock.
    pub(crate) fn beat_every(&self) -> Option<Duration> {
        let meta = self.meta.lock().unwrap_or_else(PoisonError::into_inner);
        meta.as_ref().map(|meta| Duration::from_millis(meta.heartbeat_ms))
    }
}

/// Keeps the link's state true for as long as the client runs.
pub(crate) async fn run_link<A: Api>(station: Arc<Station<A>>) {
    let link = &station.link;
    loop {
        let mut pauses = ExponentialBuilder::default()
            .with_min_delay(PROBE_FIRST)
            .with_max_delay(PROBE_MOST)
            .with_jitter()
            .without_max_times()
            .build();
        loop {
            match station.api.meta().await {
                Ok(meta) => {
                    *link.meta.lock().unwrap_or_else(PoisonError::into_inner) = Some(meta);
                    break;
                }
                Err(error) => {
                    if link.reach.send_replace(Reach::Offline) != Reach::Offline {
                        tracing::info!(%error, "the server cannot be reached");
                    }
                }
            }
            let pause = pauses.next().unwrap_or(PROBE_MOST);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = link.doubted.notified() => {}
            }
        }
        link.reach
            .send_if_modified(|reach| std::mem::replace(reach, Reach::Online) != Reach::Online);
        link.doubted.notified().await;
    }
}
