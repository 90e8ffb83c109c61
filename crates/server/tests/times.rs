//! Edge cases of time, each under its id: what comes late, what lapses at once, a database that keeps people waiting, and
//! clocks that step or disagree.

#[macro_use]
mod world;

use std::time::{Duration, Instant};

use futures::future::join_all;
use lockstep_server::Settings;
use lockstep_server::service::Service;
use lockstep_wire::{AcquireAnswer, AcquireRequest, ProjectId, UserId, routes};
use reqwest::Method;
use serde_json::{Value, json};
use world::{
    Clock, Engine, Fleet, IMAGE, OTHER_IMAGE, PROJECT, Person, Place, World, answer, boxed, error, millis,
    serve,
};

on_every_engine![
    e5_a_save_that_comes_ten_minutes_late_leaves_the_rivals_work_alone,
    a_forced_release_keeps_the_image_for_half_a_minute_and_not_for_as_long_as_all_is_quiet,
    e15_a_step_of_the_databases_clock_grants_nothing_twice_and_shortens_no_lease,
    e33_a_database_that_keeps_everyone_waiting_is_later_and_not_never,
    e34_a_thousand_locks_that_lapse_at_once_are_cleaned_up_in_bounded_steps,
];

async fn e5_a_save_that_comes_ten_minutes_late_leaves_the_rivals_work_alone(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let (ann, ben) = (
        world.sign_in("ann").await.at("w1"),
        world.sign_in("ben").await.at("w2"),
    );
    // What Ben has done by the time Ann's save comes in, and what she is then told.
    for (rival, expected) in [
        ("holds the image", (423, "image_locked")),
        ("saved and let go", (423, "lock_expired")),
        ("saved without ever locking", (409, "conflict")),
    ] {
        let id = ann.drew(IMAGE, 1.0).await;
        let (_, granted) = ann.acquire(IMAGE).await;
        let generation = granted["lock"]["generation"].to_string();
        world.place.pass(600_000).await;
        if rival != "saved without ever locking" {
            assert_eq!(ben.acquire(IMAGE).await.1["status"], "acquired");
        }
        assert_eq!(ben.save(&id, 1, 2.0).await.0, 200);
        if rival == "saved and let go" {
            assert_eq!(ben.release(IMAGE).await.1["status"], "released");
        }
        let headers = [(routes::LOCK_GENERATION, generation.as_str())];
        let (status, body) = ann.save_with(&id, 1, 9.0, &headers).await;
        assert_eq!((status, error(&body)), expected, "{rival}: {body}");
        let there = ann.annotations(IMAGE).await;
        let there = there
            .iter()
            .find(|one| one["id"] == json!(id))
            .expect("it is there");
        assert_eq!(
            (&there["version"], &there["geometry"]),
            (&json!(2), &boxed(2.0)),
            "{rival}"
        );
        ben.release(IMAGE).await;
        ann.acquire(IMAGE).await;
        ann.release(IMAGE).await;
    }
}

async fn a_forced_release_keeps_the_image_for_half_a_minute_and_not_for_as_long_as_all_is_quiet(
    engine: Engine,
) {
    let world = World::begin(engine, Settings::default()).await;
    let (ann, olga) = (world.sign_in("ann").await, world.sign_in("olga").await);
    ann.acquire(IMAGE).await;
    assert_eq!(olga.force(IMAGE).await.1["status"], "released");
    assert_eq!(ann.acquire(IMAGE).await.1["status"], "already_locked");
    // Without a lock to look after, the server gives no sign of life.
    world.place.step_clock(40_000).await;
    assert_eq!(ann.acquire(IMAGE).await.1["status"], "acquired");
}

/// What is left of a lease, by an answer's own time.
fn left(body: &Value) -> i64 {
    millis(&body["lock"]["expires_at"]) - millis(&body["server_time"])
}

