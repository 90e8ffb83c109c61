//! Edge cases of `invariants.md`, each under its id, over plain HTTP.

#[macro_use]
mod world;

use std::time::Duration;

use futures::StreamExt as _;
use lockstep_server::Settings;
use lockstep_wire::{ProjectId, Role, UserId, routes};
use reqwest::Method;
use serde_json::{Value, json};
use world::{
    Engine, IMAGE, OTHER_IMAGE, PROJECT, Person, World, answer, boxed, error, events, millis, picture,
    tinted_picture,
};

on_every_engine![
    e1_an_acquire_whose_answer_was_lost_is_refreshed_under_the_same_generation,
    e2_of_many_who_acquire_at_once_exactly_one_is_given_the_image,
    e6_a_save_whose_answer_was_lost_is_replayed,
    e7_a_replay_says_that_a_newer_version_exists,
    e8_a_key_is_good_for_one_request_alone,
    e9_a_release_that_comes_late_has_no_effect_on_the_next_holder,
    e20_a_holder_who_was_thrown_out_is_told_by_whom_whether_or_not_he_names_his_lock,
    e21_forcing_needs_the_right_and_a_stranger_learns_nothing,
    e22_a_second_window_of_the_same_person_is_told_so_and_may_take_over,
    e29_a_deleted_image_is_gone_for_its_holder_but_not_what_he_saved_before,
    e37_a_client_that_knows_part_a_alone_works_by_versions_and_423,
    e4_a_lock_that_merely_lapsed_is_granted_anew_by_the_next_save,
    e22_a_lock_that_a_save_was_granted_anew_still_says_on_which_machine,
    l4_l6_a_restart_keeps_locks_saves_and_generations,
    a_deleted_annotation_conflicts_and_overwriting_brings_it_back,
    a_create_is_known_again_by_its_id,
    requests_that_are_not_of_the_contract_are_refused_in_its_words,
    signing_in_tells_nobody_which_accounts_there_are_and_sessions_end,
    images_are_uploaded_listed_and_fetched_once,
    watchers_hear_of_locks_lapses_and_changes,
    a_watcher_who_was_away_hears_at_once_what_he_missed_and_else_nothing,
    whoever_is_no_longer_a_member_hears_no_more,
    one_refused_write_of_a_batch_does_not_hold_up_the_others,
    labels_and_members_are_for_managers_to_change,
    two_owners_who_relieve_each_other_at_once_leave_one,
    two_who_change_different_fields_of_a_label_at_once_lose_neither,
    e21_a_refused_attempt_upon_anothers_lock_is_in_the_audit_log,
    an_upload_by_who_may_not_is_refused_before_it_is_read,
    a_batch_changes_its_own_image_alone,
    e8_e27_whoever_must_sign_in_again_finds_his_lock_and_sends_the_same_again,
    e28_whoever_may_no_longer_edit_is_refused_and_his_lock_is_free_at_once,
];

const KEY: &str = routes::IDEMPOTENCY_KEY;
const GENERATION: &str = routes::LOCK_GENERATION;
/// A lease.
const FIVE_MINUTES: u64 = 5 * 60 * 1000;

async fn e1_an_acquire_whose_answer_was_lost_is_refreshed_under_the_same_generation(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let ann = world.sign_in("ann").await.at("w1");
    let (_, first) = ann.acquire(IMAGE).await;
    let (_, again) = ann.acquire(IMAGE).await;
    assert_eq!(
        (&first["status"], &again["status"]),
        (&json!("acquired"), &json!("refreshed"))
    );
    assert_eq!(first["lock"]["generation"], again["lock"]["generation"]);
}

async fn e2_of_many_who_acquire_at_once_exactly_one_is_given_the_image(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let (ann, ben) = (world.sign_in("ann").await, world.sign_in("ben").await);
    for round in 0..10 {
        let attempts = (0..10).map(|n| {
            let who = if n % 2 == 0 {
                ann.at(&format!("a{n}"))
            } else {
                ben.at(&format!("b{n}"))
            };
            async move { who.acquire(IMAGE).await.1["status"] == "acquired" }
        });
        let given = futures::future::join_all(attempts)
            .await
            .into_iter()
            .filter(|given| *given)
            .count();
        assert_eq!(given, 1, "round {round}");
        let locks = ann.locks().await;
        let holder = if locks[0]["user_id"] == ann.id { &ann } else { &ben };
        assert_eq!(holder.release(IMAGE).await.1["status"], "released");
    }
}

async fn e6_a_save_whose_answer_was_lost_is_replayed(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let ann = world.sign_in("ann").await;
    let id = ann.drew(IMAGE, 1.0).await;
    let (_, first) = ann.save_with(&id, 1, 2.0, &[(KEY, "k1")]).await;
    let (status, again) = ann.save_with(&id, 1, 2.0, &[(KEY, "k1")]).await;
    assert_eq!(
        (status, &again["replayed"], &again["version"]),
        (200, &json!(true), &json!(2))
    );
    assert_eq!(
        (&again["geometry"], &again["newest_version"]),
        (&first["geometry"], &Value::Null)
    );
    assert_eq!(ann.annotations(IMAGE).await[0]["version"], 2);

    // A create and a delete alike.
    let body = json!({"image_id": IMAGE, "geometry": boxed(5.0)});
    let (created, first) = ann.draw_with(body.clone(), &[(KEY, "k2")]).await;
    let (replayed, again) = ann.draw_with(body, &[(KEY, "k2")]).await;
    assert_eq!((created, replayed, &first["id"]), (201, 200, &again["id"]));
    assert_eq!(ann.annotations(IMAGE).await.len(), 2);
    let (_, body) = ann.delete(&id, 2).await;
    assert_eq!((&body["deleted"], &body["version"]), (&json!(true), &json!(3)));
}

