//! The server's invariants (L1 to L14 of `invariants.md`), each under its id, where one server is enough to show them.
//! `replicas.rs` races several, `kills.rs` kills them.

#[macro_use]
mod world;

use std::time::Duration;

use futures::StreamExt as _;
use lockstep_server::Settings;
use lockstep_wire::routes;
use reqwest::Method;
use serde_json::json;
use world::{
    Answer, Engine, IMAGE, OTHER_IMAGE, PROJECT, Person, World, answer, boxed, error, millis, quick, until,
};

on_every_engine![
    l2_no_save_is_stored_beside_another_sessions_live_lock_nor_under_an_older_generation,
    l4_a_generation_is_above_all_earlier_ones_whatever_ended_them,
    l5_l7_a_write_that_was_applied_is_answered_as_then_whatever_has_happened_since,
    l5_a_key_outlives_a_restart,
    l8_a_leases_end_moves_forward_alone,
    l8_l11_every_end_of_a_lock_is_in_the_audit_log_with_who_when_and_why,
    l9_a_beat_or_release_of_one_generation_touches_no_other,
    l13_a_vanished_holders_image_is_free_within_the_lease_and_a_second,
    l14_a_lock_that_is_renewed_once_a_lease_is_never_lost,
];

const KEY: &str = routes::IDEMPOTENCY_KEY;
const GENERATION: &str = routes::LOCK_GENERATION;

fn generation(answer: &Answer) -> i64 {
    answer.1["lock"]["generation"]
        .as_i64()
        .unwrap_or_else(|| panic!("no lock: {answer:?}"))
}

async fn delete_image(who: &Person, image: &str) {
    let path = routes::path(routes::IMAGE, &[PROJECT, image]);
    assert_eq!(who.call(Method::DELETE, &path, None).await.0, 204);
}

async fn l2_no_save_is_stored_beside_another_sessions_live_lock_nor_under_an_older_generation(
    engine: Engine,
) {
    let world = World::begin(engine, Settings::default()).await;
    let (ann, ben, olga) = (
        world.sign_in("ann").await,
        world.sign_in("ben").await,
        world.sign_in("olga").await,
    );
    let id = ann.drew(IMAGE, 1.0).await;
    let (here, there) = (ann.at("here"), ann.at("there"));
    let held = generation(&here.acquire(IMAGE).await);
    let batch = routes::path(routes::BATCH, &[PROJECT, IMAGE]);
    // Not another person's, owner or not, not one's own other window's, and by no kind of write.
    for other in [&ben, &olga, &there] {
        for (status, body) in [
            other.draw(IMAGE, 9.0).await,
            other.save(&id, 1, 9.0).await,
            other.delete(&id, 1).await,
        ] {
            assert_eq!((status, error(&body)), (423, "image_locked"));
        }
        let window = other.window.as_deref().unwrap_or("elsewhere");
        let ops = json!({"ops": [{"op": "update", "id": id, "version": 1, "geometry": boxed(9.0)}]});
        let request = other.request(Method::POST, &batch).json(&ops);
        let (_, body) = answer(request.header(routes::CLIENT_ID, window)).await;
        assert_eq!(body["results"][0]["status"], 423);
    }
    // Nor under a generation that was, or that never was.
    here.release(IMAGE).await;
    let newer = generation(&here.acquire(IMAGE).await);
    for older in [held, newer + 1] {
        let headers = [(GENERATION, &*older.to_string())];
        let (status, body) = here.save_with(&id, 1, 9.0, &headers).await;
        assert_eq!(
            (status, error(&body)),
            (423, "lock_expired"),
            "{older} of {newer}"
        );
    }
    assert_eq!(ann.annotations(IMAGE).await[0]["version"], 1);
    let headers = [(GENERATION, &*newer.to_string())];
    assert_eq!(here.save_with(&id, 1, 2.0, &headers).await.0, 200);
}

