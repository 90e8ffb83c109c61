//! What an operator and his machines ask: whether the server runs, whether it can serve, and its numbers.
//!
//! **Invariant:** strangers learn no numbers. Without a listener of their own they are for this machine alone.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{CONTENT_TYPE, FORWARDED};
use axum::response::{IntoResponse as _, Response};
use lockstep_wire::Refusal;

use super::answer::Answered;
use super::{MetricsFor, Server, no_such_address};

pub(super) async fn alive() {}

pub(super) async fn ready(State(server): State<Server>) -> Answered<()> {
    if server.stopping.is_cancelled() {
        return Err(Refusal::Unavailable.because("The server is stopping.").into());
    }
    Ok(server.service.ready().await?)
}

/// What `encode` of prometheus-client writes.
pub(super) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) async fn metrics(State(server): State<Server>, request: Request) -> Answered<Response> {
    let may = match server.metrics_for {
        MetricsFor::ThisMachine => is_from_here(&request),
        MetricsFor::Everyone => true,
        MetricsFor::Nobody => false,
    };
    if !may {
        return Ok(no_such_address());
    }
    let text = server.service.written_metrics().await?;
    Ok(([(CONTENT_TYPE, OPEN_METRICS)], text).into_response())
}

/// From this machine, and not passed on for another.
fn is_from_here(request: &Request) -> bool {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let passed_on = [FORWARDED.as_str(), "x-forwarded-for", "x-real-ip", "via"];
    peer.is_some_and(|ConnectInfo(peer)| peer.ip().to_canonical().is_loopback())
        && !passed_on.iter().any(|name| request.headers().contains_key(*name))
}
