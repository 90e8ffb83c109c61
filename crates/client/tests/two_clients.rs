//! Two people's clients against the real server: locks, saves, conflicts, absence and return.

mod world;

use std::sync::Arc;
use std::time::{Duration, Instant};

use lockstep_client::view::{
    Access, AnnotationSync, Event, LockView, Notice, OpenOutcome, Resolution, SaveState,
};
use lockstep_server::Settings;
use lockstep_server::service::LabelFields;
use lockstep_wire::{AnnotationFields, AnnotationId, LockLoss, Version};
use world::{World, at_x, harbour, project, quick, street, time_passes, until};

fn conflict(event: &Event) -> Option<lockstep_client::view::ConflictView> {
    match event {
        Event::Conflict(view) => Some((**view).clone()),
        _ => None,
    }
}

fn image_free(event: &Event) -> Option<String> {
    match event {
        Event::Notice(Notice::ImageFree { file_name, .. }) => Some(file_name.clone()),
        _ => None,
    }
}

#[tokio::test]
async fn an_image_is_locked_edited_and_saved_and_the_other_is_told_who_has_it() {
    let world = World::begin(Settings::default()).await;
    let (ann, ben) = (world.window("ann").await, world.window("ben").await);
    let opened = ann.open(&street()).await;
    assert!(matches!(opened.session.access, Access::Editing { .. }));
    assert_eq!(world.holder(&street()).await.as_deref(), Some("ann"));

    let id = ann.draw(1.0).await;
    ann.synced().await;
    assert_eq!(world.stored(&street()).await[0].version, Version(1));

    let outcome = ben
        .client
        .open_image(&project(), &street(), false)
        .await
        .expect("an outcome");
    let OpenOutcome::Locked { holder } = outcome else {
        panic!("opened")
    };
    assert_eq!(holder.user_name, "ann");
    until("Ben's list shows who has it", async || {
        matches!(ben.row_lock(&street()).await, LockView::Theirs { user_name, .. } if user_name == "ann")
            .then_some(())
    })
    .await;
    let looked = ben
        .client
        .open_read_only(&project(), &street())
        .await
        .expect("open");
    assert_eq!(looked.annotations[0].id, id);
    assert_eq!(looked.annotations[0].sync, AnnotationSync::Synced);
    assert!(ben.client.undo().await.is_err(), "looking only");

    ann.put(&id, at_x(2.0)).await;
    until("Ben sees it move", async || {
        ben.told()
            .iter()
            .any(|event| matches!(event, Event::Annotations(delta) if delta.changed[0].fields == at_x(2.0)))
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn closing_sends_the_last_edit_and_frees_the_image_and_the_watcher_is_told_within_two_seconds() {
    let world = World::begin(Settings::default()).await;
    let (ann, ben) = (world.window("ann").await, world.window("ben").await);
    ann.open(&street()).await;
    ben.client
        .open_read_only(&project(), &street())
        .await
        .expect("open");
    ben.client.watch(&project(), &street()).await.expect("watching");
    until("the watch shows", async || {
        ben.client
            .images(&project())
            .await
            .expect("rows")
            .iter()
            .any(|row| row.watched)
            .then_some(())
    })
    .await;

    ann.draw(1.0).await;
    ann.client.close_image().await.expect("closed");
    let released = Instant::now();
    assert_eq!(world.holder(&street()).await, None);
    assert_eq!(world.stored(&street()).await.len(), 1);
    let name = ben.told_of("Ben is told", image_free).await;
    assert!(
        released.elapsed() < Duration::from_secs(2),
        "{:?}",
        released.elapsed()
    );
    assert_eq!(name, "street.png");
    until("he sees that it is free", async || {
        matches!(ben.access().await, Some(Access::ReadOnly { free: true, .. })).then_some(())
    })
    .await;
    assert!(matches!(
        ben.client.take_back().await,
        Ok(OpenOutcome::Opened { .. })
    ));

    // Once, and not for his own release.
    ben.client.close_image().await.expect("closed");
    until("the list shows it free again", async || {
        (ben.row_lock(&street()).await == LockView::Free).then_some(())
    })
    .await;
    assert_eq!(ben.told().iter().filter_map(image_free).count(), 1);
}

#[tokio::test]
async fn a_watch_survives_a_restart() {
    let world = World::begin(Settings::default()).await;
    let (ann, ben) = (world.window("ann").await, world.window("ben").await);
    ann.open(&street()).await;
    ben.client.watch(&project(), &street()).await.expect("watching");
    let ben = ben.crash().rise();
    ann.client.close_image().await.expect("closed");
    ben.told_of("Ben is told", image_free).await;
}

#[tokio::test]
async fn e11_a_window_that_flips_between_images_holds_one_at_the_most_and_leaks_none() {
    let world = World::begin(Settings::default()).await;
    let ann = world.window("ann").await;
    let mut calls = Vec::new();
    for round in 0..40 {
        let client = ann.client.clone();
        let image = if round % 2 == 0 { street() } else { harbour() };
        calls.push(tokio::spawn(async move {
            client.open_image(&project(), &image, false).await
        }));
        time_passes(Duration::from_millis(10)).await;
        assert!(world.locks().await <= 1);
    }
    let mut opened = 0;
    for call in calls {
        opened += usize::from(call.await.expect("no panic").is_ok());
    }
    assert!(opened >= 1);
    assert_eq!(world.holder(&harbour()).await.as_deref(), Some("ann"));
    assert_eq!(world.locks().await, 1);
    ann.client.close_image().await.expect("closed");
    assert_eq!(world.locks().await, 0);
}

#[tokio::test]
async fn beats_keep_a_short_lease_for_as_long_as_the_image_is_open() {
    let world = World::begin(quick()).await;
    let ann = world.window("ann").await;
    ann.open(&street()).await;
    // Three leases long; there is nothing to wait for but time itself.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(9) {
        assert_eq!(world.holder(&street()).await.as_deref(), Some("ann"));
        time_passes(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn e20_a_forced_release_keeps_the_draft_and_nothing_is_taken_again_unasked() {
    let world = World::begin(quick()).await;
    let (ann, olga) = (world.window("ann").await, world.window("olga").await);
    ann.open(&street()).await;
    let id = ann.draw(1.0).await;
    ann.synced().await;
    olga.client
        .force_release(&project(), &street())
        .await
        .expect("forced");
    // She may or may not have heard of it when she draws.
    let change = lockstep_client::view::EditChange::Put {
        id: id.clone(),
        fields: at_x(2.0),
    };
    let drawn = ann
        .client
        .edit(lockstep_client::view::Edit {
            changes: vec![change],
        })
        .await
        .is_ok();
    let by = ann
        .told_of("Ann is told", |event| match event {
            Event::Notice(Notice::LockLost {
                reason: LockLoss::Forced,
                by,
                ..
            }) => Some(by.clone()),
            _ => None,
        })
        .await;
    assert_eq!(by.as_deref(), Some("olga"));
    assert!(matches!(
        ann.access().await,
        Some(Access::Lost {
            reason: LockLoss::Forced,
            ..
        })
    ));
    assert_eq!(world.holder(&street()).await, None);
    assert_eq!(world.stored(&street()).await[0].fields, at_x(1.0));
    assert_eq!(ann.client.save().unsent, u32::from(drawn));
    assert!(matches!(
        ann.client
            .edit(lockstep_client::view::Edit { changes: vec![] })
            .await,
        Err(lockstep_client::Error::NotEditing)
    ));

    until(
        "it is hers again when she asks and the hold is over",
        async || matches!(ann.client.take_back().await, Ok(OpenOutcome::Opened { .. })).then_some(()),
    )
    .await;
    ann.synced().await;
    let expected = if drawn { at_x(2.0) } else { at_x(1.0) };
    assert_eq!(world.stored(&street()).await[0].fields, expected);
}

#[tokio::test]
async fn e30_a_window_that_died_finds_its_work_and_its_lock_again() {
    let mut world = World::begin(Settings::default()).await;
    let ann = world.window("ann").await;
    ann.open(&street()).await;
    let first = ann.draw(1.0).await;
    ann.synced().await;
    world.stop().await;
    ann.told_of("she is told that she is offline", |event| {
        matches!(event, Event::Connection { online: false }).then_some(())
    })
    .await;
    let second = ann.draw(2.0).await;
    assert_eq!(ann.client.save().state, SaveState::Offline);
    let ann = ann.crash().rise();
    assert_eq!(ann.client.save().unsent, 1);
    let opened = ann.open(&street()).await;
    assert_eq!(opened.session.access, Access::Offline);
    let ids: Vec<AnnotationId> = opened.annotations.iter().map(|view| view.id.clone()).collect();
    assert_eq!(ids, [first.clone(), second.clone()]);
    assert!(opened.history.can_undo);
    ann.client.undo().await.expect("undone");
    ann.client.redo().await.expect("done again");

    world.start_again().await;
    ann.synced().await;
    assert_eq!(world.stored(&street()).await.len(), 2);
    until("she has the lock again", async || {
        matches!(ann.access().await, Some(Access::Editing { .. })).then_some(())
    })
    .await;
    assert_eq!(world.holder(&street()).await.as_deref(), Some("ann"));
}

#[tokio::test]
async fn a_lock_that_a_dead_window_left_is_given_back_at_the_next_start() {
    let world = World::begin(Settings::default()).await;
    let ann = world.window("ann").await;
    ann.open(&street()).await;
    let grave = ann.crash();
    assert_eq!(world.holder(&street()).await.as_deref(), Some("ann"));
    let _ann = grave.rise();
    until("it is given back", async || {
        world.holder(&street()).await.is_none().then_some(())
    })
    .await;
}

#[tokio::test]
async fn s9_what_was_drawn_offline_arrives_after_a_restart_without_a_click() {
    let mut world = World::begin(Settings::default()).await;
    let ann = world.window("ann").await;
    ann.open(&street()).await;
    world.stop().await;
    ann.told_of("offline", |event| {
        matches!(event, Event::Connection { online: false }).then_some(())
    })
    .await;
    ann.draw(1.0).await;
    ann.client.shutdown(Duration::from_millis(1500)).await;
    let ann = ann.crash().rise();
    world.start_again().await;
    let back = Instant::now();
    ann.synced().await;
    assert!(back.elapsed() < Duration::from_secs(10), "{:?}", back.elapsed());
    assert_eq!(world.stored(&street()).await.len(), 1);
    until("no lock is left", async || {
        (world.locks().await == 0).then_some(())
    })
    .await;
}

/// Ann draws a box, and while her machine is away Olga moves it and so does Ann.
async fn two_who_moved_the_same_box(hers: AnnotationFields) -> (World, world::Window, AnnotationId) {
    let mut world = World::begin(Settings::default()).await;
    let (ann, olga) = (world.window("ann").await, world.window("olga").await);
    ann.open(&street()).await;
    let id = ann.draw(1.0).await;
    ann.synced().await;
    ann.client.close_image().await.expect("closed");
    ann.client.shutdown(Duration::from_millis(1500)).await;
    olga.open(&street()).await;
    olga.put(&id, at_x(5.0)).await;
    olga.synced().await;
    olga.client.close_image().await.expect("closed");
    // Ann starts her machine where there is no network.
    world.stop().await;
    let ann = ann.crash().rise();
    let opened = ann.open(&street()).await;
    assert_eq!(opened.annotations[0].fields, at_x(1.0), "as she left it");
    ann.put(&id, hers).await;
    world.start_again().await;
    (world, ann, id)
}

#[tokio::test]
async fn e25_the_same_field_changed_by_both_is_shown_as_a_conflict_and_overwrite_sends_mine_again() {
    let (world, ann, id) = two_who_moved_the_same_box(at_x(9.0)).await;
    let found = ann.told_of("the conflict", conflict).await;
    assert_eq!(found.annotation_id, id);
    assert_eq!(
        (found.your_version, found.current_version),
        (Version(1), Version(2))
    );
    assert_eq!(found.last_updated_by, "olga");
    assert_eq!((found.base, found.mine), (Some(at_x(1.0)), Some(at_x(9.0))));
    assert_eq!(found.theirs.map(|theirs| theirs.fields), Some(at_x(5.0)));
    assert_eq!(found.fields, ["geometry"]);
    // Cancel is doing nothing: nothing is stored, and it waits on.
    assert_eq!(world.stored(&street()).await[0].fields, at_x(5.0));
    assert_eq!(ann.client.conflicts().await.expect("conflicts").len(), 1);
    until("the status shows it", async || {
        (ann.client.save().state == SaveState::Conflict).then_some(())
    })
    .await;

    ann.client
        .resolve(&id, Resolution::Overwrite)
        .await
        .expect("decided");
    ann.synced().await;
    let stored = world.stored(&street()).await;
    assert_eq!((stored[0].version, &stored[0].fields), (Version(3), &at_x(9.0)));
    let kept = ann.client.kept(&project(), &street()).await.expect("kept");
    assert_eq!(
        (kept[0].author.as_deref(), &kept[0].fields),
        (Some("olga"), &Some(at_x(5.0)))
    );
    assert_eq!(ann.told().iter().filter_map(conflict).count(), 1, "told once");

    // What lost is one undo away.
    until("she has the lock", async || {
        matches!(ann.access().await, Some(Access::Editing { .. })).then_some(())
    })
    .await;
    ann.client.undo().await.expect("undone");
    ann.synced().await;
    assert_eq!(world.stored(&street()).await[0].fields, at_x(5.0));
}

#[tokio::test]
async fn reload_latest_takes_the_servers_version_and_keeps_mine_recoverable() {
    let (world, ann, id) = two_who_moved_the_same_box(at_x(9.0)).await;
    ann.told_of("the conflict", conflict).await;
    let delta = ann
        .client
        .resolve(&id, Resolution::ReloadLatest)
        .await
        .expect("decided")
        .expect("it is open");
    assert_eq!(delta.changed[0].fields, at_x(5.0));
    ann.synced().await;
    let stored = world.stored(&street()).await;
    assert_eq!((stored[0].version, &stored[0].fields), (Version(2), &at_x(5.0)));
    let kept = ann.client.kept(&project(), &street()).await.expect("kept");
    assert_eq!(
        (kept[0].author.as_deref(), &kept[0].fields),
        (None, &Some(at_x(9.0)))
    );
    until("she has the lock", async || {
        matches!(ann.access().await, Some(Access::Editing { .. })).then_some(())
    })
    .await;
    ann.client.restore(kept[0].id).await.expect("restored");
    ann.synced().await;
    assert_eq!(world.stored(&street()).await[0].fields, at_x(9.0));
}

#[tokio::test]
async fn e25_fields_that_one_side_alone_changed_are_merged_silently() {
    let mut hers = at_x(1.0);
    hers.attributes.insert("occluded".to_owned(), true.into());
    let (world, ann, _) = two_who_moved_the_same_box(hers.clone()).await;
    ann.synced().await;
    let merged = AnnotationFields {
        geometry: at_x(5.0).geometry,
        ..hers
    };
    let stored = world.stored(&street()).await;
    assert_eq!((stored[0].version, &stored[0].fields), (Version(3), &merged));
    assert_eq!(ann.told().iter().filter_map(conflict).count(), 0);
}

#[tokio::test]
async fn e26_offline_work_on_an_image_that_another_has_waits_and_goes_when_it_is_free() {
    let mut world = World::begin(Settings::default()).await;
    let ann = world.window("ann").await;
    ann.client.shutdown(Duration::from_millis(1500)).await;
    let grave = ann.crash();
    let address = grave.server.clone();
    world.stop().await;
    let ann = grave.rise();
    assert_eq!(ann.open(&street()).await.session.access, Access::Offline);
    ann.draw(1.0).await;
    let dead = ann.crash();
    world.start_again().await;
    assert_eq!(address, world.url());
    let ben = world.window("ben").await;
    ben.open(&street()).await;
    let ann = dead.rise();
    ann.told_of("online", |event| {
        matches!(event, Event::Connection { online: true }).then_some(())
    })
    .await;
    until("she knows that Ben has it", async || {
        matches!(ann.row_lock(&street()).await, LockView::Theirs { .. }).then_some(())
    })
    .await;
    assert_eq!(ann.client.save().unsent, 1);
    assert!(world.stored(&street()).await.is_empty());
    ben.client.close_image().await.expect("closed");
    ann.synced().await;
    assert_eq!(world.stored(&street()).await.len(), 1);
}

#[tokio::test]
async fn what_was_deleted_and_sent_comes_back_by_undo() {
    let world = World::begin(Settings::default()).await;
    let ann = world.window("ann").await;
    ann.open(&street()).await;
    let id = ann.draw(1.0).await;
    ann.synced().await;
    let change = lockstep_client::view::EditChange::Remove { id: id.clone() };
    let delta = ann
        .client
        .edit(lockstep_client::view::Edit {
            changes: vec![change],
        })
        .await
        .expect("removed");
    assert_eq!(delta.removed, std::slice::from_ref(&id));
    ann.synced().await;
    assert!(world.stored(&street()).await.is_empty());
    ann.client.undo().await.expect("undone");
    ann.synced().await;
    let stored = world.stored(&street()).await;
    assert_eq!((&stored[0].id, &stored[0].fields), (&id, &at_x(1.0)));
}

#[tokio::test]
async fn a_label_that_is_added_changed_or_deleted_at_the_server_is_told() {
    let world = World::begin(Settings::default()).await;
    let ann = world.window("ann").await;
    ann.synced().await;
    let (olga, service) = (world.user("olga"), world.service());
    let named = |name: &str| LabelFields {
        name: Some(name.to_owned()),
        ..LabelFields::default()
    };
    let told = async |names: &[&str]| {
        until("the labels are told", async || {
            let told = ann.told().into_iter().rev().find_map(|event| match event {
                Event::Labels { labels, .. } => Some(labels),
                _ => None,
            })?;
            told.iter()
                .map(|label| label.name.as_str())
                .eq(names.iter().copied())
                .then_some(())
        })
        .await;
    };
    let cat = service
        .add_label(olga, &project(), named("cat"))
        .await
        .expect("a label");
    told(&["cat"]).await;
    service
        .add_label(olga, &project(), named("dog"))
        .await
        .expect("a label");
    told(&["cat", "dog"]).await;
    service
        .change_label(olga, &project(), &cat.id, named("tom"))
        .await
        .expect("changed");
    told(&["tom", "dog"]).await;
    service
        .delete_label(olga, &project(), &cat.id)
        .await
        .expect("deleted");
    told(&["dog"]).await;
}

#[tokio::test]
async fn l17_of_an_answer_and_the_facts_that_overtake_it_the_latest_number_tells_the_truth() {
    let world = World::begin(Settings::default()).await;
    let ann = world.window("ann").await;
    let answer = ann.open(&street()).await.session;
    world
        .service()
        .force_release(world.user("olga"), project(), street())
        .await
        .expect("forced");
    until("she is told", async || {
        matches!(ann.access().await, Some(Access::Lost { .. })).then_some(())
    })
    .await;
    let facts: Vec<_> = ann
        .told()
        .into_iter()
        .filter_map(|event| match event {
            Event::Session(view) => Some(view),
            _ => None,
        })
        .collect();
    assert!(facts.is_sorted_by(|one, next| one.as_of < next.as_of));
    assert!(facts.iter().all(|fact| fact.as_of != answer.as_of));
    // In whichever order they reach the window.
    let latest = facts.into_iter().chain([answer]).max_by_key(|view| view.as_of);
    assert!(latest.is_some_and(|view| matches!(view.access, Access::Lost { .. })));
}

#[tokio::test]
async fn who_may_only_look_opens_read_only() {
    let world = World::begin(Settings::default()).await;
    let vera = world.window("vera").await;
    let opened = vera.open(&street()).await;
    assert_eq!(
        opened.session.access,
        Access::ReadOnly {
            holder: None,
            free: false
        }
    );
    assert_eq!(world.locks().await, 0);
}

#[tokio::test]
async fn e22_the_same_person_in_another_window_is_told_so_and_may_take_over() {
    let world = World::begin(quick()).await;
    let (laptop, desktop) = (world.window("ann").await, world.window("ann").await);
    laptop.open(&street()).await;
    let outcome = desktop
        .client
        .open_image(&project(), &street(), false)
        .await
        .expect("an outcome");
    let OpenOutcome::Locked { holder } = outcome else {
        panic!("opened")
    };
    assert!(holder.is_me);
    let outcome = desktop
        .client
        .open_image(&project(), &street(), true)
        .await
        .expect("an outcome");
    assert!(matches!(outcome, OpenOutcome::Opened { .. }));
    until("the laptop sees it", async || {
        matches!(
            laptop.access().await,
            Some(Access::Lost {
                reason: LockLoss::TakenOver,
                ..
            })
        )
        .then_some(())
    })
    .await;
}

#[tokio::test]
async fn everything_visited_once_works_without_the_network() {
    let mut world = World::begin(Settings::default()).await;
    let ann = world.window("ann").await;
    ann.open(&street()).await;
    ann.draw(1.0).await;
    ann.synced().await;
    ann.client
        .picture(&project(), &street())
        .await
        .expect("a picture");
    ann.client
        .thumbnail(&project(), &street())
        .await
        .expect("a thumbnail");
    ann.client.shutdown(Duration::from_millis(1500)).await;
    let grave = ann.crash();
    world.stop().await;
    let ann = grave.rise();
    assert_eq!(
        ann.client.account().await.user.map(|user| user.name).as_deref(),
        Some("ann")
    );
    assert_eq!(ann.client.projects().await.expect("projects").len(), 1);
    assert_eq!(ann.client.open_project(&project()).await.expect("rows").len(), 2);
    assert_eq!(ann.open(&street()).await.annotations.len(), 1);
    let (media_type, bytes) = ann
        .client
        .picture(&project(), &street())
        .await
        .expect("a picture");
    assert_eq!((media_type.as_str(), &bytes[1..4]), ("image/png", &b"PNG"[..]));
    assert!(ann.client.thumbnail(&project(), &street()).await.is_ok());
    assert_eq!(ann.open(&harbour()).await.session.access, Access::Offline);
    let missing = ann.client.picture(&project(), &harbour()).await;
    assert_eq!(missing.err(), Some(lockstep_client::Error::PictureNotHere));
}

#[tokio::test]
async fn the_same_core_runs_over_the_server_in_its_own_process() {
    let world = World::begin(Settings::default()).await;
    let folder = tempfile::tempdir().expect("a folder");
    let (config, ports) = world::machine(world.url(), folder.path(), &Arc::default(), &Arc::default());
    let (client, _events) = lockstep_client::Client::start_with(config, ports, world.service().caller())
        .await
        .expect("a client");
    client
        .sign_in(&world::email("ann"), world::PASSWORD)
        .await
        .expect("signed in");
    client.open_project(&project()).await.expect("rows");
    let opened = client
        .open_image(&project(), &street(), false)
        .await
        .expect("an outcome");
    assert!(matches!(opened, OpenOutcome::Opened { .. }));
    assert_eq!(world.holder(&street()).await.as_deref(), Some("ann"));
    client.shutdown(Duration::from_millis(1500)).await;
    assert_eq!(world.locks().await, 0);
}
