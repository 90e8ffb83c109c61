//! The change feed, and events as they happen.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::{StreamExt as _, stream};
use lockstep_wire::{ChangePage, Cursor, ProjectId, ServerEvent};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use utoipa::{IntoParams, ToSchema};

use super::Server;
use super::answer::Answered;
use super::extract::{Asked, At, Caller, LastHeard, Listener};

#[derive(Deserialize, IntoParams, ToSchema)]
pub(super) struct Since {
    /// The last page's `next`; the beginning when left out.
    since: Option<Cursor>,
    /// Changes of one page; more than 1000 are never sent.
    #[param(value_type = Option<i64>, minimum = 0, maximum = 4_294_967_295_i64)]
    limit: Option<u32>,
}

pub(super) async fn changes(
    State(server): State<Server>,
    Caller(user): Caller,
    At(project): At<ProjectId>,
    Asked(Since { since, limit }): Asked<Since>,
) -> Answered<Json<ChangePage>> {
    Ok(Json(
        server
            .service
            .changes(user, &project, since.unwrap_or(Cursor(0)), limit)
            .await?,
    ))
}

pub(super) async fn events(
    State(server): State<Server>,
    Listener(listener): Listener,
    At(project): At<ProjectId>,
    LastHeard(last_heard): LastHeard,
) -> Answered<Response> {
    let told = server.service.watch(listener.user, project, last_heard).await?;
    let stopping = CancellationToken::clone(&server.stopping).cancelled_owned();
    let over = Arc::clone(&server.service).until_over(listener);
    let events = stream::iter([Event::default().retry(come_back_after())])
        .chain(told.map(|event| event_of(&event)))
        .take_until(stopping)
        .take_until(Box::pin(over))
        .map(Ok::<_, Infallible>);
    let keep_alive = KeepAlive::new().interval(server.service.settings().keep_alive_every);
    Ok(Sse::new(events).keep_alive(keep_alive).into_response())
}

/// Of a stream that ends: a server that restarts ends them all at once, and the watchers should not come back as one.
fn come_back_after() -> Duration {
    let spread = getrandom::u32().map_or(0, |chance| chance % RECONNECT_SPREAD_MS);
    RECONNECT_SOONEST + Duration::from_millis(spread.into())
}

/// Time for a restart; news that much later are no harm.
const RECONNECT_SOONEST: Duration = Duration::from_secs(1);

/// Five hundred watchers are then a hundred and twenty-five a second.
const RECONNECT_SPREAD_MS: u32 = 4000;

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