async fn e7_a_replay_says_that_a_newer_version_exists(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let (ann, ben) = (world.sign_in("ann").await, world.sign_in("ben").await);
    let id = ann.drew(IMAGE, 1.0).await;
    ann.save_with(&id, 1, 2.0, &[(KEY, "k1")]).await;
    assert_eq!(ben.save(&id, 2, 3.0).await.0, 200);
    ben.acquire(IMAGE).await;
    let (status, again) = ann.save_with(&id, 1, 2.0, &[(KEY, "k1")]).await;
    assert_eq!(
        (status, &again["version"], &again["newest_version"]),
        (200, &json!(2), &json!(3))
    );
    assert_eq!(again["geometry"], boxed(2.0));
    assert_eq!(ann.annotations(IMAGE).await[0]["geometry"], boxed(3.0));
}

async fn e8_a_key_is_good_for_one_request_alone(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let (ann, ben) = (world.sign_in("ann").await, world.sign_in("ben").await);
    let id = ann.drew(IMAGE, 1.0).await;
    ann.save_with(&id, 1, 2.0, &[(KEY, "k1")]).await;
    let (status, body) = ann.save_with(&id, 2, 9.0, &[(KEY, "k1")]).await;
    assert_eq!((status, error(&body)), (422, "key_reused"));
    assert_eq!(ann.annotations(IMAGE).await[0]["geometry"], boxed(2.0));
    // Another person's keys are his own.
    assert_eq!(ben.save_with(&id, 2, 3.0, &[(KEY, "k1")]).await.0, 200);
}

async fn e9_a_release_that_comes_late_has_no_effect_on_the_next_holder(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let (ann, ben) = (world.sign_in("ann").await, world.sign_in("ben").await);
    let (_, anns) = ann.acquire(IMAGE).await;
    assert_eq!(ann.release(IMAGE).await.1["status"], "released");
    assert_eq!(ann.release(IMAGE).await.1["status"], "not_held");
    ben.acquire(IMAGE).await;
    assert_eq!(ann.release(IMAGE).await.1["status"], "not_held");
    assert_eq!(ben.status(IMAGE).await["user_id"], ben.id);

    // Nor on one's own next lock, when the release names the one it means.
    ben.release(IMAGE).await;
    ann.acquire(IMAGE).await;
    let path = routes::path(routes::LOCK, &[PROJECT, IMAGE]);
    let late = format!("{path}?generation={}", anns["lock"]["generation"]);
    assert_eq!(
        ann.call(Method::DELETE, &late, None).await.1["status"],
        "not_held"
    );
    assert_eq!(ann.status(IMAGE).await["user_id"], ann.id);
}

async fn e20_a_holder_who_was_thrown_out_is_told_by_whom_whether_or_not_he_names_his_lock(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let olga = world.sign_in("olga").await;
    let ann = world.sign_in("ann").await.at("w1");
    let (_, body) = ann.acquire(IMAGE).await;
    let generation = body["lock"]["generation"].to_string();
    assert_eq!(olga.force(IMAGE).await.1["status"], "released");
    for headers in [vec![], vec![(GENERATION, generation.as_str())]] {
        let (status, body) = ann
            .draw_with(json!({"image_id": IMAGE, "geometry": boxed(1.0)}), &headers)
            .await;
        assert_eq!((status, error(&body)), (423, "lock_expired"));
        assert_eq!(
            (&body["detail"]["reason"], &body["detail"]["by"]["user_name"]),
            (&json!("forced"), &json!("olga"))
        );
        millis(&body["detail"]["at"]);
    }
    assert_eq!(ann.heartbeat(IMAGE).await.0, 423);
    assert!(ann.annotations(IMAGE).await.is_empty());
    // Olga may, even without a lock: the image is kept for her.
    assert_eq!(olga.draw(IMAGE, 1.0).await.0, 201);
    assert_eq!(olga.acquire(IMAGE).await.1["status"], "acquired");
}

