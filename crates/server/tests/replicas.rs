//! What must hold when several server processes share one database, raced: one lock, one effect of one key, no save
//! past a force, and every watcher told.

#[macro_use]
mod world;

use std::collections::BTreeSet;

use futures::StreamExt as _;
use futures::future::join_all;
use lockstep_wire::routes;
use serde_json::{Value, json};
use world::{Engine, Fleet, IMAGE, Person, boxed, error, events, millis, until};

on_every_engine![
    e2_l3_l4_of_three_who_acquire_at_once_at_three_servers_one_is_given_the_image_a_thousand_times,
    e3_an_acquire_at_a_leases_end_and_the_holders_late_beat_have_one_winner,
    l5_one_key_sent_to_three_servers_at_once_takes_effect_once_and_is_answered_alike,
    l1_saves_of_one_annotation_at_three_servers_form_a_chain,
    l2_no_save_gets_past_a_force_at_another_server,
    l12_any_request_may_go_to_any_server,
    a_watcher_at_another_server_hears_of_locks_and_changes,
    l11_a_membership_that_ends_at_another_server_ends_the_stream,
];

/// The contract's, spread over images that are raced for at the same time.
const ROUNDS: usize = 1000;
const LANES: usize = 4;

/// One person a server.
async fn trio(fleet: &Fleet) -> [Person; 3] {
    let (ann, ben, olga) = (
        fleet.sign_in("ann").await,
        fleet.sign_in("ben").await,
        fleet.sign_in("olga").await,
    );
    [ann, fleet.via(1, &ben), fleet.via(2, &olga)]
}

async fn e2_l3_l4_of_three_who_acquire_at_once_at_three_servers_one_is_given_the_image_a_thousand_times(
    engine: Engine,
) {
    let fleet = Fleet::begin(engine, 3, &[]).await;
    let racers = trio(&fleet).await;
    let images: Vec<String> = (0..LANES).map(|lane| format!("{lane}.png")).collect();
    for image in &images {
        racers[2].upload(image).await;
    }
    let lanes = images.iter().map(|image| async {
        let mut newest = 0;
        for round in 0..ROUNDS / LANES {
            let answers = join_all(racers.iter().map(|who| who.acquire(image))).await;
            let given: Vec<usize> = (0..3).filter(|n| answers[*n].1["status"] == "acquired").collect();
            let [winner] = given[..] else {
                panic!("round {round}: {answers:?}")
            };
            let lock = &answers[winner].1["lock"];
            for (_, answer) in answers
                .iter()
                .filter(|(_, answer)| answer["status"] != "acquired")
            {
                assert_eq!(
                    (&answer["status"], &answer["locked_by"]),
                    (&json!("already_locked"), lock)
                );
            }
            let generation = lock["generation"].as_i64().expect("a number");
            assert!(generation > newest, "round {round}");
            newest = generation;
            // Given back at another server than it was given at.
            let elsewhere = fleet.via((winner + 1) % 3, &racers[winner]);
            assert_eq!(elsewhere.release(image).await.1["status"], "released");
        }
    });
    join_all(lanes).await;
}

async fn e3_an_acquire_at_a_leases_end_and_the_holders_late_beat_have_one_winner(engine: Engine) {
    let fleet = Fleet::begin(engine, 3, &[]).await;
    let [ann, ben, olga] = trio(&fleet).await;
    let mut seen = BTreeSet::new();
    // Until both have won: which of them does is a matter of milliseconds.
    until(async || {
        for ends_in in [-1, 0, 1, 2, 4, 8, 16] {
            assert_eq!(ann.acquire(IMAGE).await.1["status"], "acquired");
            let place = &fleet.place;
            let ends = format!("{} + {ends_in}", place.now());
            place
                .run(&format!("UPDATE image_locks SET expires_at = {ends}"))
                .await;
            let (beat, acquired) = tokio::join!(ann.heartbeat(IMAGE), ben.acquire(IMAGE));
            let outcome = (beat.0, acquired.1["status"].as_str().expect("a status"));
            let holder = match outcome {
                (200, "already_locked") => Some(ann.id),
                (423, "acquired") => Some(ben.id),
                // Ben came before the end, Ann's beat after it.
                (423, "already_locked") => None,
                other => panic!("{other:?}: {beat:?}, {acquired:?}"),
            };
            assert_eq!(olga.status(IMAGE).await["user_id"].as_i64(), holder);
            seen.insert(holder);
            for who in [&ann, &ben] {
                who.release(IMAGE).await;
            }
        }
        (seen.contains(&Some(ann.id)) && seen.contains(&Some(ben.id))).then_some(())
    })
    .await;
}

