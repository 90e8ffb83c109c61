//! One open image as a state machine: which lock there is, how sure of it this machine may be, and what to do.
//!
//! **Invariant:** nothing here reads a clock, a network or chance; all three are arguments.

use std::time::Duration;

use chrono::{DateTime, Utc};
use lockstep_wire::{Generation, LockLoss};

use crate::Place;
use crate::view::{Access, Holder};

/// The lease runs out this share of it early here, for clocks that run at different speeds and answers that
/// took their time.
const SAFETY: u32 = 10;
/// Jeopardy is shown this long before the deadline, or a fifth of a short lease.
const JEOPARDY: Duration = Duration::from_secs(60);
/// A failed beat is sent again after these shares of the lease: 5, 10, 20 and 30 s of five minutes.
const RETRY_SHARES: [u32; 4] = [60, 30, 15, 10];
/// While offline, asking for the lock is repeated this often; the link's own return is noticed apart from it.
const REGAIN_EVERY: Duration = Duration::from_secs(2);
/// When the server does not say how often to beat.
const BEATS_PER_LEASE: (u32, u32) = (2, 5);

/// Counts the acquires of this run, so that an answer finds the question it belongs to.
pub(crate) type Attempt = u64;

/// A lock this machine may rely on until its own, early deadline.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Lease {
    /// Which grant.
    pub generation: Generation,
    /// When it must be presumed lost.
    pub deadline: Duration,
    ttl: Duration,
    beat_every: Duration,
    next_beat: Option<Duration>,
    failures: usize,
}

/// What an answer told of a lease.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Renewal {
    /// Which grant.
    pub generation: Generation,
    /// When the request was sent: the lease started no earlier.
    pub sent_at: Duration,
    /// How long it lasts.
    pub ttl: Duration,
    /// How often to beat, where the server said so.
    pub beat_every: Option<Duration>,
}

impl Lease {
    fn new(renewal: Renewal) -> Self {
        let Renewal {
            generation,
            sent_at,
            ttl,
            beat_every,
        } = renewal;
        let beat_every = beat_every
            .unwrap_or(ttl * BEATS_PER_LEASE.0 / BEATS_PER_LEASE.1)
            .min(ttl / 2);
        let deadline = sent_at + ttl - ttl / SAFETY;
        Self {
            generation,
            deadline,
            ttl,
            beat_every,
            next_beat: Some(sent_at + beat_every),
            failures: 0,
        }
    }

    /// Never shortens: an answer to an older beat may arrive after a newer one's.
    fn renew(&mut self, renewal: Renewal) {
        let beat_every = renewal.beat_every.unwrap_or(self.beat_every);
        let renewed = Self::new(Renewal {
            beat_every: Some(beat_every),
            ..renewal
        });
        if renewed.deadline >= self.deadline {
            *self = renewed;
        } else {
            self.next_beat = Some(renewal.sent_at + beat_every);
        }
    }

    fn jeopardy_from(&self) -> Duration {
        self.deadline.saturating_sub(JEOPARDY.min(self.ttl / 5))
    }

    fn retry_after(&mut self, now: Duration, jitter: f64) {
        let share = RETRY_SHARES[self.failures.min(RETRY_SHARES.len() - 1)];
        self.failures += 1;
        self.next_beat = Some(now + (self.ttl / share).mul_f64(0.5 + jitter.clamp(0.0, 1.0)));
    }

    /// As told, but not so late that the lock is lost for it.
    fn beat_later(&mut self, now: Duration, retry_after: Duration) {
        let latest = self.jeopardy_from().max(now + self.ttl / SAFETY);
        self.next_beat = Some((now + retry_after).min(latest));
    }

