//! What the client does when the line between it and the real server does what lines do.

mod world;

use std::time::{Duration, Instant};

use lockstep_client::view::{Access, Event, Notice, SaveState};
use lockstep_server::Settings;
use lockstep_wire::Version;
use world::line::{Fault, Line};
use world::{World, at_x, harbour, project, quick, street, until};

async fn begin(settings: Settings) -> (World, Line, world::Window) {
    let world = World::begin(settings).await;
    let line = Line::to(world.url()).await;
    let ann = world::window_at(line.url(), "ann").await;
    (world, line, ann)
}

fn is_lost(event: &Event) -> bool {
    matches!(event, Event::Notice(Notice::LockLost { .. }) | Event::Conflict(_))
}

async fn editing(ann: &world::Window) {
    until("it is open for editing", async || {
        matches!(ann.access().await, Some(Access::Editing { .. })).then_some(())
    })
    .await;
}

#[tokio::test]
async fn e1_an_acquire_whose_answer_was_lost_is_the_same_grant_when_it_is_repeated() {
    let (world, line, ann) = begin(Settings::default()).await;
    line.plan("POST /api/v1/image-locks/acquire", 1, Fault::LoseAnswer);
    // Without an answer the image opens as without a server.
    ann.open(&street()).await;
    editing(&ann).await;
    let lock = world.lock(&street()).await.expect("a lock");
    assert_eq!((lock.user_name.as_str(), lock.generation.0), ("ann", 1));
    ann.client.close_image().await.expect("closed");
    assert_eq!(world.locks().await, 0);
}

#[tokio::test]
async fn e6_a_save_whose_answer_was_lost_takes_effect_once() {
    let (world, line, ann) = begin(Settings::default()).await;
    ann.open(&street()).await;
    line.plan("POST /api/v1/annotations", 1, Fault::LoseAnswer);
    let id = ann.draw(1.0).await;
    ann.synced().await;
    assert_eq!(line.log("POST /api/v1/annotations").len(), 2);
    line.plan("PUT /api/v1/annotations", 1, Fault::LoseAnswer);
    ann.put(&id, at_x(2.0)).await;
    ann.synced().await;
    let stored = world.stored(&street()).await;
    assert_eq!(stored.len(), 1);
    assert_eq!((stored[0].version, &stored[0].fields), (Version(2), &at_x(2.0)));
    assert!(!ann.told().iter().any(is_lost));
}

#[tokio::test]
async fn what_is_drawn_while_a_save_is_on_its_way_follows_it() {
    let (world, line, ann) = begin(Settings::default()).await;
    ann.open(&street()).await;
    line.plan(
        "POST /api/v1/annotations",
        1,
        Fault::Delay(Duration::from_millis(300)),
    );
    let id = ann.draw(1.0).await;
    until("it is on its way", async || {
        (!line.log("POST /api/v1/annotations").is_empty()).then_some(())
    })
    .await;
    for x in 2..10 {
        ann.put(&id, at_x(x.into())).await;
    }
    ann.synced().await;
    let stored = world.stored(&street()).await;
    assert_eq!(
        (stored[0].version, &stored[0].fields),
        (Version(2), &at_x(9.0)),
        "all later edits are one save"
    );
}