async fn l5_one_key_sent_to_three_servers_at_once_takes_effect_once_and_is_answered_alike(engine: Engine) {
    let fleet = Fleet::begin(engine, 3, &[]).await;
    let ann = fleet.sign_in("ann").await;
    let id = ann.drew(IMAGE, 0.0).await;
    let everywhere: Vec<Person> = (0..20).map(|n| fleet.via(n % 3, &ann)).collect();
    for round in 1..=10 {
        let key = format!("save {round}");
        let headers = [(routes::IDEMPOTENCY_KEY, key.as_str())];
        let answers = join_all(
            everywhere
                .iter()
                .map(|ann| ann.save_with(&id, round, round as f64, &headers)),
        )
        .await;
        let effects = answers
            .iter()
            .filter(|(_, body)| body["replayed"] != true)
            .count();
        assert_eq!(effects, 1, "{answers:?}");
        for (status, mut body) in answers {
            assert_eq!(status, 200, "{body}");
            body.as_object_mut().expect("an object").remove("replayed");
            assert_eq!(
                (&body["version"], &body["geometry"]),
                (&json!(round + 1), &boxed(round as f64))
            );
        }
        let key = format!("draw {round}");
        let headers = [(routes::IDEMPOTENCY_KEY, key.as_str())];
        let drawn = json!({"image_id": IMAGE, "geometry": boxed(round as f64)});
        let answers = join_all(
            everywhere
                .iter()
                .map(|ann| ann.draw_with(drawn.clone(), &headers)),
        )
        .await;
        let made = answers.iter().filter(|(status, _)| *status == 201).count();
        let ids: BTreeSet<String> = answers.iter().map(|(_, body)| body["id"].to_string()).collect();
        assert_eq!((made, ids.len()), (1, 1), "{answers:?}");
        assert_eq!(ann.annotations(IMAGE).await.len() as i64, 1 + round);
    }
    let (_, history) = ann.get(&routes::path(routes::HISTORY, &[&id])).await;
    assert_eq!(history["versions"].as_array().map(Vec::len), Some(11));
}

async fn l1_saves_of_one_annotation_at_three_servers_form_a_chain(engine: Engine) {
    let fleet = Fleet::begin(engine, 3, &[]).await;
    let ann = fleet.sign_in("ann").await;
    let id = ann.drew(IMAGE, 0.0).await;
    let savers = (0..6).map(|n| {
        let (fleet, ann, id) = (&fleet, &ann, &id);
        async move {
            let me = fleet.via(n % 3, ann);
            let (mut version, mut saved) = (1, Vec::new());
            while saved.len() < 15 {
                // What it says is what it was based on and who says it.
                let (status, body) = me.save(id, version, (version * 10 + n as i64) as f64).await;
                match status {
                    200 => {
                        assert_eq!(body["version"], version + 1);
                        saved.push((version + 1, body["geometry"].clone()));
                        version += 1;
                    }
                    409 => version = body["detail"]["current_version"].as_i64().expect("a version"),
                    other => panic!("{other}: {body}"),
                }
            }
            saved
        }
    });
    let mut saved: Vec<(i64, Value)> = join_all(savers).await.into_iter().flatten().collect();
    saved.sort_by_key(|(version, _)| *version);
    let (_, history) = ann.get(&routes::path(routes::HISTORY, &[&id])).await;
    let told: Vec<(i64, Value)> = history["versions"]
        .as_array()
        .expect("versions")
        .iter()
        .skip(1)
        .map(|one| {
            (
                one["version"].as_i64().expect("a number"),
                one["geometry"].clone(),
            )
        })
        .collect();
    assert_eq!(told, saved, "each acknowledged save is one link of the chain");
    assert_eq!(saved.len(), 90);
    for (version, geometry) in told {
        let base = geometry["x"].as_f64().expect("a number") as i64 / 10;
        assert_eq!(base, version - 1);
    }
}

