//! One open image as a state machine: which lock there is, how sure of it this machine may be, and what to do.
//!
//! **Invariant:** nothing here reads a clock, a network or chance; all three are arguments.

use std::time::Duration;

use chrono::{DateTime, Utc};
use lockstep_wire::{Generation, LockLoss};

use super::lease::{Lease, Renewal};
use crate::Place;
use crate::view::{Access, Holder};

/// While offline, asking for the lock is repeated this often; the link's own return is noticed apart from it.
const REGAIN_EVERY: Duration = Duration::from_secs(2);
/// Counts the acquires of this run, so that an answer finds the question it belongs to.
pub(crate) type Attempt = u64;

/// Where the one open image stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum State {
    /// No image is open.
    Closed,
    /// The lock is being asked for, and nothing can be edited yet.
    Acquiring {
        place: Place,
        attempt: Attempt,
        after: Before,
    },
    /// Locked by this window.
    Editing { place: Place, lease: Lease },
    /// The same, near the deadline.
    Jeopardy { place: Place, lease: Lease },
    /// No lock this machine could know of, for want of an answer; edits are kept and compared later.
    Offline {
        place: Place,
        had_lock: bool,
        asking: Option<Attempt>,
        next_try: Duration,
    },
    /// Looking only.
    ReadOnly {
        place: Place,
        holder: Option<Holder>,
        free: bool,
    },
    /// The lock was lost; only a person's wish takes it back.
    Lost {
        place: Place,
        reason: LockLoss,
        by: Option<String>,
    },
}

/// What is open while the lock is being asked for, to return to when it is not granted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Before {
    /// Nothing: the image was not open.
    Opening,
    /// It was open without a lock.
    Looking { holder: Option<Holder>, free: bool },
    /// It was lost.
    Lost { reason: LockLoss, by: Option<String> },
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    /// Someone opens an image for editing.
    Open {
        place: Place,
        attempt: Attempt,
        take_over: bool,
    },
    /// Someone opens it to look.
    Look { place: Place, holder: Option<Holder> },
    /// Someone closes it, or the window goes.
    Close,
    /// Someone wants the lock of the open image back.
    TakeBack { attempt: Attempt },
    /// An acquire was granted.
    Granted {
        attempt: Attempt,
        place: Place,
        renewal: Renewal,
    },
    /// An acquire found another holder.
    Held { attempt: Attempt, holder: Holder },
    /// An acquire got no answer, or was told to come later.
    Unreachable { attempt: Attempt },
    /// An acquire was refused: this person takes no locks here.
    Denied { attempt: Attempt },
    /// A beat, or a save that was granted the lock anew.
    Renewed { place: Place, renewal: Renewal },
    /// A beat got no answer; chance is 0 to 1.
    BeatFailed { generation: Generation, jitter: f64 },
    /// The server asks to beat later.
    BeatLater {
        generation: Generation,
        retry_after: Duration,
    },
    /// The server says the lock is no more.
    Gone {
        place: Place,
        generation: Option<Generation>,
        reason: LockLoss,
        by: Option<String>,
        attempt: Attempt,
    },
    /// The server answers again.
    Online { attempt: Attempt },
    /// News that another has the open image, or nobody.
    Seen { place: Place, holder: Option<Holder> },
    /// Time passed.
    Tick { attempt: Attempt },
}

/// What to do about it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Effect {
    /// Ask for the lock.
    Acquire {
        place: Place,
        attempt: Attempt,
        take_over: bool,
    },
    /// Give it back, whatever generation is held.
    Release { place: Place },
    /// Renew it, and do not wait for an answer longer than this.
    Beat {
        place: Place,
        generation: Generation,
        patience: Duration,
    },
    /// It is no longer this machine's to name in a save.
    Forget { place: Place },
    /// Tell whoever asked: the image is open.
    AnswerOpened { attempt: Attempt },
    /// Tell whoever asked: someone else has it.
    AnswerLocked { attempt: Attempt, holder: Holder },
    /// Tell whoever asked: there is no server to ask.
    AnswerUnreachable { attempt: Attempt },
    /// The lock was ended by a person: tell, and do not take the image again unasked.
    Displaced {
        place: Place,
        reason: LockLoss,
        by: Option<String>,
    },
    /// The lock is here (again): what waits for it can be sent.
    Send,
}

impl State {
    /// Where an open image goes on after a fault of ours: whoever was editing asks for the lock anew.
    pub(crate) fn resumed(place: Place, was_editing: bool, now: Duration) -> Self {
        if was_editing {
            Self::Offline {
                place,
                had_lock: true,
                asking: None,
                next_try: now,
            }
        } else {
            Self::ReadOnly {
                place,
                holder: None,
                free: false,
            }
        }
    }