/// Ann holds the image through a step of the clock, and Ben does not get it.
async fn step_by_step(ann: &Person, ben: &Person, mut step: impl AsyncFnMut(i64)) {
    let (_, granted) = ann.acquire(IMAGE).await;
    let mut before = left(&granted);
    for minutes in [10, -10, -10, 10, 10, -10] {
        let began = Instant::now();
        step(minutes * 60_000).await;
        let (_, refused) = ben.acquire(IMAGE).await;
        assert_eq!(refused["status"], "already_locked", "{minutes}: {refused}");
        let lasts = millis(&refused["locked_by"]["expires_at"]) - millis(&refused["server_time"]);
        let took = began.elapsed().as_millis() as i64;
        assert!(
            lasts >= before - took - 1,
            "{minutes}: {lasts} of {before} after {took}"
        );
        let (status, beat) = ann.heartbeat(IMAGE).await;
        assert_eq!(
            (status, &beat["lock"]["generation"]),
            (200, &granted["lock"]["generation"]),
            "{minutes}"
        );
        before = left(&beat);
        assert!(before >= 5 * 60_000, "{minutes}");
        assert_eq!(ben.locks().await.len(), 1);
    }
    ann.release(IMAGE).await;
    assert_eq!(ben.acquire(IMAGE).await.1["status"], "acquired");
    ben.release(IMAGE).await;
}

/// The mirror image of a step: everything that is stored happened that much earlier, or later.
async fn e15_a_step_of_the_databases_clock_grants_nothing_twice_and_shortens_no_lease(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let (ann, ben) = (world.sign_in("ann").await, world.sign_in("ben").await);
    step_by_step(&ann, &ben, async |ms| world.place.step_clock(ms).await).await;
}

/// With SQLite the database's clock is the machine's, and can be stepped under two running servers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e15_a_step_of_the_machines_clock_is_one_of_sqlites() {
    let fleet = Fleet::begin(Engine::Sqlite, 0, &[]).await;
    let clock = Clock::ahead(fleet.place.folder.path(), 0);
    let servers = [(); 2].map(|()| serve(&fleet.place, &[], Some(&clock)));
    let ann = Person::sign_in(&servers[0].url, "ann").await;
    let ben = Person::sign_in(&servers[1].url, "ben").await;
    let mut ahead = 0;
    step_by_step(&ann, &ben, async |ms| {
        ahead += ms / 1000;
        clock.step_to(ahead);
    })
    .await;
}

/// With PostgreSQL the servers may be machines apart, and what their clocks say is of no consequence.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e16_servers_whose_clocks_are_five_minutes_apart_agree_on_postgres() {
    let fleet = Fleet::begin(Engine::Postgres, 0, &[]).await;
    let folders = [(); 3].map(|()| tempfile::tempdir().expect("a folder"));
    let clocks: Vec<Clock> = [-300, 0, 300]
        .iter()
        .zip(&folders)
        .map(|(ahead, folder)| Clock::ahead(folder.path(), *ahead))
        .collect();
    let servers: Vec<_> = clocks
        .iter()
        .map(|clock| serve(&fleet.place, &[], Some(clock)))
        .collect();
    let mut people = Vec::new();
    for name in ["ann", "ben", "olga"] {
        people.push(Person::sign_in(&servers[1].url, name).await);
    }
    let mut newest = 0;
    for round in 0..30 {
        let racers = people.iter().enumerate().map(|(n, who)| {
            let who = who.via(&servers[(round + n) % 3].url);
            async move { who.acquire(IMAGE).await.1 }
        });
        let answers = join_all(racers).await;
        let given: Vec<usize> = (0..3).filter(|n| answers[*n]["status"] == "acquired").collect();
        let [winner] = given[..] else {
            panic!("round {round}: {answers:?}")
        };
        let lock = &answers[winner]["lock"];
        let generation = lock["generation"].as_i64().expect("a number");
        assert!(generation > newest);
        newest = generation;
        assert_eq!(left(&answers[winner]), 5 * 60_000);
        // Each sees the same lock, alive, with the same end.
        for server in &servers {
            let me = people[winner].via(&server.url);
            assert_eq!(&me.status(IMAGE).await, lock);
            assert_eq!(me.locks().await, std::slice::from_ref(lock));
            let id = me.drew(IMAGE, 1.0).await;
            assert_eq!(me.save(&id, 1, 2.0).await.0, 200);
        }
        // A beat anywhere is a beat; an end never moves back.
        let mut end = millis(&lock["expires_at"]);
        for server in &servers {
            let (status, beat) = people[winner].via(&server.url).heartbeat(IMAGE).await;
            assert_eq!(status, 200, "{beat}");
            assert!(millis(&beat["lock"]["expires_at"]) >= end);
            end = millis(&beat["lock"]["expires_at"]);
        }
        let elsewhere = people[winner].via(&servers[round % 3].url);
        assert_eq!(elsewhere.release(IMAGE).await.1["status"], "released");
    }
}

