//! Connections: how they begin, how long they may take to say what they want, and how all of them end.
//!
//! **Invariant:** nothing a client does or leaves undone keeps the server from stopping within its grace.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::RustlsAcceptor;
use axum_server::{Handle, Server};
use futures::FutureExt as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::routes::{self, MetricsFor};
use crate::service::Service;
use crate::tls::Tls;

/// Where clients come in.
pub struct Front {
    /// Open already: it comes from outside, so that whoever starts a server knows its port.
    pub listener: TcpListener,
    /// Without it, plain HTTP.
    pub tls: Option<Tls>,
    /// Where the operator's machines ask for the numbers, in plain HTTP. Without it, callers from this machine get them
    /// on the clients' listener.
    pub metrics: Option<TcpListener>,
}

impl From<TcpListener> for Front {
    fn from(listener: TcpListener) -> Self {
        Self {
            listener,
            tls: None,
            metrics: None,
        }
    }
}

/// Serves until `shutdown` comes, then lets what is in flight finish.
pub async fn serve_service(
    front: impl Into<Front>,
    service: Arc<Service>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let Front {
        listener,
        tls,
        metrics,
    } = front.into();
    let tls = tls.map(Arc::new);
    let stopping = CancellationToken::new();
    let _stop_with_us = stopping.clone().drop_guard();
    tokio::spawn(
        stopping
            .clone()
            .run_until_cancelled_owned(keep_house(Arc::clone(&service), tls.clone())),
    );
    tokio::spawn(
        stopping
            .clone()
            .run_until_cancelled_owned(forget(Arc::clone(&service))),
    );
    let listening = Arc::clone(&service);
    let listening = async move { listening.listen_for_news().await };
    tokio::spawn(stopping.clone().run_until_cancelled_owned(listening));

    let settings = service.settings().clone();
    let handle = Handle::<SocketAddr>::new();
    let mut server = Server::from_listener(listener)
        .handle(handle.clone())
        .first_request_timeout(settings.header_time)
        .accept_error_handler(|_, fault| tracing::debug!("a connection failed: {fault}"));
    server
        .http_builder()
        .http1()
        .header_read_timeout(settings.header_time);
    // A client that has gone without a word is noticed, and its event streams end.
    server
        .http_builder()
        .http2()
        .keep_alive_interval(settings.keep_alive_every);
    let metrics_for = match metrics {
        Some(_) => MetricsFor::Nobody,
        None => MetricsFor::ThisMachine,
    };
    let for_operator = async {
        match metrics {
            Some(listener) => {
                let router = routes::operators_router(Arc::clone(&service), stopping.clone());
                let served = Server::<SocketAddr>::from_listener(listener)
                    .first_request_timeout(settings.header_time)
                    .serve(router.into_make_service());
                served.await.context("the metrics' listener stopped")
            }
            None => std::future::pending().await,
        }
    };
    let router = routes::router(Arc::clone(&service), stopping.clone(), metrics_for);
    let router = router.into_make_service_with_connect_info::<SocketAddr>();
    // Answers and events are small, and somebody waits for each: no delay.
    let serving = async {
        match tls {
            Some(tls) => {
                let acceptor = RustlsAcceptor::new(tls.config())
                    .handshake_timeout(settings.header_time)
                    .acceptor(NoDelayAcceptor);
                server.acceptor(acceptor).serve(router).await
            }
            None => server.acceptor(NoDelayAcceptor).serve(router).await,
        }
    };
    let told_to_stop = async {
        shutdown.await;
        stopping.cancel();
        handle.graceful_shutdown(Some(settings.shutdown_grace));
        std::future::pending::<Infallible>().await
    };
    tokio::select! {
        served = serving => served.context("the server stopped")?,
        served = for_operator => served?,
        never = told_to_stop => match never {},
    }
    if handle.connection_count() > 0 {
        tracing::warn!("stopping with requests unfinished");
    }
    Ok(())
}

/// Once a second or so: lapsed locks become events, and so does what other processes did.
async fn keep_house(service: Arc<Service>, tls: Option<Arc<Tls>>) {
    let every = service.settings().sweep_every;
    repeat(every, || async {
        // Each has logged what is worth it; the next round tries again.
        let _ = service.sweep().await;
        let _ = service.look_at_epoch().await;
        let _ = service.look_for_news().await;
        let _ = service.look_for_ended().await;
        if let Some(tls) = &tls {
            tls.refresh().await;
        }
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
