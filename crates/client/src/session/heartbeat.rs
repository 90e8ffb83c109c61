//! One beat: a request that renews the lease, in the background.

use std::time::Duration;

use lockstep_wire::{Api, ApiError, Generation, Heartbeat, HeartbeatRequest, LockLoss, Refusal};

use super::lease::Renewal;
use super::state::Event;
use crate::Place;
use crate::desk::Desk;

/// Sends a beat and tells the session how it went.
pub(super) async fn run_beat<A: Api>(
    desk: &Desk<A>,
    place: Place,
    generation: Generation,
    patience: Duration,
) {
    let sent_at = desk.station.clock.steady();
    let request = HeartbeatRequest {
        generation: Some(generation),
        client_id: Some(desk.station.client_id.clone()),
    };
    let call = desk.station.api.heartbeat(&place.project, &place.image, request);
    let answer = tokio::time::timeout(patience, call)
        .await
        .unwrap_or_else(|_| Err(ApiError::Network("no answer to a beat".to_owned())));
    let gone = |reason, by| Event::Gone {
        place: place.clone(),
        generation: Some(generation),
        reason,
        by,
        attempt: 0,
    };
    let event = match desk.station.ask(std::future::ready(answer)).await {
        Ok(Heartbeat::Refreshed { lock, ttl_ms, .. }) => Event::Renewed {
            place: place.clone(),
            renewal: Renewal {
                generation: lock.generation,
                sent_at,
                ttl: Duration::from_millis(ttl_ms),
                beat_every: desk.station.link.beat_every(),
            },
        },
        Err(ApiError::Later { retry_after }) => Event::BeatLater {
            generation,
            retry_after,
        },
        Err(ApiError::Network(_)) => failed(generation),
        Err(ApiError::Refused(detail)) => match detail.refusal {
            Refusal::Unauthorized => failed(generation),
            Refusal::LockExpired { reason, by, .. } => gone(reason, by.map(|by| by.user_name)),
            Refusal::ImageLocked { locked_by } => gone(LockLoss::Expired, Some(locked_by.user_name)),
            _ => gone(LockLoss::Unknown, None),
        },
    };
    desk.session.tell(event);
}

/// Chance keeps a thousand clients from beating in step after an outage.
fn failed(generation: Generation) -> Event {
    let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
    #[expect(clippy::cast_precision_loss, reason = "chance needs no more than 53 bits")]
    let jitter = (high ^ low) as f64 / u64::MAX as f64;
    Event::BeatFailed { generation, jitter }
}