async fn e21_forcing_needs_the_right_and_a_stranger_learns_nothing(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let (ann, ben, stan) = (
        world.sign_in("ann").await,
        world.sign_in("ben").await,
        world.sign_in("stan").await,
    );
    ann.acquire(IMAGE).await;
    let id = ann.drew(IMAGE, 1.0).await;
    assert_eq!(ben.force(IMAGE).await.0, 403);
    assert_eq!(ben.acquire_with(IMAGE, json!({"take_over": true})).await.0, 403);
    assert_eq!(stan.force(IMAGE).await.0, 404);
    assert_eq!(stan.acquire(IMAGE).await.0, 404);
    assert_eq!(stan.heartbeat(IMAGE).await.0, 404);
    assert_eq!(stan.save(&id, 1, 9.0).await.0, 404);
    for route in [
        routes::LOCKS,
        routes::LABELS,
        routes::IMAGES,
        routes::MEMBERS,
        routes::CHANGES,
        routes::EVENTS,
    ] {
        assert_eq!(stan.get(&routes::path(route, &[PROJECT])).await.0, 404, "{route}");
    }
    for route in [
        routes::CONTENT,
        routes::THUMBNAIL,
        routes::IMAGE_ANNOTATIONS,
        routes::LOCK_STATUS,
    ] {
        assert_eq!(
            stan.get(&routes::path(route, &[PROJECT, IMAGE])).await.0,
            404,
            "{route}"
        );
    }
    assert_eq!(stan.get(&routes::path(routes::HISTORY, &[&id])).await.0, 404);
    assert_eq!(stan.get(&routes::path(routes::PROJECTS, &[])).await.1, json!([]));
    assert_eq!(ann.status(IMAGE).await["user_id"], ann.id);
}

async fn e22_a_second_window_of_the_same_person_is_told_so_and_may_take_over(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let ann = world.sign_in("ann").await;
    let (laptop, desktop) = (ann.at("laptop"), ann.at("desktop"));
    let (_, first) = laptop.acquire(IMAGE).await;
    let (_, body) = desktop.acquire(IMAGE).await;
    assert_eq!(body["status"], "already_locked");
    assert_eq!(body["locked_by"]["user_id"], ann.id);
    assert_eq!(body["locked_by"]["device"], "laptop's machine");

    let (_, body) = desktop.acquire_with(IMAGE, json!({"take_over": true})).await;
    assert_eq!(body["status"], "acquired");
    assert!(body["lock"]["generation"].as_i64() > first["lock"]["generation"].as_i64());

    let (status, body) = laptop.heartbeat(IMAGE).await;
    assert_eq!((status, &body["detail"]["reason"]), (423, &json!("taken_over")));
    let (status, body) = laptop.draw(IMAGE, 1.0).await;
    assert_eq!((status, &body["detail"]["reason"]), (423, &json!("taken_over")));
    assert_eq!(laptop.release(IMAGE).await.1["status"], "not_held");
    assert_eq!(desktop.draw(IMAGE, 1.0).await.0, 201);
}

async fn e29_a_deleted_image_is_gone_for_its_holder_but_not_what_he_saved_before(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let (ann, olga) = (world.sign_in("ann").await, world.sign_in("olga").await);
    ann.acquire(IMAGE).await;
    let id = ann.drew(IMAGE, 1.0).await;
    ann.save_with(&id, 1, 2.0, &[(KEY, "k1")]).await;
    let image = routes::path(routes::IMAGE, &[PROJECT, IMAGE]);
    assert_eq!(ann.call(Method::DELETE, &image, None).await.0, 403);
    assert_eq!(olga.call(Method::DELETE, &image, None).await.0, 204);

    assert_eq!(ann.save(&id, 2, 3.0).await.0, 410);
    assert_eq!(ann.draw(IMAGE, 3.0).await.0, 410);
    assert_eq!(ann.heartbeat(IMAGE).await.0, 410);
    assert_eq!(ann.acquire(IMAGE).await.0, 410);
    let (status, body) = ann.save_with(&id, 1, 2.0, &[(KEY, "k1")]).await;
    assert_eq!(
        (status, &body["replayed"]),
        (200, &json!(true)),
        "an applied write is never refused"
    );
    let (_, body) = ann.get(&routes::path(routes::IMAGES, &[PROJECT])).await;
    assert_eq!(body["images"].as_array().map(Vec::len), Some(1));
}

async fn e37_a_client_that_knows_part_a_alone_works_by_versions_and_423(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let (ann, ben) = (
        world.sign_in("ann").await,
        world.sign_in("ben").await.at("new client"),
    );
    // It may write without ever locking, while nobody holds the image.
    let id = ann.drew(IMAGE, 1.0).await;
    assert_eq!(ann.save(&id, 1, 2.0).await.0, 200);
    assert_eq!(ann.save(&id, 1, 2.0).await.0, 409);
    ben.acquire(IMAGE).await;
    let (status, body) = ann.save(&id, 2, 3.0).await;
    assert_eq!((status, error(&body)), (423, "image_locked"));
    ben.release(IMAGE).await;
    assert_eq!(ann.save(&id, 2, 3.0).await.0, 200);
}

