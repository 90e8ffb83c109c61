//! The shared truth: one place where locks are granted and saves are stored.
//!
//! `routes` speaks HTTP, `service` decides, `store` and `blobs` remember. The listener and the word to stop come from
//! outside, so the program, the desktop app and every test run the same server.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::serve::ListenerExt as _;
use futures::FutureExt as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub mod blobs;
pub mod demo;
pub mod embedded;
mod routes;
pub mod service;
mod settings;
pub mod store;

pub use blobs::Blobs;
pub use service::Service;
pub use settings::Settings;
pub use store::Store;

/// The contract as an OpenAPI document, as this server keeps it.
pub fn openapi() -> &'static str {
    routes::openapi()
}

/// Serves until `shutdown` comes, then lets what is in flight finish.
pub async fn serve(
    listener: TcpListener,
    store: Arc<dyn Store>,
    blobs: Blobs,
    settings: Settings,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let service = Service::open(store, blobs, settings).await?;
    serve_service(listener, service, shutdown).await
}

/// As [`serve`], for whoever keeps a hand on the service.
pub async fn serve_service(
    listener: TcpListener,
    service: Arc<Service>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let stopping = CancellationToken::new();
    let _stop_with_us = stopping.clone().drop_guard();
    tokio::spawn(
        stopping
            .clone()
            .run_until_cancelled_owned(keep_house(Arc::clone(&service))),
    );
    tokio::spawn(
        stopping
            .clone()
            .run_until_cancelled_owned(forget(Arc::clone(&service))),
    );

    let grace = service.settings().shutdown_grace;
    let router = routes::router(service, stopping.clone());
    let asked_to_stop = stopping.clone();
    // Answers and events are small, and somebody waits for each.
    let listener = listener.tap_io(|connection| {
        let _ = connection.set_nodelay(true);
    });
    let serving = axum::serve(listener, router).with_graceful_shutdown(async move {
        shutdown.await;
        asked_to_stop.cancel();
    });
    tokio::select! {
        served = serving.into_future() => served.context("the server stopped"),
        () = overdue(stopping, grace) => {
            tracing::warn!("stopping with requests unfinished");
            Ok(())
        }
    }
}

async fn overdue(stopping: CancellationToken, grace: Duration) {
    stopping.cancelled().await;
    tokio::time::sleep(grace).await;
}

/// Once a second or so: lapsed locks become events, and so do other processes' changes.
async fn keep_house(service: Arc<Service>) {
    let every = service.settings().sweep_every;
    repeat(every, || async {
        // Both have logged what is worth it; the next round tries again.
        let _ = service.sweep().await;
        let _ = service.look_for_changes().await;
    })
    .await;
}

const TIDY_EVERY: Duration = Duration::from_secs(60);

async fn forget(service: Arc<Service>) {
    repeat(TIDY_EVERY, || async {
        // It has logged what is worth it; the next round tries again.
        let _ = service.tidy().await;
    })
    .await;
}

/// For ever; a round that panics, which the panic hook has logged, is not the last.
async fn repeat<F: Future<Output = ()>>(every: Duration, mut round: impl FnMut() -> F) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if AssertUnwindSafe(round()).catch_unwind().await.is_err() {
            tracing::error!("a round of housekeeping failed unexpectedly");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_round_of_housekeeping_that_panics_is_not_the_last() {
        let (done, mut rounds) = tokio::sync::mpsc::unbounded_channel();
        let mut number = 0;
        let house = repeat(Duration::from_millis(1), || {
            number += 1;
            let (number, done) = (number, done.clone());
            async move {
                assert!(number != 1, "the first fails");
                done.send(number).expect("someone counts");
            }
        });
        tokio::select! {
            () = house => {}
            second = rounds.recv() => assert_eq!(second, Some(2)),
        }
    }
}