async fn l4_a_generation_is_above_all_earlier_ones_whatever_ended_them(engine: Engine) {
    let world = World::begin(engine, quick()).await;
    let (ann, olga) = (world.sign_in("ann").await, world.sign_in("olga").await);
    let mut given = vec![generation(&ann.acquire(IMAGE).await)];
    ann.release(IMAGE).await;
    given.push(generation(&ann.acquire(IMAGE).await));
    olga.force(IMAGE).await;
    given.push(generation(&olga.acquire(IMAGE).await));
    world.place.pass(60_000).await;
    given.push(generation(&ann.at("here").acquire(IMAGE).await));
    given.push(generation(
        &ann.at("there")
            .acquire_with(IMAGE, json!({"take_over": true}))
            .await,
    ));
    let world = world.restarted(Settings::default()).await;
    let [ann, olga] = [ann, olga].map(|who| who.via(&world.server.url()));
    given.push(generation(
        &olga.acquire_with(IMAGE, json!({"take_over": true})).await,
    ));
    // Without the lock's row and without a trace of the grants there were.
    world
        .place
        .run("DELETE FROM image_locks; DELETE FROM lock_grants")
        .await;
    given.push(generation(&ann.acquire(IMAGE).await));
    assert!(given.is_sorted_by(|before, after| before < after), "{given:?}");

    // An image that was deleted does not come back under its id, so neither do its generations.
    delete_image(&olga, IMAGE).await;
    let file = reqwest::multipart::Part::bytes(world::picture()).file_name(IMAGE);
    let form = reqwest::multipart::Form::new()
        .text("id", IMAGE)
        .part("file", file);
    let path = routes::path(routes::IMAGES, &[PROJECT]);
    let again = answer(olga.request(Method::POST, &path).multipart(form)).await;
    assert_eq!((again.0, ann.acquire(IMAGE).await.0), (422, 410));
}

async fn l5_l7_a_write_that_was_applied_is_answered_as_then_whatever_has_happened_since(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let (ann, ben, olga) = (
        world.sign_in("ann").await.at("w1"),
        world.sign_in("ben").await,
        world.sign_in("olga").await,
    );
    let id = ann.drew(IMAGE, 1.0).await;
    let gone = ann.drew(IMAGE, 1.0).await;
    let granted = generation(&ann.acquire(IMAGE).await).to_string();
    let batch = routes::path(routes::BATCH, &[PROJECT, IMAGE]);
    let writes = async || {
        let headers = |key| [(KEY, key), (GENERATION, granted.as_str())];
        let drawn = json!({"image_id": IMAGE, "geometry": boxed(5.0)});
        let named = json!({"id": "named", "image_id": IMAGE, "geometry": boxed(6.0)});
        let ops = json!({"ops": [{"op": "create", "key": "k5", "geometry": boxed(7.0)}]});
        let delete = format!("{}?version=1", routes::path(routes::ANNOTATION, &[&gone]));
        let delete = ann
            .request(Method::DELETE, &delete)
            .header(routes::CLIENT_ID, "w1");
        let batch = ann.request(Method::POST, &batch).header(routes::CLIENT_ID, "w1");
        let (status, body) = answer(batch.json(&ops)).await;
        assert_eq!(status, 200);
        let mut answers = vec![
            ann.save_with(&id, 1, 2.0, &headers("k1")).await,
            ann.draw_with(drawn, &headers("k2")).await,
            // Its id is all that makes it known again.
            ann.draw_with(named, &[]).await,
            answer(delete.header(KEY, "k4")).await,
            (status, body["results"][0].clone()),
        ];
        for (status, body) in &mut answers {
            assert!([200, 201].contains(status), "{body}");
            let fields = body.as_object_mut().expect("an object");
            // The rest is as it was.
            for note in ["replayed", "newest_version", "lock", "image_revision", "status"] {
                fields.remove(note);
            }
        }
        answers.into_iter().map(|(_, body)| body).collect::<Vec<_>>()
    };
    let first = writes().await;
    let how_many = ann.annotations(IMAGE).await.len();
    let again = async |since: &str| {
        assert_eq!(writes().await, first, "{since}");
    };
    again("nothing happened").await;
    olga.force(IMAGE).await;
    again("the lock was forced open").await;
    olga.acquire(IMAGE).await;
    again("someone else holds the image").await;
    assert_eq!(olga.save(&id, 2, 3.0).await.0, 200);
    again("someone saved on top").await;
    olga.release(IMAGE).await;
    ann.at("w2").acquire(IMAGE).await;
    again("another window of hers holds the image").await;
    ann.at("w2").release(IMAGE).await;
    assert_eq!(
        ann.annotations(IMAGE).await.len(),
        how_many,
        "nothing was drawn twice"
    );
    assert_eq!(olga.delete(&id, 3).await.0, 200);
    again("someone deleted it").await;
    ben.acquire(IMAGE).await;
    world.place.pass(600_000).await;
    again("ten minutes went by").await;
    delete_image(&olga, IMAGE).await;
    again("the image was deleted").await;
}

