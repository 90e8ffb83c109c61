//! The change feed, and events as they happen.

use std::convert::Infallible;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse as _;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::StreamExt as _;
use lockstep_wire::{Cursor, ProjectId, ServerEvent};
use serde::Deserialize;

use super::answer::Answered;
use super::extract::{Asked, At, Caller};
use super::{Server, ok};

#[derive(Deserialize)]
pub(super) struct Since {
    since: Option<i64>,
    limit: Option<u32>,
}

pub(super) async fn changes(
    State(server): State<Server>,
    Caller(user): Caller,
    At(project): At<ProjectId>,
    Asked(Since { since, limit }): Asked<Since>,
) -> Answered {
    Ok(ok(server
        .service
        .changes(user, &project, Cursor(since.unwrap_or(0)), limit)
        .await?))
}

pub(super) async fn events(
    State(server): State<Server>,
    Caller(user): Caller,
    At(project): At<ProjectId>,
    headers: HeaderMap,
) -> Answered {
    let last_heard = headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok()?.parse().ok())
        .map(Cursor);
    let told = server.service.watch(user, project, last_heard).await?;
    let stopping = server.stopping.clone().cancelled_owned();
    let events = told
        .take_until(stopping)
        .map(|event| Ok::<_, Infallible>(event_of(&event)));
    let keep_alive = KeepAlive::new().interval(server.service.settings().keep_alive_every);
    Ok(Sse::new(events).keep_alive(keep_alive).into_response())
}

/// The event's name on its own line and its data as JSON. Only a change has an id: it is what can be resumed from.
fn event_of(event: &ServerEvent) -> Event {
    let (name, data) = match serde_json::to_value(event) {
        Ok(serde_json::Value::Object(mut parts)) => (parts.remove("event"), parts.remove("data")),
        _ => (None, None),
    };
    let name = name
        .and_then(|name| name.as_str().map(str::to_owned))
        .unwrap_or_default();
    let sent = Event::default()
        .event(name)
        .data(data.unwrap_or_default().to_string());
    match event {
        ServerEvent::Changes { cursor } => sent.id(cursor.to_string()),
        _ => sent,
    }
}