async fn e4_a_lock_that_merely_lapsed_is_granted_anew_by_the_next_save(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let (ann, ben) = (world.sign_in("ann").await.at("w1"), world.sign_in("ben").await);
    let (_, first) = ann.acquire(IMAGE).await;
    let generation = first["lock"]["generation"].to_string();
    world.place.pass(FIVE_MINUTES).await;

    let body = json!({"image_id": IMAGE, "geometry": boxed(1.0)});
    let (status, saved) = ann.draw_with(body.clone(), &[(GENERATION, &generation)]).await;
    assert_eq!(status, 201, "{saved}");
    assert_eq!(
        (&saved["lock"]["user_id"], &saved["lock"]["client_id"]),
        (&json!(ann.id), &json!("w1"))
    );
    assert!(saved["lock"]["generation"].as_i64() > first["lock"]["generation"].as_i64());
    assert_eq!(ben.acquire(IMAGE).await.1["status"], "already_locked");

    // Had somebody been granted the image in between, it would be refused, although it is free by now.
    world.place.pass(FIVE_MINUTES).await;
    ben.acquire(IMAGE).await;
    ben.release(IMAGE).await;
    let (status, body) = ann.draw_with(body, &[]).await;
    assert_eq!((status, &body["detail"]["reason"]), (423, &json!("expired")));
}

async fn e22_a_lock_that_a_save_was_granted_anew_still_says_on_which_machine(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let (ann, ben) = (world.sign_in("ann").await.at("w1"), world.sign_in("ben").await);
    ann.acquire_with(IMAGE, json!({"device": "laptop"})).await;
    world.place.pass(FIVE_MINUTES).await;
    ann.drew(IMAGE, 1.0).await;
    let (_, body) = ben.acquire(IMAGE).await;
    assert_eq!(
        (&body["status"], &body["locked_by"]["device"]),
        (&json!("already_locked"), &json!("laptop"))
    );
}

async fn l4_l6_a_restart_keeps_locks_saves_and_generations(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let ann = world.sign_in("ann").await.at("w1");
    let (_, before) = ann.acquire(IMAGE).await;
    let id = ann.drew(IMAGE, 1.0).await;
    let meta = ann.get(&routes::path(routes::META, &[])).await.1;

    let world = world.restarted(Settings::default()).await;
    let ann = Person {
        base: world.server.url(),
        ..ann
    };
    assert_eq!(
        ann.status(IMAGE).await,
        before["lock"],
        "the access token is good, too"
    );
    assert_eq!(
        ann.get(&routes::path(routes::META, &[])).await.1["data_epoch"],
        meta["data_epoch"]
    );
    assert_eq!(ann.annotations(IMAGE).await[0]["id"], json!(id));
    assert_eq!(ann.acquire(IMAGE).await.1["status"], "refreshed");
    ann.release(IMAGE).await;
    let (_, after) = ann.acquire(IMAGE).await;
    assert!(after["lock"]["generation"].as_i64() > before["lock"]["generation"].as_i64());
}

async fn a_deleted_annotation_conflicts_and_overwriting_brings_it_back(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let (ann, ben) = (world.sign_in("ann").await, world.sign_in("ben").await);
    let id = ann.drew(IMAGE, 1.0).await;
    assert_eq!(ben.delete(&id, 1).await.0, 200);
    assert!(ann.annotations(IMAGE).await.is_empty());
    let (status, body) = ann.save(&id, 1, 2.0).await;
    assert_eq!((status, error(&body)), (409, "conflict"));
    assert_eq!(
        (&body["detail"]["current"], &body["detail"]["deleted"]),
        (&Value::Null, &json!(true))
    );
    assert_eq!(body["detail"]["last_updated_by"]["user_name"], "ben");
    assert_eq!(ben.delete(&id, 2).await.0, 410);
    let (status, body) = ann.save(&id, 2, 2.0).await;
    assert_eq!((status, &body["version"]), (200, &json!(3)));
    let (_, history) = ann.get(&routes::path(routes::HISTORY, &[&id])).await;
    let deleted: Vec<_> = history["versions"]
        .as_array()
        .expect("versions")
        .iter()
        .map(|v| &v["deleted"])
        .collect();
    assert_eq!(deleted, [&json!(false), &json!(true), &json!(false)]);
}

async fn a_create_is_known_again_by_its_id(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let (ann, ben) = (world.sign_in("ann").await, world.sign_in("ben").await);
    let body = json!({"id": "0190-mine", "image_id": IMAGE, "geometry": boxed(1.0)});
    assert_eq!(ann.draw_with(body.clone(), &[]).await.0, 201);
    assert_eq!(ann.draw_with(body.clone(), &[]).await.0, 200);
    let other = json!({"id": "0190-mine", "image_id": IMAGE, "geometry": boxed(2.0)});
    assert_eq!(ann.draw_with(other, &[]).await.0, 409);
    let elsewhere = json!({"id": "0190-mine", "image_id": OTHER_IMAGE, "geometry": boxed(1.0)});
    assert_eq!(ben.draw_with(elsewhere, &[]).await.0, 422);
    assert_eq!(ann.annotations(IMAGE).await.len(), 1);
}