#[tokio::test]
async fn e10_a_grant_that_arrives_after_the_image_was_closed_is_given_back_within_a_second() {
    let (world, line, ann) = begin(Settings::default()).await;
    line.plan("acquire", 1, Fault::Delay(Duration::from_millis(500)));
    let opening = tokio::spawn({
        let client = ann.client.clone();
        async move { client.open_image(&project(), &street(), false).await }
    });
    until("it is granted", async || (world.locks().await == 1).then_some(())).await;
    ann.client.close_image().await.expect("closed");
    assert_eq!(
        opening.await.expect("no panic").err(),
        Some(lockstep_client::Error::Superseded)
    );
    let closed = Instant::now();
    until("it is given back", async || {
        (world.locks().await == 0).then_some(())
    })
    .await;
    assert!(closed.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn e4_beats_that_come_too_late_cost_nothing_while_nobody_took_the_image() {
    let (world, line, ann) = begin(quick()).await;
    ann.open(&street()).await;
    let id = ann.draw(1.0).await;
    ann.synced().await;
    line.plan("heartbeat", usize::MAX, Fault::Hang);
    line.plan("acquire", usize::MAX, Fault::Hang);
    until("the lease has lapsed", async || {
        (world.locks().await == 0).then_some(())
    })
    .await;
    until("the window does not claim it either", async || {
        (ann.access().await == Some(Access::Offline)).then_some(())
    })
    .await;
    ann.put(&id, at_x(2.0)).await;
    line.heal();
    editing(&ann).await;
    ann.synced().await;
    assert_eq!(world.stored(&street()).await[0].fields, at_x(2.0));
    assert!(!ann.told().iter().any(is_lost));
}

#[tokio::test]
async fn l17_a_window_without_answers_shows_jeopardy_before_it_stops_claiming_the_lock() {
    let (_world, line, ann) = begin(quick()).await;
    ann.open(&street()).await;
    line.plan("heartbeat", usize::MAX, Fault::LoseAnswer);
    ann.told_of("jeopardy", |event| match event {
        Event::Session(view) => matches!(view.access, Access::Jeopardy { .. }).then_some(()),
        _ => None,
    })
    .await;
    line.heal();
    editing(&ann).await;
}

#[tokio::test]
async fn e32_a_hotels_page_is_no_answer_and_nothing_is_lost_to_it() {
    let (world, line, ann) = begin(Settings::default()).await;
    ann.open(&street()).await;
    line.plan("", usize::MAX, Fault::Portal);
    ann.draw(1.0).await;
    ann.told_of("offline", |event| {
        matches!(event, Event::Connection { online: false }).then_some(())
    })
    .await;
    assert_eq!(ann.client.save().unsent, 1);
    let missing = ann.client.picture(&project(), &harbour()).await;
    assert_eq!(missing.err(), Some(lockstep_client::Error::PictureNotHere));
    line.heal();
    ann.synced().await;
    assert_eq!(world.stored(&street()).await.len(), 1);
    assert!(
        ann.client.picture(&project(), &harbour()).await.is_ok(),
        "the page was not kept for a picture"
    );
}

#[tokio::test]
async fn e33_a_server_that_asks_for_a_pause_gets_it() {
    let (world, line, ann) = begin(Settings::default()).await;
    ann.open(&street()).await;
    line.plan("POST /api/v1/annotations", 1, Fault::Busy(1));
    ann.draw(1.0).await;
    ann.draw(2.0).await;
    ann.synced().await;
    let tries = line.log("POST /api/v1/annotations");
    assert!(tries[1] - tries[0] >= Duration::from_secs(1));
    assert_eq!(world.stored(&street()).await.len(), 2);
}

#[tokio::test]
async fn l19_leaving_takes_a_second_and_a_half_at_most_when_the_server_hangs() {
    let (world, line, ann) = begin(Settings::default()).await;
    ann.open(&street()).await;
    line.plan("", usize::MAX, Fault::Hang);
    ann.draw(1.0).await;
    let leaving = Instant::now();
    ann.client.shutdown(Duration::from_millis(1500)).await;
    assert!(
        leaving.elapsed() < Duration::from_millis(1700),
        "{:?}",
        leaving.elapsed()
    );
    assert_eq!(world.holder(&street()).await.as_deref(), Some("ann"));
    line.heal();
    let ann = ann.crash().rise();
    ann.synced().await;
    assert_eq!(world.stored(&street()).await.len(), 1);
    until("the lock is given back", async || {
        (world.locks().await == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn one_refused_record_does_not_hold_up_the_others() {
    let (world, line, ann) = begin(Settings::default()).await;
    ann.open(&street()).await;
    line.plan("", usize::MAX, Fault::Portal);
    let mut unknown_label = at_x(1.0);
    unknown_label.label_id = Some("no such label".into());
    ann.put(&lockstep_wire::AnnotationId::new(), unknown_label).await;
    ann.told_of("offline", |event| {
        matches!(event, Event::Connection { online: false }).then_some(())
    })
    .await;
    ann.draw(2.0).await;
    line.heal();
    until("the other is stored", async || {
        (world.stored(&street()).await.len() == 1).then_some(())
    })
    .await;
    until("the first is seen as refused", async || {
        (ann.client.save().refused == 1).then_some(())
    })
    .await;
    assert_eq!(ann.client.save().unsent, 0);
    ann.client.undo().await.expect("undone");
    ann.client.undo().await.expect("undone");
    ann.synced().await;
    assert!(world.stored(&street()).await.is_empty());
}

#[tokio::test]
async fn l16_a_machine_that_slept_asks_about_its_lock_within_three_seconds_of_waking() {
    let (world, line, ann) = begin(Settings::default()).await;
    ann.open(&street()).await;
    for (minutes, call) in [(4, "heartbeat"), (10, "acquire")] {
        let before = line.log(call).len();
        ann.clock.sleep(Duration::from_secs(minutes * 60));
        let woken = Instant::now();
        until("it asks", async || (line.log(call).len() > before).then_some(())).await;
        assert!(woken.elapsed() < Duration::from_secs(3));
        editing(&ann).await;
    }
    // Nobody had taken it: the server's own clock did not move, and the grant is the same.
    assert_eq!(world.lock(&street()).await.expect("a lock").generation.0, 1);
    assert!(!ann.told().iter().any(is_lost));
}

#[tokio::test]
async fn a_closing_that_gave_up_waiting_does_not_leave_the_window_saying_that_it_sends() {
    let (_world, line, ann) = begin(Settings::default()).await;
    ann.open(&street()).await;
    line.plan("POST /api/v1/annotations", 1, Fault::Busy(5));
    ann.draw(1.0).await;
    until("the server asked for a pause", async || {
        (line.log("POST /api/v1/annotations").len() == 1 && ann.client.save().state == SaveState::SavedHere)
            .then_some(())
    })
    .await;
    line.plan("POST /api/v1/annotations", usize::MAX, Fault::Hang);
    ann.client.close_image().await.expect("closed");
    assert_eq!(ann.client.save().state, SaveState::SavedHere);
}

#[tokio::test]
async fn e9_a_release_that_got_no_answer_is_asked_again_while_the_window_stays_online() {
    let (world, line, ann) = begin(Settings::default()).await;
    ann.open(&street()).await;
    line.plan("DELETE /api/v1/image-locks", 1, Fault::Busy(1));
    ann.client.close_image().await.expect("closed");
    assert_eq!(world.locks().await, 1, "it did not arrive");
    until("the lock is given back", async || {
        (world.locks().await == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_lock_that_a_save_was_granted_anew_is_given_back_when_all_is_sent() {
    let (world, line, ann) = begin(quick()).await;
    ann.open(&street()).await;
    line.plan("POST /api/v1/annotations", usize::MAX, Fault::Busy(1));
    ann.draw(1.0).await;
    ann.draw(2.0).await;
    ann.client.close_image().await.expect("closed");
    assert_eq!(world.locks().await, 0);
    line.heal();
    // The lease is shorter than the first save takes, and nobody beats for a lock that is only for sending.
    line.plan(
        "POST /api/v1/annotations",
        1,
        Fault::Delay(Duration::from_millis(3500)),
    );
    until("both are stored", async || {
        (world.stored(&street()).await.len() == 2).then_some(())
    })
    .await;
    let stored = Instant::now();
    until("the image is free", async || {
        (world.locks().await == 0).then_some(())
    })
    .await;
    assert!(
        stored.elapsed() < Duration::from_secs(1),
        "{:?}",
        stored.elapsed()
    );
}
