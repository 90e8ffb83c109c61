//! The contract's eight scenarios (A3), by status, body and side effect, over plain HTTP.

#[macro_use]
mod world;

use lockstep_server::Settings;
use serde_json::json;
use world::{Engine, IMAGE, OTHER_IMAGE, World, boxed, error, millis, until};

on_every_engine![
    scenario_1_the_second_of_two_saves_from_one_version_conflicts,
    scenario_2_acquiring_a_free_image_gives_a_lock_of_five_minutes,
    scenario_3_a_held_image_is_not_given_to_another_who_learns_the_holders_name,
    scenario_4_acquiring_ones_own_image_refreshes_the_lease,
    scenario_5_with_heartbeats_the_lease_never_ends,
    scenario_6_a_vanished_holders_image_is_free_when_the_lease_ends,
    scenario_7_the_projects_lock_list_names_every_holder,
    scenario_8_after_a_forced_release_the_holders_save_is_refused_until_he_acquires_again,
];

const FIVE_MINUTES: i64 = 5 * 60 * 1000;

async fn scenario_1_the_second_of_two_saves_from_one_version_conflicts(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let (ann, ben) = (world.sign_in("ann").await, world.sign_in("ben").await);
    let id = ann.drew(IMAGE, 1.0).await;

    let (status, saved) = ben.save(&id, 1, 2.0).await;
    assert_eq!(
        (status, &saved["version"], &saved["geometry"]),
        (200, &json!(2), &boxed(2.0))
    );

    let (status, body) = ann.save(&id, 1, 3.0).await;
    assert_eq!((status, error(&body)), (409, "conflict"));
    let detail = &body["detail"];
    assert_eq!(
        (&detail["current_version"], &detail["your_version"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(detail["last_updated_at"], saved["updated_at"]);
    assert_eq!(
        detail["last_updated_by"],
        json!({"user_id": ben.id, "user_name": "ben"})
    );
    assert_eq!(detail["current"]["geometry"], boxed(2.0));

    // Cancel and Reload latest: nothing of Ann's is stored.
    assert_eq!(ann.annotations(IMAGE).await[0]["geometry"], boxed(2.0));
    // Overwrite: the same again, upon the current version.
    let (status, saved) = ann.save(&id, 2, 3.0).await;
    assert_eq!((status, &saved["version"]), (200, &json!(3)));
    let stored = &ben.annotations(IMAGE).await[0];
    assert_eq!(
        (&stored["geometry"], &stored["version"]),
        (&boxed(3.0), &json!(3))
    );
}

async fn scenario_2_acquiring_a_free_image_gives_a_lock_of_five_minutes(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let ann = world.sign_in("ann").await;
    let (status, body) = ann.acquire(IMAGE).await;
    assert_eq!((status, &body["status"]), (200, &json!("acquired")));
    let lock = &body["lock"];
    assert_eq!(
        millis(&lock["expires_at"]),
        millis(&lock["locked_at"]) + FIVE_MINUTES
    );
    assert_eq!(lock["heartbeat_at"], lock["locked_at"]);
    assert_eq!(
        (&lock["image_id"], &lock["user_id"]),
        (&json!(IMAGE), &json!(ann.id))
    );
    assert_eq!(
        (&lock["user_name"], &lock["user_email"]),
        (&json!("ann"), &json!("ann@example.org"))
    );
    assert_eq!(&ann.status(IMAGE).await, lock);
}

async fn scenario_3_a_held_image_is_not_given_to_another_who_learns_the_holders_name(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let (ann, ben) = (world.sign_in("ann").await, world.sign_in("ben").await);
    let (_, anns) = ann.acquire(IMAGE).await;
    let (status, body) = ben.acquire(IMAGE).await;
    assert_eq!((status, &body["status"]), (200, &json!("already_locked")));
    assert_eq!(body["locked_by"], anns["lock"]);
    assert_eq!(body["locked_by"]["user_name"], "ann");

    // Nor may he write meanwhile, nor free it.
    let (status, body) = ben.draw(IMAGE, 1.0).await;
    assert_eq!((status, error(&body)), (423, "image_locked"));
    assert_eq!(body["detail"]["locked_by"]["user_name"], "ann");
    assert_eq!(ben.release(IMAGE).await, (200, json!({"status": "not_held"})));
    assert_eq!(ben.status(IMAGE).await, anns["lock"]);
    assert!(ben.annotations(IMAGE).await.is_empty());
}

async fn scenario_4_acquiring_ones_own_image_refreshes_the_lease(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let ann = world.sign_in("ann").await;
    let (_, first) = ann.acquire(IMAGE).await;
    let second = until(async || {
        let (status, body) = ann.acquire(IMAGE).await;
        assert_eq!((status, &body["status"]), (200, &json!("refreshed")));
        (millis(&body["lock"]["heartbeat_at"]) > millis(&first["lock"]["heartbeat_at"])).then_some(body)
    })
    .await;
    let (first, second) = (&first["lock"], &second["lock"]);
    assert!(millis(&second["expires_at"]) > millis(&first["expires_at"]));
    assert_eq!(
        millis(&second["expires_at"]),
        millis(&second["heartbeat_at"]) + FIVE_MINUTES
    );
    assert_eq!(second["generation"], first["generation"]);
    assert_eq!(&ann.status(IMAGE).await, second);
}

async fn scenario_5_with_heartbeats_the_lease_never_ends(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let (ann, ben) = (world.sign_in("ann").await, world.sign_in("ben").await);
    ann.acquire(IMAGE).await;
    // A beat every two minutes, for an hour.
    for _ in 0..30 {
        world.place.pass(2 * 60 * 1000).await;
        let (status, body) = ann.heartbeat(IMAGE).await;
        assert_eq!((status, &body["status"]), (200, &json!("refreshed")), "{body}");
        let lock = &body["lock"];
        assert_eq!(
            millis(&lock["expires_at"]),
            millis(&lock["heartbeat_at"]) + FIVE_MINUTES
        );
        assert_eq!(ben.acquire(IMAGE).await.1["status"], "already_locked");
    }
}

async fn scenario_6_a_vanished_holders_image_is_free_when_the_lease_ends(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let (ann, ben) = (world.sign_in("ann").await, world.sign_in("ben").await);
    let (_, anns) = ann.acquire(IMAGE).await;
    world.place.pass(FIVE_MINUTES as u64 - 60_000).await;
    assert_eq!(ben.acquire(IMAGE).await.1["status"], "already_locked");
    world.place.pass(60_000).await;
    let (_, bens) = ben.acquire(IMAGE).await;
    assert_eq!(bens["status"], "acquired");
    assert!(bens["lock"]["generation"].as_i64() > anns["lock"]["generation"].as_i64());

    let (status, body) = ann.heartbeat(IMAGE).await;
    assert_eq!((status, error(&body)), (423, "lock_expired"));
    assert_eq!(body["detail"]["reason"], "expired");
}

async fn scenario_7_the_projects_lock_list_names_every_holder(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let (ann, ben, vera) = (
        world.sign_in("ann").await,
        world.sign_in("ben").await,
        world.sign_in("vera").await,
    );
    let (_, anns) = ann.acquire(IMAGE).await;
    let (_, bens) = ben.acquire(OTHER_IMAGE).await;
    let locks = vera.locks().await;
    assert_eq!(locks.len(), 2);
    assert!(locks.contains(&anns["lock"]) && locks.contains(&bens["lock"]));

    assert_eq!(
        ben.release(OTHER_IMAGE).await,
        (200, json!({"status": "released"}))
    );
    assert_eq!(vera.locks().await, [anns["lock"].clone()]);
    assert_eq!(vera.status(OTHER_IMAGE).await, json!(null));
}

async fn scenario_8_after_a_forced_release_the_holders_save_is_refused_until_he_acquires_again(
    engine: Engine,
) {
    let world = World::begin(engine, Settings::default()).await;
    let (ann, ben, olga) = (
        world.sign_in("ann").await,
        world.sign_in("ben").await,
        world.sign_in("olga").await,
    );
    let id = ann.drew(IMAGE, 1.0).await;
    ann.acquire(IMAGE).await;

    let (status, body) = ben.force(IMAGE).await;
    assert_eq!((status, error(&body)), (403, "forbidden"));
    assert_eq!(ann.status(IMAGE).await["user_id"], ann.id);

    assert_eq!(olga.force(IMAGE).await, (200, json!({"status": "released"})));
    assert_eq!(ann.status(IMAGE).await, json!(null));
    let (status, body) = ann.save(&id, 1, 2.0).await;
    assert_eq!((status, error(&body)), (423, "lock_expired"));
    assert_eq!(body["detail"]["reason"], "forced");
    assert_eq!(
        body["detail"]["by"],
        json!({"user_id": olga.id, "user_name": "olga"})
    );
    assert_eq!(ann.annotations(IMAGE).await[0]["version"], 1);

    // The image is first kept for the one who forced it.
    let (_, body) = ann.acquire(IMAGE).await;
    assert_eq!(
        (&body["status"], &body["locked_by"]["user_name"]),
        (&json!("already_locked"), &json!("olga"))
    );
    world.place.pass(30_000).await;
    assert_eq!(ann.acquire(IMAGE).await.1["status"], "acquired");
    assert_eq!(ann.save(&id, 1, 2.0).await.0, 200);
}