async fn requests_that_are_not_of_the_contract_are_refused_in_its_words(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let (ann, vera) = (world.sign_in("ann").await, world.sign_in("vera").await);
    let post = |body: &'static str| {
        let url = format!("{}{}", ann.base, routes::path(routes::ACQUIRE, &[]));
        answer(ann.http.post(url).bearer_auth(&ann.token).body(body))
    };
    for body in ["", "{", "[]", r#"{"project_id": 7}"#] {
        let (status, answer) = post(body).await;
        assert_eq!((status, error(&answer)), (422, "invalid"), "{body}");
    }
    let (status, body) = ann.get("/api/v1/nowhere").await;
    assert_eq!((status, error(&body)), (404, "not_found"));
    let (status, body) = ann
        .call(Method::PATCH, &routes::path(routes::ME, &[]), None)
        .await;
    assert_eq!((status, error(&body)), (405, "method_not_allowed"));
    let nobody = Person {
        token: "x".into(),
        ..ann.at("w")
    };
    let (status, body) = nobody.locks_answer().await;
    assert_eq!((status, error(&body)), (401, "unauthorized"));

    let shapeless = json!({"type": "polygon", "rings": [[[0.0, 0.0], [1.0, 1.0]]]});
    let (status, body) = ann
        .draw_with(json!({"image_id": IMAGE, "geometry": shapeless}), &[])
        .await;
    assert_eq!((status, error(&body)), (422, "invalid"));
    let labelled = json!({"image_id": IMAGE, "geometry": boxed(1.0), "label_id": "no such"});
    assert_eq!(ann.draw_with(labelled, &[]).await.0, 422);
    assert_eq!(vera.draw(IMAGE, 1.0).await.0, 403);
    assert_eq!(vera.acquire(IMAGE).await.0, 403);

    let huge = " ".repeat(17 << 20);
    let url = format!("{}{}", ann.base, routes::path(routes::ACQUIRE, &[]));
    let (status, body) = answer(ann.http.post(url).bearer_auth(&ann.token).body(huge)).await;
    assert_eq!((status, error(&body)), (413, "too_large"));
}

async fn signing_in_tells_nobody_which_accounts_there_are_and_sessions_end(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let ann = world.sign_in("ann").await;
    let post = async |route, body: Value| {
        let url = format!("{}{}", ann.base, routes::path(route, &[]));
        answer(ann.http.post(url).json(&body)).await
    };
    let wrong = post(
        routes::LOGIN,
        json!({"email": "ann@example.org", "password": "wrong"}),
    )
    .await;
    let unknown = post(
        routes::LOGIN,
        json!({"email": "nobody@example.org", "password": "wrong"}),
    )
    .await;
    assert_eq!(wrong, unknown);
    assert_eq!((wrong.0, error(&wrong.1)), (401, "unauthorized"));

    let me = ann.get(&routes::path(routes::ME, &[])).await;
    assert_eq!(
        me,
        (
            200,
            json!({"id": ann.id, "name": "ann", "email": "ann@example.org"})
        )
    );

    let first = json!({"refresh_token": ann.refresh_token});
    let (status, second) = post(routes::REFRESH, first.clone()).await;
    assert_eq!((status, &second["token_type"]), (200, &json!("bearer")));
    assert_eq!(
        post(routes::REFRESH, first.clone()).await.0,
        200,
        "the answer may have been lost"
    );
    assert_eq!(post(routes::REFRESH, first).await.0, 401);

    let again = world.sign_in("ann").await;
    let token = json!({"refresh_token": again.refresh_token});
    assert_eq!(post(routes::LOGOUT, token.clone()).await.0, 204);
    assert_eq!(post(routes::REFRESH, token).await.0, 401);
}

async fn images_are_uploaded_listed_and_fetched_once(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let (olga, ann) = (world.sign_in("olga").await, world.sign_in("ann").await);
    let upload = async |who: &Person, name: &'static str, content: Vec<u8>| {
        let file = reqwest::multipart::Part::bytes(content).file_name(name);
        let form = reqwest::multipart::Form::new().part("file", file);
        answer(
            who.request(Method::POST, &routes::path(routes::IMAGES, &[PROJECT]))
                .multipart(form),
        )
        .await
    };
    let (status, image) = upload(&olga, "new.png", tinted_picture(7)).await;
    assert_eq!(
        (status, &image["width"], &image["height"]),
        (201, &json!(32), &json!(20))
    );
    assert_eq!(
        (&image["media_type"], &image["file_name"]),
        (&json!("image/png"), &json!("new.png"))
    );
    let whole = picture();
    let cut = whole[..whole.len() / 2].to_vec();
    let (status, body) = upload(&olga, "cut.png", cut).await;
    assert_eq!((status, error(&body)), (422, "invalid"));
    assert_eq!(upload(&olga, "text.png", b"hello".to_vec()).await.0, 422);
    assert_eq!(upload(&ann, "anns.png", picture()).await.0, 403);

    let (_, page) = ann
        .get(&format!("{}?limit=2", routes::path(routes::IMAGES, &[PROJECT])))
        .await;
    let next = page["next"].as_str().expect("another page");
    let rest = format!(
        "{}?limit=2&after={next}",
        routes::path(routes::IMAGES, &[PROJECT])
    );
    let (_, rest) = ann.get(&rest).await;
    assert_eq!(
        (
            page["images"].as_array().map(Vec::len),
            rest["images"].as_array().map(Vec::len)
        ),
        (Some(2), Some(1))
    );
    assert_eq!(rest["next"], Value::Null);

    for (route, kind) in [(routes::CONTENT, "image/png"), (routes::THUMBNAIL, "image/jpeg")] {
        let path = routes::path(route, &[PROJECT, OTHER_IMAGE]);
        let first = ann.request(Method::GET, &path).send().await.expect("an answer");
        assert_eq!(
            (first.status().as_u16(), &first.headers()["content-type"]),
            (200, &kind.parse().expect("a header"))
        );
        let tag = first.headers()["etag"].clone();
        assert!(!first.bytes().await.expect("a body").is_empty());
        let again = ann
            .request(Method::GET, &path)
            .header("if-none-match", tag)
            .send()
            .await
            .expect("an answer");
        assert_eq!(again.status(), 304);
    }
}