    fn wake_at(&self) -> Duration {
        let mut next = self.deadline;
        if let Some(beat) = self.next_beat {
            next = next.min(beat);
        }
        next.min(self.jeopardy_from())
    }
}

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
            Self::Jeopardy { lease, .. } => {
                Some(lease.next_beat.unwrap_or(lease.deadline).min(lease.deadline))
            }
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
        } => {
            let mut effects = leave(&state, Some(&place));
            effects.push(Effect::Acquire {
                place: place.clone(),
                attempt,
                take_over,
            });
            (
                State::Acquiring {
                    place,
                    attempt,
                    after: Before::Opening,
                },
                effects,
            )
        }
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
        State::Acquiring {
            place,
            after: Before::Opening,
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
            lease.next_beat = lease.next_beat.map(|next| next.min(now));
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
            let is_due = lease.next_beat.is_some_and(|next| next <= now);
            let beat = is_due.then(|| {
                lease.next_beat = None;
                Effect::Beat {
                    place: place.clone(),
                    generation: lease.generation,
                    patience: lease.ttl / 5,
                }
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
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(300);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn place(image: &str) -> Place {
        Place::new(&"p".into(), &image.into())
    }

    fn renewal(generation: i64, sent_at: u64) -> Renewal {
        let beat_every = Some(Duration::from_secs(120));
        Renewal {
            generation: Generation(generation),
            sent_at: at(sent_at),
            ttl: TTL,
            beat_every,
        }
    }

    fn holder(name: &str) -> Holder {
        let since = DateTime::UNIX_EPOCH;
        Holder {
            user_id: lockstep_wire::UserId(7),
            user_name: name.to_owned(),
            is_me: false,
            device: None,
            since,
        }
    }

    fn editing(image: &str) -> State {
        let (state, _) = step(
            State::Closed,
            Event::Open {
                place: place(image),
                attempt: 1,
                take_over: false,
            },
            at(0),
        );
        let granted = Event::Granted {
            attempt: 1,
            place: place(image),
            renewal: renewal(1, 0),
        };
        let (state, effects) = step(state, granted, at(0));
        assert_eq!(effects, [Effect::AnswerOpened { attempt: 1 }, Effect::Send]);
        state
    }

    fn gone(reason: LockLoss) -> Event {
        let by = Some("Olga".to_owned());
        Event::Gone {
            place: place("a"),
            generation: Some(Generation(1)),
            reason,
            by,
            attempt: 9,
        }
    }

    fn tick(state: State, seconds: u64) -> (State, Vec<Effect>) {
        step(state, Event::Tick { attempt: 9 }, at(seconds))
    }

    fn beat() -> Effect {
        Effect::Beat {
            place: place("a"),
            generation: Generation(1),
            patience: at(60),
        }
    }

    #[test]
    fn an_image_is_open_for_editing_only_once_the_lock_is_granted() {
        let open = Event::Open {
            place: place("a"),
            attempt: 1,
            take_over: false,
        };
        let (state, effects) = step(State::Closed, open, at(0));
        assert_eq!(
            effects,
            [Effect::Acquire {
                place: place("a"),
                attempt: 1,
                take_over: false
            }]
        );
        assert!(!state.access(|_| DateTime::UNIX_EPOCH).edits());
        assert!(editing("a").access(|_| DateTime::UNIX_EPOCH).edits());
    }

    #[test]
    fn an_image_that_another_has_is_not_opened() {
        let open = Event::Open {
            place: place("a"),
            attempt: 1,
            take_over: false,
        };
        let (state, _) = step(State::Closed, open, at(0));
        let (state, effects) = step(
            state,
            Event::Held {
                attempt: 1,
                holder: holder("Alice"),
            },
            at(0),
        );
        assert_eq!(state, State::Closed);
        assert_eq!(
            effects,
            [Effect::AnswerLocked {
                attempt: 1,
                holder: holder("Alice")
            }]
        );
    }

    #[test]
    fn e10_a_grant_that_arrives_after_the_image_was_closed_is_given_back() {
        let open = Event::Open {
            place: place("a"),
            attempt: 1,
            take_over: false,
        };
        let (state, _) = step(State::Closed, open, at(0));
        let (state, effects) = step(state, Event::Close, at(0));
        assert_eq!(
            effects,
            [Effect::Release { place: place("a") }],
            "queued behind the acquire"
        );
        let late = Event::Granted {
            attempt: 1,
            place: place("a"),
            renewal: renewal(1, 0),
        };
        assert_eq!(
            step(state, late, at(1)).1,
            [Effect::Release { place: place("a") }]
        );
    }

    #[test]
    fn e11_a_late_grant_of_the_image_asked_for_again_is_not_given_back() {
        let mut state = State::Closed;
        for (attempt, image) in [(1, "a"), (2, "b"), (3, "a")] {
            state = step(
                state,
                Event::Open {
                    place: place(image),
                    attempt,
                    take_over: false,
                },
                at(0),
            )
            .0;
        }
        let late = Event::Granted {
            attempt: 1,
            place: place("a"),
            renewal: renewal(1, 0),
        };
        let (state, effects) = step(state, late, at(0));
        assert_eq!(effects, []);
        let (state, effects) = step(
            state,
            Event::Granted {
                attempt: 2,
                place: place("b"),
                renewal: renewal(1, 0),
            },
            at(0),
        );
        assert_eq!(effects, [Effect::Release { place: place("b") }]);
        let last = Event::Granted {
            attempt: 3,
            place: place("a"),
            renewal: renewal(1, 0),
        };
        assert!(matches!(step(state, last, at(0)).0, State::Editing { .. }));
    }

    #[test]
    fn l17_the_deadline_is_a_tenth_before_the_leases_end() {
        let State::Editing { lease, .. } = editing("a") else {
            panic!("not editing")
        };
        assert_eq!(lease.deadline, at(270));
    }

    #[test]
    fn a_beat_is_sent_when_it_is_due_and_once() {
        let (state, effects) = tick(editing("a"), 119);
        assert_eq!(effects, []);
        let (state, effects) = tick(state, 120);
        assert_eq!(effects, [beat()]);
        let (state, effects) = tick(state, 121);
        assert_eq!(effects, []);
        let (state, _) = step(
            state,
            Event::Renewed {
                place: place("a"),
                renewal: renewal(1, 120),
            },
            at(121),
        );
        assert_eq!(state.wake_at(), Some(at(240)));
    }

    #[test]
    fn a_failed_beat_is_sent_again_after_5_10_20_and_30_seconds() {
        let mut state = editing("a");
        let mut now = 120;
        for wait in [5, 10, 20, 30] {
            let (next, effects) = tick(state, now);
            assert_eq!(effects, [beat()]);
            state = step(
                next,
                Event::BeatFailed {
                    generation: Generation(1),
                    jitter: 0.5,
                },
                at(now),
            )
            .0;
            assert_eq!(state.wake_at(), Some(at(now + wait)));
            now += wait;
        }
    }

    #[test]
    fn l15_jeopardy_shows_a_minute_before_the_deadline_and_a_good_beat_ends_it() {
        let (state, _) = tick(editing("a"), 209);
        assert!(matches!(state, State::Editing { .. }));
        let (state, _) = tick(state, 210);
        assert!(matches!(state, State::Jeopardy { .. }));
        let (state, _) = step(
            state,
            Event::Renewed {
                place: place("a"),
                renewal: renewal(1, 211),
            },
            at(211),
        );
        assert!(matches!(state, State::Editing { .. }));
    }

    #[test]
    fn past_the_deadline_the_lock_is_not_claimed_and_asked_for_again() {
        let (state, effects) = tick(editing("a"), 270);
        assert_eq!(state.access(|_| DateTime::UNIX_EPOCH), Access::Offline);
        let acquire = Effect::Acquire {
            place: place("a"),
            attempt: 9,
            take_over: false,
        };
        assert_eq!(effects, [Effect::Forget { place: place("a") }, acquire]);
        let (state, _) = step(state, Event::Unreachable { attempt: 9 }, at(271));
        let (state, effects) = step(state, Event::Online { attempt: 10 }, at(272));
        assert_eq!(
            effects,
            [Effect::Acquire {
                place: place("a"),
                attempt: 10,
                take_over: false
            }]
        );
        let granted = Event::Granted {
            attempt: 10,
            place: place("a"),
            renewal: renewal(2, 272),
        };
        let (state, effects) = step(state, granted, at(272));
        assert!(matches!(state, State::Editing { .. }));
        assert_eq!(effects, [Effect::Send]);
    }

    #[test]
    fn e4_a_lock_that_merely_expired_is_asked_for_again() {
        let (state, effects) = step(editing("a"), gone(LockLoss::Expired), at(1));
        let acquire = Effect::Acquire {
            place: place("a"),
            attempt: 9,
            take_over: false,
        };
        assert_eq!(effects, [Effect::Forget { place: place("a") }, acquire]);
        assert!(
            state.access(|_| DateTime::UNIX_EPOCH).edits(),
            "a stroke is not lost for a round trip"
        );
    }

    #[test]
    fn a_lock_that_expired_and_went_to_another_is_lost() {
        let (state, _) = step(editing("a"), gone(LockLoss::Expired), at(1));
        let (state, _) = step(
            state,
            Event::Held {
                attempt: 9,
                holder: holder("Bob"),
            },
            at(1),
        );
        assert_eq!(
            state,
            State::Lost {
                place: place("a"),
                reason: LockLoss::Expired,
                by: Some("Bob".to_owned())
            }
        );
    }

    #[test]
    fn e20_a_displaced_window_never_asks_again_by_itself() {
        for reason in [LockLoss::Forced, LockLoss::TakenOver] {
            let (mut state, effects) = step(editing("a"), gone(reason), at(1));
            assert!(
                !effects
                    .iter()
                    .any(|effect| matches!(effect, Effect::Acquire { .. }))
            );
            for event in [
                Event::Tick { attempt: 10 },
                Event::Online { attempt: 11 },
                Event::Seen {
                    place: place("a"),
                    holder: None,
                },
            ] {
                let (next, effects) = step(state, event, at(1000));
                assert_eq!(effects, []);
                state = next;
            }
            let (_, effects) = step(state, Event::TakeBack { attempt: 12 }, at(1001));
            assert_eq!(
                effects,
                [Effect::Acquire {
                    place: place("a"),
                    attempt: 12,
                    take_over: false
                }]
            );
        }
    }

    #[test]
    fn e26_an_image_opened_without_a_server_can_be_edited_and_is_asked_for_later() {
        let open = Event::Open {
            place: place("a"),
            attempt: 1,
            take_over: false,
        };
        let (state, _) = step(State::Closed, open, at(0));
        let (state, effects) = step(state, Event::Unreachable { attempt: 1 }, at(0));
        assert_eq!(effects, [Effect::AnswerOpened { attempt: 1 }]);
        assert_eq!(state.access(|_| DateTime::UNIX_EPOCH), Access::Offline);
        let (state, effects) = tick(state, 2);
        assert_eq!(
            effects,
            [Effect::Acquire {
                place: place("a"),
                attempt: 9,
                take_over: false
            }]
        );
        let (state, _) = step(
            state,
            Event::Held {
                attempt: 9,
                holder: holder("Bob"),
            },
            at(3),
        );
        assert_eq!(
            state.access(|_| DateTime::UNIX_EPOCH),
            Access::ReadOnly {
                holder: Some(holder("Bob")),
                free: false
            }
        );
    }

    #[test]
    fn e33_a_beat_waits_as_told_but_never_past_the_deadline() {
        let (state, _) = tick(editing("a"), 120);
        let later = |seconds| Event::BeatLater {
            generation: Generation(1),
            retry_after: at(seconds),
        };
        let (soon, _) = step(state.clone(), later(10), at(120));
        assert_eq!(soon.wake_at(), Some(at(130)));
        let (far, _) = step(state, later(600), at(120));
        let State::Editing { lease, .. } = &far else {
            panic!("not editing")
        };
        assert!(lease.next_beat.is_some_and(|next| next < lease.deadline));
    }

    #[test]
    fn an_older_answer_never_shortens_the_lease() {
        let state = editing("a");
        let (state, _) = step(
            state,
            Event::Renewed {
                place: place("a"),
                renewal: renewal(1, 100),
            },
            at(101),
        );
        let (state, _) = step(
            state,
            Event::Renewed {
                place: place("a"),
                renewal: renewal(1, 50),
            },
            at(102),
        );
        let State::Editing { lease, .. } = state else {
            panic!("not editing")
        };
        assert_eq!(lease.deadline, at(370));
    }

    #[test]
    fn what_is_looked_at_shows_when_it_is_free() {
        let (state, _) = step(
            State::Closed,
            Event::Look {
                place: place("a"),
                holder: Some(holder("Alice")),
            },
            at(0),
        );
        let (state, _) = step(
            state,
            Event::Seen {
                place: place("a"),
                holder: None,
            },
            at(1),
        );
        assert_eq!(
            state.access(|_| DateTime::UNIX_EPOCH),
            Access::ReadOnly {
                holder: None,
                free: true
            }
        );
    }

    #[test]
    fn a_short_lease_scales_everything_down() {
        let short = Renewal {
            ttl: at(3),
            beat_every: None,
            ..renewal(1, 0)
        };
        let lease = Lease::new(short);
        assert_eq!(lease.deadline, Duration::from_millis(2700));
        assert_eq!(lease.next_beat, Some(Duration::from_millis(1200)));
        assert_eq!(lease.jeopardy_from(), Duration::from_millis(2100));
    }
}