    /// The open image.
    pub(crate) fn place(&self) -> Option<&Place> {
        match self {
            Self::Closed
            | Self::Acquiring {
                after: Before::Opening,
                ..
            } => None,
            Self::Acquiring { place, .. }
            | Self::Editing { place, .. }
            | Self::Jeopardy { place, .. }
            | Self::Offline { place, .. }
            | Self::ReadOnly { place, .. }
            | Self::Lost { place, .. } => Some(place),
        }
    }

    /// When time alone changes something.
    pub(crate) fn wake_at(&self) -> Option<Duration> {
        match self {
            Self::Editing { lease, .. } => Some(lease.wake_at()),
            Self::Jeopardy { lease, .. } => Some(lease.next_beat_or_deadline()),
            Self::Offline {
                asking: None,
                next_try,
                ..
            } => Some(*next_try),
            _ => None,
        }
    }

    /// The acquire whose answer is waited for.
    pub(crate) fn asking(&self) -> Option<Attempt> {
        match self {
            Self::Acquiring { attempt, .. } => Some(*attempt),
            Self::Offline { asking, .. } => *asking,
            _ => None,
        }
    }

    /// What may be done, with the deadline as the window's clock shows it.
    pub(crate) fn access(&self, wall: impl Fn(Duration) -> DateTime<Utc>) -> Access {
        match self {
            Self::Closed => Access::ReadOnly {
                holder: None,
                free: false,
            },
            Self::Acquiring { .. } => Access::Acquiring,
            Self::Editing { lease, .. } => Access::Editing {
                until: wall(lease.deadline),
            },
            Self::Jeopardy { lease, .. } => Access::Jeopardy {
                until: wall(lease.deadline),
            },
            Self::Offline { .. } => Access::Offline,
            Self::ReadOnly { holder, free, .. } => Access::ReadOnly {
                holder: holder.clone(),
                free: *free,
            },
            Self::Lost { reason, by, .. } => Access::Lost {
                reason: *reason,
                by: by.clone(),
            },
        }
    }

    /// The image whose lock is held, asked for, or may still be held from before.
    pub(crate) fn wants(&self) -> Option<&Place> {
        match self {
            Self::Acquiring { place, .. } | Self::Editing { place, .. } | Self::Jeopardy { place, .. } => {
                Some(place)
            }
            Self::Offline { place, .. } => Some(place),
            Self::Closed | Self::ReadOnly { .. } | Self::Lost { .. } => None,
        }
    }
}

/// The next state, and what to do.
pub(crate) fn step(state: State, event: Event, now: Duration) -> (State, Vec<Effect>) {
    match event {
        Event::Open {
            place,
            attempt,
            take_over,
        } => open(state, place, attempt, take_over),
        Event::Look { place, holder } => {
            let effects = leave(&state, None);
            (
                State::ReadOnly {
                    place,
                    holder,
                    free: false,
                },
                effects,
            )
        }
        Event::Close => {
            let effects = leave(&state, None);
            (State::Closed, effects)
        }
        Event::TakeBack { attempt } => take_back(state, attempt),
        Event::Granted {
            attempt,
            place,
            renewal,
        } => granted(state, attempt, place, renewal),
        Event::Held { attempt, holder } => held(state, attempt, holder),
        Event::Unreachable { attempt } => unreachable(state, attempt, now),
        Event::Denied { attempt } => denied(state, attempt),
        Event::Renewed { place, renewal } => (renewed(state, &place, renewal, now), Vec::new()),
        Event::BeatFailed { generation, jitter } => (
            with_lease(state, generation, |lease| lease.retry_after(now, jitter)),
            Vec::new(),
        ),
        Event::BeatLater {
            generation,
            retry_after,
        } => (
            with_lease(state, generation, |lease| lease.beat_later(now, retry_after)),
            Vec::new(),
        ),
        Event::Gone {
            place,
            generation,
            reason,
            by,
            attempt,
        } => {
            if !holds(&state, &place, generation) {
                return (state, Vec::new());
            }
            match reason {
                LockLoss::Forced | LockLoss::TakenOver => displaced(place, reason, by),
                // Nobody meant it: ask again, and go on when nobody was faster.
                LockLoss::Expired | LockLoss::Unknown => ask_again(place, true, attempt),
            }
        }
        Event::Online { attempt } => match state {
            State::Offline {
                place,
                had_lock,
                asking: None,
                ..
            } => regain(place, had_lock, attempt),
            other => (other, Vec::new()),
        },
        Event::Seen { place, holder } => (seen(state, &place, holder, now), Vec::new()),
        Event::Tick { attempt } => tick(state, attempt, now),
    }
}

