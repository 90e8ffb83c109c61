//! What happens to the open image, event by event.

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
    assert!(lease.next_beat_or_deadline() < lease.deadline);
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
fn opening_what_is_open_changes_nothing() {
    let again = Event::Open {
        place: place("a"),
        attempt: 5,
        take_over: false,
    };
    let open = editing("a");
    let (state, effects) = step(open.clone(), again, at(1));
    assert_eq!(state, open);
    assert_eq!(effects, [Effect::AnswerOpened { attempt: 5 }]);
}

#[test]
fn who_looks_and_finds_it_still_locked_goes_on_looking() {
    let look = Event::Look {
        place: place("a"),
        holder: Some(holder("Alice")),
    };
    let (state, _) = step(State::Closed, look, at(0));
    let open = Event::Open {
        place: place("a"),
        attempt: 5,
        take_over: false,
    };
    let (state, _) = step(state, open, at(1));
    let held = Event::Held {
        attempt: 5,
        holder: holder("Cleo"),
    };
    let (state, effects) = step(state, held, at(1));
    let answer = Effect::AnswerLocked {
        attempt: 5,
        holder: holder("Cleo"),
    };
    assert_eq!(effects, [answer]);
    assert_eq!(
        state.access(|_| DateTime::UNIX_EPOCH),
        Access::ReadOnly {
            holder: Some(holder("Cleo")),
            free: false
        }
    );
}

#[test]
fn after_a_fault_of_ours_an_image_that_was_edited_stays_open_and_asks_for_its_lock_anew() {
    let (state, effects) = tick(State::resumed(place("a"), true, at(5)), 5);
    let acquire = Effect::Acquire {
        place: place("a"),
        attempt: 9,
        take_over: false,
    };
    assert_eq!(effects, [acquire]);
    assert!(state.access(|_| DateTime::UNIX_EPOCH).edits());
    let looking = State::resumed(place("a"), false, at(5));
    assert!(matches!(looking, State::ReadOnly { .. }));
}
