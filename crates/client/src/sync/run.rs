//! The loop: look at outbox and feed, then wait for a reason to look again.

use std::sync::Arc;

use lockstep_wire::{Api, ApiError};

use super::pull::pull_project;
use super::push::{Pushed, push_image};
use super::waiting::{Pauses, Round};
use crate::cache::outbox;
use crate::desk::Desk;

/// Runs rounds until the desk is closed.
pub(crate) async fn run_sync<A: Api>(desk: Arc<Desk<A>>) {
    let mut pauses = Pauses::new();
    let mut not_before = None;
    loop {
        desk.station.link.until_online().await;
        let round = run_once(&desk).await;
        if let Some(later) = round.later {
            not_before = Some(desk.station.clock.steady() + later);
        }
        let pause = pauses.after(round);
        tokio::select! {
            () = tokio::time::sleep(pause) => desk.follows.suspect_all(),
            () = desk.sync.woken.notified() => {}
        }
        // The server asked for a pause; being in a hurry does not shorten it.
        if let Some(not_before) = not_before.take() {
            tokio::time::sleep(not_before.saturating_sub(desk.station.clock.steady())).await;
        }
    }
}

/// One look at outbox and feed.
async fn run_once<A: Api>(desk: &Desk<A>) -> Round {
    let mut round = Round::default();
    if desk.station.must_sign_in_again() {
        return round;
    }
    match desk.cache.read(|tx| outbox::places(tx)).await {
        Ok(places) => {
            for place in places {
                note(&mut round, push_image(desk, &place).await);
                if round.later.is_some() {
                    return round;
                }
            }
        }
        Err(error) => {
            tracing::error!(%error, "the outbox could not be read");
            round.trouble = true;
        }
    }
    for project in desk.follows.take_behind() {
        match pull_project(desk, &project).await {
            Ok(()) => {}
            Err(error) => {
                desk.follows.still_behind(&project);
                match error {
                    ApiError::Network(_) => round.trouble = true,
                    ApiError::Later { retry_after } => round.later = Some(retry_after),
                    // Asked again by the timer: a member may be let in again.
                    ApiError::Refused(detail) => tracing::warn!(%detail, "the feed was refused"),
                }
            }
        }
    }
    desk.announce_save().await;
    round
}

fn note(round: &mut Round, pushed: Pushed) {
    match pushed {
        Pushed::Done => {}
        Pushed::Locked => round.locked = true,
        Pushed::Unanswered => round.trouble = true,
        Pushed::Later(retry_after) => round.later = Some(retry_after),
    }
}