fn open(state: State, place: Place, attempt: Attempt, take_over: bool) -> (State, Vec<Effect>) {
    let mut effects = leave(&state, Some(&place));
    let after = match state {
        // It is open, or as open as it can be for now.
        State::Editing { .. } | State::Jeopardy { .. } | State::Offline { .. } if effects.is_empty() => {
            return (state, vec![Effect::AnswerOpened { attempt }]);
        }
        State::Acquiring {
            place: open, after, ..
        } if open == place => after,
        State::ReadOnly {
            place: open,
            holder,
            free,
        } if open == place => Before::Looking { holder, free },
        State::Lost {
            place: open,
            reason,
            by,
        } if open == place => Before::Lost { reason, by },
        _ => Before::Opening,
    };
    effects.push(Effect::Acquire {
        place: place.clone(),
        attempt,
        take_over,
    });
    (
        State::Acquiring {
            place,
            attempt,
            after,
        },
        effects,
    )
}

/// What leaving an image takes, unless the next is the same one.
fn leave(state: &State, next: Option<&Place>) -> Vec<Effect> {
    match state.wants() {
        Some(place) if next != Some(place) => vec![Effect::Release { place: place.clone() }],
        _ => Vec::new(),
    }
}

fn take_back(state: State, attempt: Attempt) -> (State, Vec<Effect>) {
    let (place, after) = match state {
        State::ReadOnly { place, holder, free } => (place, Before::Looking { holder, free }),
        State::Lost { place, reason, by } => (place, Before::Lost { reason, by }),
        other => return (other, vec![Effect::AnswerOpened { attempt }]),
    };
    let acquire = Effect::Acquire {
        place: place.clone(),
        attempt,
        take_over: false,
    };
    (
        State::Acquiring {
            place,
            attempt,
            after,
        },
        vec![acquire],
    )
}

fn granted(state: State, attempt: Attempt, place: Place, renewal: Renewal) -> (State, Vec<Effect>) {
    if state.asking() != Some(attempt) {
        // Nobody waits for this grant any more. Where the same image is asked for again, that answer settles it.
        let release = (state.wants() != Some(&place)).then_some(Effect::Release { place });
        return (state, release.into_iter().collect());
    }
    let mut effects = Vec::new();
    if matches!(state, State::Acquiring { .. }) {
        effects.push(Effect::AnswerOpened { attempt });
    }
    effects.push(Effect::Send);
    (
        State::Editing {
            place,
            lease: Lease::new(renewal),
        },
        effects,
    )
}

fn held(state: State, attempt: Attempt, holder: Holder) -> (State, Vec<Effect>) {
    if state.asking() != Some(attempt) {
        return (state, Vec::new());
    }
    match state {
        State::Acquiring { place, after, .. } => {
            let next = match after {
                Before::Opening => State::Closed,
                Before::Looking { .. } => State::ReadOnly {
                    place,
                    holder: Some(holder.clone()),
                    free: false,
                },
                Before::Lost { reason, by } => State::Lost { place, reason, by },
            };
            (next, vec![Effect::AnswerLocked { attempt, holder }])
        }
        State::Offline {
            place,
            had_lock: true,
            ..
        } => {
            let by = Some(holder.user_name);
            (
                State::Lost {
                    place,
                    reason: LockLoss::Expired,
                    by,
                },
                Vec::new(),
            )
        }
        State::Offline { place, .. } => (
            State::ReadOnly {
                place,
                holder: Some(holder),
                free: false,
            },
            Vec::new(),
        ),
        other => (other, Vec::new()),
    }
}

fn unreachable(state: State, attempt: Attempt, now: Duration) -> (State, Vec<Effect>) {
    if state.asking() != Some(attempt) {
        return (state, Vec::new());
    }
    let next_try = now + REGAIN_EVERY;
    match state {
        // Nobody is known to have it: what is drawn is compared when the server is back.
        State::Acquiring {
            place,
            after: Before::Opening | Before::Looking { holder: None, .. },
            ..
        } => (
            State::Offline {
                place,
                had_lock: false,
                asking: None,
                next_try,
            },
            vec![Effect::AnswerOpened { attempt }],
        ),
        State::Acquiring { place, after, .. } => {
            (after.back(place), vec![Effect::AnswerUnreachable { attempt }])
        }
        State::Offline { place, had_lock, .. } => (
            State::Offline {
                place,
                had_lock,
                asking: None,
                next_try,
            },
            Vec::new(),
        ),
        other => (other, Vec::new()),
    }
}