async fn watchers_hear_of_locks_lapses_and_changes(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let (ann, vera) = (world.sign_in("ann").await, world.sign_in("vera").await);
    let mut heard = events(&vera, None).await;
    let mut next = async || {
        tokio::time::timeout(world::PATIENCE, heard.next())
            .await
            .expect("in time")
            .expect("one")
    };
    let (name, first) = next().await;
    assert_eq!(name, "changes");

    ann.acquire(IMAGE).await;
    let (name, data) = next().await;
    assert_eq!(
        (name.as_str(), &data["lock"]["user_name"]),
        ("lock.acquired", &json!("ann"))
    );
    ann.drew(IMAGE, 1.0).await;
    let (name, data) = next().await;
    assert_eq!(name, "changes");
    assert!(data["cursor"].as_i64() > first["cursor"].as_i64());
    // Nobody asks for anything; the lease ends all the same.
    world.place.pass(FIVE_MINUTES).await;
    let (name, data) = next().await;
    assert_eq!(
        (name.as_str(), &data["reason"], &data["image_id"]),
        ("lock.released", &json!("expired"), &json!(IMAGE))
    );

    let since = format!(
        "{}?since={}",
        routes::path(routes::CHANGES, &[PROJECT]),
        first["cursor"]
    );
    let (_, page) = vera.get(&since).await;
    let kinds: Vec<_> = page["changes"]
        .as_array()
        .expect("changes")
        .iter()
        .map(|change| &change["kind"])
        .collect();
    assert_eq!(kinds, [&json!("annotation"), &json!("image")]);
    assert_eq!(
        (&page["has_more"], &page["next"]),
        (&json!(false), &page["changes"][1]["cursor"])
    );
}

async fn a_watcher_who_was_away_hears_at_once_what_he_missed_and_else_nothing(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let ann = world.sign_in("ann").await;
    let mut heard = events(&ann, None).await;
    let (_, first) = heard.next().await.expect("where the feed is");
    drop(heard);

    let newest = first["cursor"].as_i64().expect("a cursor");
    let mut heard = events(&ann, Some(newest)).await;
    ann.acquire(IMAGE).await;
    assert_eq!(heard.next().await.expect("the first").0, "lock.acquired");
    drop(heard);

    ann.drew(IMAGE, 1.0).await;
    let mut heard = events(&ann, Some(newest)).await;
    let (name, data) = heard.next().await.expect("the first");
    assert_eq!(name, "changes");
    assert!(data["cursor"].as_i64() > Some(newest));
}

async fn whoever_is_no_longer_a_member_hears_no_more(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let (ann, olga) = (world.sign_in("ann").await, world.sign_in("olga").await);
    let mut heard = events(&ann, None).await;
    assert_eq!(heard.next().await.expect("the first").0, "changes");
    let member = routes::path(routes::MEMBER, &[PROJECT, &ann.id.to_string()]);
    assert_eq!(olga.call(Method::DELETE, &member, None).await.0, 204);
    let last = tokio::time::timeout(world::PATIENCE, heard.collect::<Vec<_>>()).await;
    assert!(last.expect("the stream ends").len() <= 1);
}

async fn one_refused_write_of_a_batch_does_not_hold_up_the_others(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let ann = world.sign_in("ann").await;
    let id = ann.drew(IMAGE, 1.0).await;
    let ops = json!({"ops": [
        {"op": "create", "key": "b1", "geometry": boxed(2.0)},
        {"op": "update", "key": "b2", "id": id, "version": 7, "geometry": boxed(3.0)},
        {"op": "update", "key": "b3", "id": id, "version": 1, "geometry": boxed(4.0)},
        {"op": "create", "key": "b4", "geometry": {"type": "polygon", "rings": []}},
        {"op": "delete", "key": "b5", "id": id, "version": 2},
    ]});
    let batch = routes::path(routes::BATCH, &[PROJECT, IMAGE]);
    let (status, body) = ann.call(Method::POST, &batch, Some(ops.clone())).await;
    assert_eq!(status, 200, "{body}");
    let statuses = |body: &Value| -> Vec<i64> {
        body["results"]
            .as_array()
            .expect("results")
            .iter()
            .filter_map(|one| one["status"].as_i64())
            .collect()
    };
    assert_eq!(statuses(&body), [201, 409, 200, 422, 200]);
    assert_eq!(body["results"][1]["detail"]["current_version"], 1);
    let (_, again) = ann.call(Method::POST, &batch, Some(ops)).await;
    assert_eq!(statuses(&again), [200, 409, 200, 422, 200]);
    assert_eq!(ann.annotations(IMAGE).await.len(), 1);
}