async fn l2_no_save_gets_past_a_force_at_another_server(engine: Engine) {
    let fleet = Fleet::begin(engine, 3, &["--lock-ttl", "5m"]).await;
    let [ann, _, olga] = trio(&fleet).await;
    let ann = ann.at("w1");
    let id = ann.drew(IMAGE, 0.0).await;
    let mut version = 1;
    for round in 0..40 {
        let (_, body) = ann.acquire(IMAGE).await;
        assert_eq!(body["status"], "acquired", "round {round}: {body}");
        let generation = body["lock"]["generation"].to_string();
        let saves = async {
            // She saves on and on, at every server, until she is told.
            for n in 0.. {
                let me = fleet.via(n % 3, &ann);
                let headers = [(routes::LOCK_GENERATION, generation.as_str())];
                let (status, body) = me.save_with(&id, version, n as f64, &headers).await;
                if status != 200 {
                    assert_eq!((status, error(&body)), (423, "lock_expired"));
                    return millis(&body["detail"]["at"]);
                }
                version += 1;
            }
            unreachable!("for ever")
        };
        let (forced_at, forced) = tokio::join!(saves, olga.force(IMAGE));
        assert_eq!(forced.1["status"], "released");
        let (_, history) = ann.get(&routes::path(routes::HISTORY, &[&id])).await;
        let versions = history["versions"].as_array().expect("versions");
        assert_eq!(versions.len() as i64, version);
        let last = versions.last().expect("one");
        assert!(millis(&last["updated_at"]) <= forced_at, "round {round}");
        // The image is kept for Olga, whose coming and going lets Ann have it again.
        assert_eq!(olga.acquire(IMAGE).await.1["status"], "acquired");
        assert_eq!(olga.release(IMAGE).await.1["status"], "released");
    }
}

async fn l12_any_request_may_go_to_any_server(engine: Engine) {
    let fleet = Fleet::begin(engine, 3, &[]).await;
    let ann = fleet.sign_in("ann").await.at("w1");
    let at = |server: usize| fleet.via(server % 3, &ann);
    let (_, granted) = at(0).acquire(IMAGE).await;
    assert_eq!(granted["status"], "acquired");
    for turn in 1..=30 {
        let (_, again) = at(turn).acquire(IMAGE).await;
        assert_eq!(
            (&again["status"], &again["lock"]["generation"]),
            (&json!("refreshed"), &granted["lock"]["generation"])
        );
        assert_eq!(at(turn + 1).heartbeat(IMAGE).await.0, 200);
        let id = at(turn + 2).drew(IMAGE, turn as f64).await;
        assert_eq!(at(turn).save(&id, 1, 0.5).await.0, 200);
        assert_eq!(at(turn + 1).annotations(IMAGE).await.len(), turn);
        assert_eq!(at(turn + 2).locks().await.len(), 1);
    }
    assert_eq!(at(2).release(IMAGE).await.1["status"], "released");
    assert_eq!(at(0).status(IMAGE).await, Value::Null);
}

async fn a_watcher_at_another_server_hears_of_locks_and_changes(engine: Engine) {
    let fleet = Fleet::begin(engine, 3, &[]).await;
    let [ann, _, olga] = trio(&fleet).await;
    let vera = fleet.via(1, &fleet.sign_in("vera").await);
    let mut heard = events(&vera, None).await;
    let mut next = async |wanted: &str| {
        tokio::time::timeout(world::PATIENCE, async {
            loop {
                let (name, data) = heard.next().await.expect("the stream goes on");
                if name == wanted {
                    return data;
                }
            }
        })
        .await
        .unwrap_or_else(|_| panic!("no {wanted}"))
    };
    let first = next("changes").await["cursor"].as_i64();
    ann.acquire(IMAGE).await;
    assert_eq!(next("lock.acquired").await["lock"]["user_name"], "ann");
    ann.drew(IMAGE, 1.0).await;
    assert!(next("changes").await["cursor"].as_i64() > first);
    olga.force(IMAGE).await;
    assert_eq!(next("lock.released").await["reason"], "forced");
    olga.acquire(IMAGE).await;
    assert_eq!(next("lock.acquired").await["lock"]["user_name"], "olga");
    olga.release(IMAGE).await;
    assert_eq!(next("lock.released").await["reason"], "released");
}

async fn l11_a_membership_that_ends_at_another_server_ends_the_stream(engine: Engine) {
    let fleet = Fleet::begin(engine, 2, &[]).await;
    let (ann, olga) = (fleet.sign_in("ann").await, fleet.sign_in("olga").await);
    let mut heard = events(&fleet.via(1, &ann), None).await;
    assert_eq!(heard.next().await.expect("the first").0, "changes");
    let member = routes::path(routes::MEMBER, &[world::PROJECT, &ann.id.to_string()]);
    assert_eq!(olga.call(reqwest::Method::DELETE, &member, None).await.0, 204);
    let last = tokio::time::timeout(world::PATIENCE, heard.collect::<Vec<_>>()).await;
    assert!(last.expect("the stream ends").len() <= 1);
}
