//! The server, until it is told to stop.

use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use lockstep_server::{Front, Settings, Tls, serve_service};
use tokio::net::TcpListener;

use super::{Failure, Outcome, open_with};
use crate::cli::{Place, Serve};

/// A client must be able to miss a beat and keep its lock.
fn settings(serve: &Serve) -> Result<Settings, Failure> {
    let lease = serve.lock_ttl;
    let settings = Settings::with_lease(lease);
    let heartbeat = serve.heartbeat.unwrap_or(settings.heartbeat);
    // Clients are told in milliseconds.
    let least = Duration::from_millis(1);
    if lease < least || heartbeat < least {
        return Err(Failure::Usage(
            "--lock-ttl and --heartbeat must be longer than nothing".into(),
        ));
    }
    // Each would refuse every request.
    if serve.header_time < least || serve.request_time < least || serve.requests_at_once == 0 {
        return Err(Failure::Usage(
            "--header-time, --request-time and --requests-at-once must be more than nothing".into(),
        ));
    }
    if heartbeat >= lease {
        return Err(Failure::Usage(
            "--heartbeat must be shorter than --lock-ttl".into(),
        ));
    }
    Ok(Settings {
        heartbeat,
        trusted_proxies: serve.behind_proxy.clone(),
        header_time: serve.header_time,
        request_time: serve.request_time,
        requests_at_once: serve.requests_at_once,
        shutdown_grace: serve.shutdown_grace,
        ..settings
    })
}

pub(super) async fn serve(serve: &Serve, place: &Place) -> Outcome {
    let settings = settings(serve)?;
    // Before anything else: a signal that comes while the database is being opened must stop the server, too.
    let told_to_stop = told_to_stop()?;
    let tls = match (&serve.tls_cert, &serve.tls_key) {
        (Some(certificate), Some(key)) => Some(Tls::read(certificate, key).await?),
        (None, None) => None,
        _ => {
            return Err(Failure::Usage(
                "--tls-cert and --tls-key are used together".into(),
            ));
        }
    };
    let service = open_with(place, settings).await?;
    let listener = TcpListener::bind(serve.listen)
        .await
        .with_context(|| format!("cannot listen on {}", serve.listen))?;
    let metrics = match serve.metrics_listen {
        Some(addr) => {
            let listener = TcpListener::bind(addr).await;
            Some(listener.with_context(|| format!("cannot listen on {addr}"))?)
        }
        None => None,
    };
    let mut out = std::io::stdout();
    let scheme = if tls.is_some() { "https" } else { "http" };
    writeln!(out, "listening on {scheme}://{}", listener.local_addr()?)?;
    out.flush()?;
    Ok(serve_service(
        Front {
            listener,
            tls,
            metrics,
        },
        service,
        told_to_stop,
    )
    .await?)
}

/// SIGTERM, or Ctrl-C.
#[cfg(unix)]
fn told_to_stop() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Ctrl-C.
#[cfg(windows)]
fn told_to_stop() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        interrupt.recv().await;
    })
}