async fn labels_and_members_are_for_managers_to_change(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let (olga, ann) = (world.sign_in("olga").await, world.sign_in("ann").await);
    let labels = routes::path(routes::LABELS, &[PROJECT]);
    let cat = json!({"name": "Cat", "color": "#0072b2", "hotkey": "1", "skeleton": ["nose", "tail"]});
    assert_eq!(ann.call(Method::POST, &labels, Some(cat.clone())).await.0, 403);
    let (status, made) = olga.call(Method::POST, &labels, Some(cat)).await;
    assert_eq!(
        (status, &made["name"], &made["skeleton"]),
        (201, &json!("Cat"), &json!(["nose", "tail"]))
    );
    let id = made["id"].as_str().expect("an id");
    let label = routes::path(routes::LABEL, &[PROJECT, id]);
    let (_, changed) = olga
        .call(Method::PATCH, &label, Some(json!({"color": "#d55e00"})))
        .await;
    assert_eq!(
        (&changed["name"], &changed["color"]),
        (&json!("Cat"), &json!("#d55e00"))
    );
    assert_eq!(ann.get(&labels).await.1, json!([changed]));
    let labelled = json!({"image_id": IMAGE, "geometry": boxed(1.0), "label_id": id});
    assert_eq!(ann.draw_with(labelled.clone(), &[]).await.0, 201);
    assert_eq!(olga.call(Method::DELETE, &label, None).await.0, 204);
    assert_eq!(
        ann.draw_with(labelled, &[]).await.0,
        201,
        "work done offline may still name it"
    );

    let members = routes::path(routes::MEMBERS, &[PROJECT]);
    let stan = json!({"email": "stan@example.org", "role": "reviewer"});
    assert_eq!(ann.call(Method::POST, &members, Some(stan.clone())).await.0, 403);
    let (status, member) = olga.call(Method::POST, &members, Some(stan)).await;
    assert_eq!((status, &member["role"]), (201, &json!("reviewer")));
    assert_eq!(ann.get(&members).await.1.as_array().map(Vec::len), Some(5));
}

async fn two_owners_who_relieve_each_other_at_once_leave_one(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let (olga, ann) = (world.sign_in("olga").await, world.sign_in("ann").await);
    let project = ProjectId::from(PROJECT);
    let owners = async || {
        let members = world
            .server
            .service()
            .members(UserId(4), &project)
            .await
            .expect("a list");
        let is_owner = |member: &lockstep_server::service::Member| member.role == Role::Owner;
        members
            .into_iter()
            .filter(is_owner)
            .map(|member| member.user.id.0)
            .collect::<Vec<_>>()
    };
    for round in 0..20 {
        let left = owners().await;
        let by = if left == [olga.id] { &olga } else { &ann };
        let both = routes::path(routes::MEMBERS, &[PROJECT]);
        for id in [olga.id, ann.id].into_iter().filter(|id| *id != by.id) {
            let joined = by.call(Method::POST, &both, Some(json!({"user_id": id, "role": "owner"})));
            assert_eq!(joined.await.0, 201);
        }
        let member = |id: i64| routes::path(routes::MEMBER, &[PROJECT, &id.to_string()]);
        let (of_ann, of_olga) = (member(ann.id), member(olga.id));
        tokio::join!(
            olga.call(Method::DELETE, &of_ann, None),
            ann.call(Method::DELETE, &of_olga, None)
        );
        assert_eq!(owners().await.len(), 1, "round {round}");
    }
}

async fn two_who_change_different_fields_of_a_label_at_once_lose_neither(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let olga = world.sign_in("olga").await;
    let labels = routes::path(routes::LABELS, &[PROJECT]);
    let (_, made) = olga.call(Method::POST, &labels, Some(json!({"name": "0"}))).await;
    let label = routes::path(routes::LABEL, &[PROJECT, made["id"].as_str().expect("an id")]);
    for round in 1..20 {
        let (name, color) = (round.to_string(), format!("#0000{round:02}"));
        tokio::join!(
            olga.call(Method::PATCH, &label, Some(json!({"name": name}))),
            olga.call(Method::PATCH, &label, Some(json!({"color": color})))
        );
        let (_, now) = olga.get(&labels).await;
        assert_eq!((&now[0]["name"], &now[0]["color"]), (&json!(name), &json!(color)));
    }
}

async fn e21_a_refused_attempt_upon_anothers_lock_is_in_the_audit_log(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let (ann, ben, stan) = (
        world.sign_in("ann").await,
        world.sign_in("ben").await,
        world.sign_in("stan").await,
    );
    ann.acquire(IMAGE).await;
    ben.force(IMAGE).await;
    ben.force(IMAGE).await;
    ben.acquire_with(IMAGE, json!({"take_over": true})).await;
    stan.force(IMAGE).await;
    stan.force("no such image").await;
    let log = "SELECT image_id, user_id, attempt, times, CASE WHEN first_at <= last_at THEN 'in order' END
               FROM lock_refusals ORDER BY user_id, attempt";
    let row = |id: i64, attempt: &str, times: i64| {
        [IMAGE, &id.to_string(), attempt, &times.to_string(), "in order"].map(str::to_owned)
    };
    // Of what is not there nothing is written down.
    assert_eq!(
        world.place.rows(log).await,
        [
            row(ben.id, "force", 2),
            row(ben.id, "take_over", 1),
            row(stan.id, "force", 1)
        ]
    );
}