async fn l5_a_key_outlives_a_restart(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let ann = world.sign_in("ann").await;
    let id = ann.drew(IMAGE, 1.0).await;
    let first = ann.save_with(&id, 1, 2.0, &[(KEY, "k")]).await.1;
    let world = world.restarted(Settings::default()).await;
    let ann = ann.via(&world.server.url());
    let (status, again) = ann.save_with(&id, 1, 2.0, &[(KEY, "k")]).await;
    assert_eq!(
        (status, &again["replayed"], &again["version"]),
        (200, &json!(true), &first["version"])
    );
    assert_eq!(ann.save_with(&id, 1, 3.0, &[(KEY, "k")]).await.0, 422);
}

async fn l8_a_leases_end_moves_forward_alone(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let (ann, ben) = (world.sign_in("ann").await.at("w1"), world.sign_in("ben").await);
    let mut end = millis(&ann.acquire(IMAGE).await.1["lock"]["expires_at"]);
    let mut not_before = |(status, body): Answer| {
        assert_eq!(status, 200, "{body}");
        let next = millis(&body["lock"]["expires_at"]);
        assert!(next >= end, "{body}");
        end = next;
    };
    not_before(ann.heartbeat(IMAGE).await);
    // Not by others' attempts, nor by looking.
    ben.acquire(IMAGE).await;
    ben.heartbeat(IMAGE).await;
    ben.release(IMAGE).await;
    ben.force(IMAGE).await;
    ben.draw(IMAGE, 1.0).await;
    not_before((200, json!({"lock": ben.status(IMAGE).await})));
    not_before((200, json!({"lock": ben.locks().await[0]})));
    // Nor by a server that gives shorter leases, nor by her own save.
    let world = world
        .restarted(Settings::with_lease(Duration::from_secs(2)))
        .await;
    let ann = ann.via(&world.server.url());
    not_before((200, json!({"lock": ann.status(IMAGE).await})));
    not_before(ann.heartbeat(IMAGE).await);
    not_before(ann.acquire(IMAGE).await);
    ann.drew(IMAGE, 1.0).await;
    not_before((200, json!({"lock": ann.status(IMAGE).await})));
}

async fn l8_l11_every_end_of_a_lock_is_in_the_audit_log_with_who_when_and_why(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let (ann, ben, olga) = (
        world.sign_in("ann").await,
        world.sign_in("ben").await,
        world.sign_in("olga").await,
    );
    let begun = world.place.number(&format!("SELECT {}", world.place.now())).await;
    ann.acquire(IMAGE).await;
    ann.release(IMAGE).await;
    ann.acquire(IMAGE).await;
    olga.force(IMAGE).await;
    olga.acquire(IMAGE).await;
    olga.release(IMAGE).await;
    ann.at("here").acquire(IMAGE).await;
    ann.at("there")
        .acquire_with(IMAGE, json!({"take_over": true}))
        .await;
    olga.acquire_with(IMAGE, json!({"take_over": true})).await;
    world.place.pass(600_000).await;
    ben.acquire(IMAGE).await;
    let member = routes::path(routes::MEMBER, &[PROJECT, &ben.id.to_string()]);
    let lowered = olga.call(Method::PATCH, &member, Some(json!({"role": "viewer"})));
    assert_eq!(lowered.await.0 / 100, 2);
    ann.acquire(IMAGE).await;
    delete_image(&olga, IMAGE).await;

    let [anns, bens, olgas] = [ann.id, ben.id, olga.id].map(|id| id.to_string());
    let row = |holder: &str, why: &str, by: &str| [holder, why, by].map(str::to_owned).to_vec();
    assert_eq!(
        world
            .place
            .rows("SELECT user_id, end_reason, ended_by FROM lock_grants ORDER BY generation")
            .await,
        [
            row(&anns, "released", ""),
            row(&anns, "forced", &olgas),
            row(&olgas, "released", ""),
            row(&anns, "taken_over", &anns),
            row(&anns, "taken_over", &olgas),
            row(&olgas, "expired", ""),
            row(&bens, "forced", &olgas),
            row(&anns, "forced", &olgas),
        ]
    );
    let in_order = format!(
        "SELECT count(*) FROM lock_grants WHERE granted_at >= {begun} - 600000 AND ended_at >= granted_at
         AND ended_at <= {}",
        world.place.now()
    );
    assert_eq!(world.place.number(&in_order).await, 8);
}