fn denied(state: State, attempt: Attempt) -> (State, Vec<Effect>) {
    if state.asking() != Some(attempt) {
        return (state, Vec::new());
    }
    match state {
        State::Acquiring { place, after, .. } => (after.back(place), vec![Effect::AnswerOpened { attempt }]),
        State::Offline { place, .. } => (
            State::ReadOnly {
                place,
                holder: None,
                free: false,
            },
            Vec::new(),
        ),
        other => (other, Vec::new()),
    }
}

fn renewed(state: State, at: &Place, renewal: Renewal, now: Duration) -> State {
    match state {
        State::Editing { place, mut lease } | State::Jeopardy { place, mut lease } if place == *at => {
            if renewal.generation == lease.generation {
                lease.renew(renewal);
            } else if renewal.generation > lease.generation {
                lease = Lease::new(renewal);
            }
            settled(place, lease, now)
        }
        other => other,
    }
}

fn displaced(place: Place, reason: LockLoss, by: Option<String>) -> (State, Vec<Effect>) {
    let effects = vec![
        Effect::Forget { place: place.clone() },
        Effect::Displaced {
            place: place.clone(),
            reason,
            by: by.clone(),
        },
    ];
    (State::Lost { place, reason, by }, effects)
}

/// The lock is gone with nobody to blame.
fn ask_again(place: Place, had_lock: bool, attempt: Attempt) -> (State, Vec<Effect>) {
    let (state, mut effects) = regain(place.clone(), had_lock, attempt);
    effects.insert(0, Effect::Forget { place });
    (state, effects)
}

/// Asks for the lock while edits are still accepted: taking the pen away for one round trip would cost a stroke.
fn regain(place: Place, had_lock: bool, attempt: Attempt) -> (State, Vec<Effect>) {
    let acquire = Effect::Acquire {
        place: place.clone(),
        attempt,
        take_over: false,
    };
    (
        State::Offline {
            place,
            had_lock,
            asking: Some(attempt),
            next_try: Duration::ZERO,
        },
        vec![acquire],
    )
}

fn seen(state: State, at: &Place, holder: Option<Holder>, now: Duration) -> State {
    match state {
        State::ReadOnly { place, .. } if place == *at => {
            let free = holder.is_none();
            State::ReadOnly { place, holder, free }
        }
        // The news may be older than the lock; a beat tells.
        State::Editing { place, mut lease } if place == *at => {
            lease.hurry(now);
            State::Editing { place, lease }
        }
        other => other,
    }
}

fn tick(state: State, attempt: Attempt, now: Duration) -> (State, Vec<Effect>) {
    match state {
        State::Editing { place, mut lease } | State::Jeopardy { place, mut lease } => {
            if now >= lease.deadline {
                return ask_again(place, true, attempt);
            }
            let beat = lease.take_beat(now).map(|patience| Effect::Beat {
                place: place.clone(),
                generation: lease.generation,
                patience,
            });
            (settled(place, lease, now), beat.into_iter().collect())
        }
        State::Offline {
            place,
            had_lock,
            asking: None,
            next_try,
        } if next_try <= now => regain(place, had_lock, attempt),
        other => (other, Vec::new()),
    }
}

fn settled(place: Place, lease: Lease, now: Duration) -> State {
    if now < lease.jeopardy_from() {
        State::Editing { place, lease }
    } else {
        State::Jeopardy { place, lease }
    }
}

fn holds(state: &State, at: &Place, named: Option<Generation>) -> bool {
    match state {
        State::Editing { place, lease } | State::Jeopardy { place, lease } => {
            place == at && named.is_none_or(|generation| generation == lease.generation)
        }
        _ => false,
    }
}

fn with_lease(state: State, generation: Generation, change: impl FnOnce(&mut Lease)) -> State {
    match state {
        State::Editing { place, mut lease } if lease.generation == generation => {
            change(&mut lease);
            State::Editing { place, lease }
        }
        State::Jeopardy { place, mut lease } if lease.generation == generation => {
            change(&mut lease);
            State::Jeopardy { place, lease }
        }
        other => other,
    }
}

impl Before {
    fn back(self, place: Place) -> State {
        match self {
            Self::Opening => State::ReadOnly {
                place,
                holder: None,
                free: false,
            },
            Self::Looking { holder, free } => State::ReadOnly { place, holder, free },
            Self::Lost { reason, by } => State::Lost { place, reason, by },
        }
    }
}

#[cfg(test)]
mod tests;