async fn e33_a_database_that_keeps_everyone_waiting_is_later_and_not_never(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let ann = world.sign_in("ann").await;
    ann.acquire(IMAGE).await;
    let beat = || ann.request(Method::POST, &routes::path(routes::HEARTBEAT, &[PROJECT, IMAGE]));
    let held_up = world.place.held_up().await;
    let refused = beat().send().await.expect("an answer, though late");
    assert_eq!(refused.status(), 503);
    let after = refused.headers()["retry-after"].to_str().expect("text");
    assert!(after.parse::<u64>().expect("seconds") >= 1);
    drop(held_up);
    let (status, body) = answer(beat()).await;
    assert_eq!((status, &body["status"]), (200, &json!("refreshed")));
}

/// Without a server's housekeeping, so that each step is seen.
async fn e34_a_thousand_locks_that_lapse_at_once_are_cleaned_up_in_bounded_steps(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let [ann, ben] = [world.sign_in("ann").await, world.sign_in("ben").await].map(|who| UserId(who.id));
    let place: Place = world.stopped().await;
    let numbers = match engine {
        Engine::Sqlite => {
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) SELECT i FROM n"
        }
        Engine::Postgres => "SELECT i FROM generate_series(1, 1000) AS n (i)",
    };
    let (now, holder) = (place.now(), ann.0);
    // The image that is asked for has its turn last.
    let image = format!("CASE i WHEN 1000 THEN '{IMAGE}' ELSE 'lapsed ' || i END");
    place
        .run(&format!(
            "INSERT INTO lock_counters (project_id, image_id, generation) SELECT '{PROJECT}', {image}, 1 FROM ({numbers}) AS n;
             INSERT INTO lock_grants (project_id, image_id, generation, user_id, granted_at)
             SELECT '{PROJECT}', {image}, 1, {holder}, {now} - 400000 + i FROM ({numbers}) AS n;
             INSERT INTO image_locks (project_id, image_id, user_id, locked_at, expires_at, heartbeat_at, generation)
             SELECT '{PROJECT}', {image}, {holder}, {now} - 400000 + i, {now} - 100000 + i, {now} - 400000 + i, 1
             FROM ({numbers}) AS n;
             UPDATE server SET alive_at = {now}"
        ))
        .await;
    let service = place.open(Settings::default()).await;
    let rows = async || place.number("SELECT count(*) FROM image_locks").await;
    let mut before = rows().await;
    assert!(before >= 800, "opening took {} away", 1000 - before);

    // Free at once, and whoever asks does not do all the work.
    let began = Instant::now();
    assert!(matches!(
        acquire(&service, ben, IMAGE).await,
        AcquireAnswer::Acquired(_)
    ));
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    let mut steps = 0;
    while before > 1 {
        let after = rows().await;
        assert!(before - after <= 201, "{} at once", before - after);
        before = after;
        let locks = service
            .locks(ben, &ProjectId::from(PROJECT))
            .await
            .expect("a list")
            .locks;
        assert_eq!(locks.len(), 1, "what has lapsed is not shown");
        steps += 1;
        assert!(steps < 20, "{before} are left");
    }
    let expired =
        "SELECT count(*) FROM lock_grants WHERE end_reason = 'expired' AND ended_at < granted_at + 400000";
    assert_eq!(place.number(expired).await, 1000);
    assert!(matches!(
        acquire(&service, ben, OTHER_IMAGE).await,
        AcquireAnswer::Acquired(_)
    ));
}

async fn acquire(service: &Service, user: UserId, image: &str) -> AcquireAnswer {
    let request = AcquireRequest {
        project_id: PROJECT.into(),
        image_id: image.into(),
        client_id: None,
        device: None,
        take_over: false,
        include: Vec::new(),
    };
    service.acquire(user, request).await.expect("an answer")
}