async fn l9_a_beat_or_release_of_one_generation_touches_no_other(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let (ann, ben) = (world.sign_in("ann").await, world.sign_in("ben").await);
    let older = generation(&ann.acquire(IMAGE).await);
    ann.release(IMAGE).await;
    let late_calls = async |holder: &Person| {
        let before = holder.status(IMAGE).await;
        let beat = routes::path(routes::HEARTBEAT, &[PROJECT, IMAGE]);
        let late = ann
            .call(Method::POST, &beat, Some(json!({"generation": older})))
            .await;
        assert_eq!((late.0, error(&late.1)), (423, "lock_expired"));
        let release = routes::path(routes::LOCK, &[PROJECT, IMAGE]);
        let late = ann
            .call(Method::DELETE, &format!("{release}?generation={older}"), None)
            .await;
        assert_eq!(late, (200, json!({"status": "not_held"})));
        assert_eq!(holder.status(IMAGE).await, before);
    };
    ben.acquire(IMAGE).await;
    late_calls(&ben).await;
    ben.release(IMAGE).await;
    ann.acquire(IMAGE).await;
    late_calls(&ann).await;
}

async fn l13_a_vanished_holders_image_is_free_within_the_lease_and_a_second(engine: Engine) {
    let world = World::begin(engine, quick()).await;
    let (ann, ben, vera) = (
        world.sign_in("ann").await,
        world.sign_in("ben").await,
        world.sign_in("vera").await,
    );
    // Nobody asks for the one: whoever watches is told. The other is asked for all the while.
    let mut heard = world::events(&vera, None).await;
    let [unasked, asked] = [ann.acquire(OTHER_IMAGE).await, ann.acquire(IMAGE).await]
        .map(|(_, body)| millis(&body["lock"]["expires_at"]));
    let watching = async {
        loop {
            let (name, data) = heard.next().await.expect("the stream goes on");
            if name == "lock.released" && data["image_id"] == OTHER_IMAGE {
                assert_eq!(data["reason"], "expired");
                break;
            }
        }
        world.place.number(&format!("SELECT {}", world.place.now())).await
    };
    let asking = until(async || {
        let (_, body) = ben.acquire(IMAGE).await;
        (body["status"] == "acquired").then(|| millis(&body["lock"]["locked_at"]))
    });
    let (told_at, granted_at) = tokio::join!(watching, asking);
    for (free_at, lapsed_at) in [(told_at, unasked), (granted_at, asked)] {
        let late = free_at - lapsed_at;
        assert!((0..1000).contains(&late), "free {late} ms after the lease");
    }
}

async fn l14_a_lock_that_is_renewed_once_a_lease_is_never_lost(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let (ann, ben) = (world.sign_in("ann").await.at("w1"), world.sign_in("ben").await);
    let lock = generation(&ann.acquire(IMAGE).await);
    for _ in 0..20 {
        // All but a few seconds of the five minutes.
        world.place.pass(295_000).await;
        assert_eq!(ben.acquire(IMAGE).await.1["status"], "already_locked");
        let beat = ann.heartbeat(IMAGE).await;
        assert_eq!((beat.0, generation(&beat)), (200, lock));
    }
}