async fn an_upload_by_who_may_not_is_refused_before_it_is_read(engine: Engine) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let world = World::begin(engine, Settings::default()).await;
    let ann = world.sign_in("ann").await;
    let mut line = tokio::net::TcpStream::connect(world.server.addr)
        .await
        .expect("a line");
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 200000000\r\n\
         content-type: multipart/form-data; boundary=x\r\n\r\n",
        routes::path(routes::IMAGES, &[PROJECT]),
        ann.token
    );
    line.write_all(head.as_bytes()).await.expect("sent");
    let mut status = [0; 12];
    let answered = tokio::time::timeout(Duration::from_secs(5), line.read_exact(&mut status)).await;
    answered.expect("an answer at once").expect("an answer");
    assert_eq!(&status, b"HTTP/1.1 403");
}

async fn a_batch_changes_its_own_image_alone(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let ann = world.sign_in("ann").await;
    let elsewhere = ann.drew(OTHER_IMAGE, 1.0).await;
    let batch = routes::path(routes::BATCH, &[PROJECT, IMAGE]);
    let ops = json!({"ops": [
        {"op": "update", "id": elsewhere, "version": 1, "geometry": boxed(2.0)},
        {"op": "delete", "id": elsewhere, "version": 1},
    ]});
    let (_, body) = ann.call(Method::POST, &batch, Some(ops)).await;
    assert_eq!(
        (&body["results"][0]["status"], &body["results"][1]["status"]),
        (&json!(404), &json!(404))
    );
    assert_eq!(ann.annotations(OTHER_IMAGE).await[0]["version"], 1);
}

async fn e8_e27_whoever_must_sign_in_again_finds_his_lock_and_sends_the_same_again(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let ann = world.sign_in("ann").await.at("w1");
    let id = ann.drew(IMAGE, 1.0).await;
    let (_, granted) = ann.acquire(IMAGE).await;
    let generation = granted["lock"]["generation"].to_string();
    let headers = [(KEY, "k1"), (GENERATION, generation.as_str())];
    let unknown = Person {
        token: "no longer good".into(),
        ..ann.clone()
    };
    for (status, body) in [
        unknown.save_with(&id, 1, 2.0, &headers).await,
        unknown.heartbeat(IMAGE).await,
    ] {
        assert_eq!((status, error(&body)), (401, "unauthorized"));
    }
    let refresh = json!({"refresh_token": ann.refresh_token});
    let (status, tokens) = unknown
        .call(Method::POST, &routes::path(routes::REFRESH, &[]), Some(refresh))
        .await;
    assert_eq!(status, 200);
    let again = Person {
        token: tokens["access_token"].as_str().expect("a token").into(),
        ..ann
    };
    assert_eq!(again.heartbeat(IMAGE).await.0, 200);
    // The refused request has not used its key up.
    let (status, saved) = again.save_with(&id, 1, 2.0, &headers).await;
    assert_eq!((status, &saved["replayed"]), (200, &Value::Null));
}

async fn e28_whoever_may_no_longer_edit_is_refused_and_his_lock_is_free_at_once(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let (ann, ben, olga) = (
        world.sign_in("ann").await,
        world.sign_in("ben").await,
        world.sign_in("olga").await,
    );
    let id = ann.drew(IMAGE, 1.0).await;
    let member = routes::path(routes::MEMBER, &[PROJECT, &ann.id.to_string()]);
    let members = routes::path(routes::MEMBERS, &[PROJECT]);
    let back = json!({"user_id": ann.id, "role": "annotator"});
    for (lowered, refused) in [(Some(json!({"role": "viewer"})), 403), (None, 404)] {
        ann.acquire(IMAGE).await;
        let method = if lowered.is_some() {
            Method::PATCH
        } else {
            Method::DELETE
        };
        assert_eq!(olga.call(method, &member, lowered.clone()).await.0 / 100, 2);
        for (status, body) in [
            ann.save(&id, 1, 2.0).await,
            ann.draw(IMAGE, 2.0).await,
            ann.heartbeat(IMAGE).await,
            ann.acquire(IMAGE).await,
        ] {
            assert_eq!(status, refused, "{lowered:?}: {body}");
        }
        assert_eq!(ben.acquire(IMAGE).await.1["status"], "acquired");
        assert_eq!(ben.release(IMAGE).await.1["status"], "released");
        // What she was refused is not lost to her: back in her role she may send it again, after a new lock.
        assert_eq!(olga.call(Method::POST, &members, Some(back.clone())).await.0, 201);
        let (status, body) = ann.save(&id, 1, 2.0).await;
        assert_eq!((status, &body["detail"]["reason"]), (423, &json!("forced")));
        assert_eq!(ann.acquire(IMAGE).await.1["status"], "acquired");
        ann.release(IMAGE).await;
    }
    assert_eq!(ann.save(&id, 1, 2.0).await.0, 200);
    assert_eq!(ann.annotations(IMAGE).await[0]["version"], 2);
}
