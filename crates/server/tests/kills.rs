//! A server is killed in the midst of writes, again and again: what it acknowledged is there, nothing is there twice, and
//! locks outlive it (L1, L5, L6, E17).

#[macro_use]
mod world;

use std::time::Duration;

use futures::future::join_all;
use lockstep_wire::routes;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use world::{Engine, Fleet, IMAGE, Person, boxed, millis, pause, serve};

on_every_engine![
    l1_l5_l6_what_a_killed_server_acknowledged_is_there_once_thirty_times_over,
    e17_locks_and_saves_outlive_a_server_that_is_away_for_long,
];

/// Numbers that are the same in every run: xorshift.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

/// One connection's work: an annotation whose nth save says n.
struct Writer {
    me: Person,
    id: String,
    /// Of the newest acknowledged save.
    version: i64,
}

impl Writer {
    /// Saves on and on until the server is gone. A save without an answer is sent again by the next call, as it was.
    async fn write(&mut self, url: &str, acknowledged: &UnboundedSender<()>) {
        self.me = self.me.via(url);
        loop {
            let key = format!("{}-{}", self.id, self.version);
            let sent = if self.version == 0 {
                let body = json!({"project_id": world::PROJECT, "id": self.id, "image_id": IMAGE, "geometry": boxed(1.0)});
                let path = routes::path(routes::ANNOTATIONS, &[]);
                self.me.request(reqwest::Method::POST, &path).json(&body)
            } else {
                let body = json!({"version": self.version, "geometry": boxed((self.version + 1) as f64)});
                let path = routes::path(routes::ANNOTATION, &[&self.id]);
                self.me.request(reqwest::Method::PUT, &path).json(&body)
            };
            let Ok(answer) = sent.header(routes::IDEMPOTENCY_KEY, key).send().await else {
                return;
            };
            let status = answer.status().as_u16();
            // The head may have come and the rest not: that is no acknowledgement.
            let Ok(body) = answer.json::<Value>().await else {
                return;
            };
            assert!([200, 201].contains(&status), "{body}");
            assert_eq!(body["version"], self.version + 1);
            self.version += 1;
            // Whoever counts may have seen enough.
            let _ = acknowledged.send(());
        }
    }

    /// Every acknowledged save is a link of the chain, and at most the one that was never answered comes after.
    async fn check(&self, url: &str) {
        let (status, body) = self
            .me
            .via(url)
            .get(&routes::path(routes::HISTORY, &[&self.id]))
            .await;
        if status == 404 {
            assert_eq!(self.version, 0, "{} was acknowledged", self.id);
            return;
        }
        let versions = body["versions"].as_array().expect("versions");
        let beyond = versions.len() as i64 - self.version;
        assert!([0, 1].contains(&beyond), "{beyond} beyond {}", self.version);
        for (n, one) in (1..).zip(versions) {
            assert_eq!((&one["version"], &one["geometry"]), (&json!(n), &boxed(n as f64)));
        }
    }
}

async fn l1_l5_l6_what_a_killed_server_acknowledged_is_there_once_thirty_times_over(engine: Engine) {
    let mut fleet = Fleet::begin(engine, 1, &[]).await;
    let ann = fleet.sign_in("ann").await;
    let writer = |n| Writer {
        // A connection of its own.
        me: Person {
            http: reqwest::Client::new(),
            ..ann.clone()
        },
        id: format!("writer {n}"),
        version: 0,
    };
    let mut writers: Vec<Writer> = (0..6).map(writer).collect();
    let mut dice = Dice(20_261_124);
    for _ in 0..30 {
        let server = fleet.servers.pop().expect("one");
        let url = server.url.clone();
        let (acknowledged, mut counted) = unbounded_channel();
        let killing = async {
            for _ in 0..dice.roll(40) {
                counted.recv().await.expect("they write on");
            }
            pause(Duration::from_micros(dice.roll(20_000))).await;
            server.kill();
        };
        let writing = join_all(writers.iter_mut().map(|writer| writer.write(&url, &acknowledged)));
        tokio::join!(killing, writing);
        let server = serve(&fleet.place, &[], None);
        for writer in &writers {
            writer.check(&server.url).await;
        }
        fleet.servers.push(server);
    }
    let acknowledged: i64 = writers.iter().map(|writer| writer.version).sum();
    assert!(acknowledged > 300, "only {acknowledged} were acknowledged at all");
}

async fn e17_locks_and_saves_outlive_a_server_that_is_away_for_long(engine: Engine) {
    let mut fleet = Fleet::begin(engine, 1, &[]).await;
    let (ann, ben) = (fleet.sign_in("ann").await.at("w1"), fleet.sign_in("ben").await);
    for away in [1, 4 * 60, 20 * 60] {
        let [ann, ben] = [&ann, &ben].map(|who| fleet.via(0, who));
        let (_, granted) = ann.acquire(IMAGE).await;
        let id = ann.drew(IMAGE, 1.0).await;
        let left = |body: &Value| millis(&body["lock"]["expires_at"]) - millis(&body["server_time"]);
        fleet.servers.pop().expect("one").kill();
        // As if that long ago.
        fleet.place.step_clock(away * 1000).await;

        fleet.servers.push(serve(&fleet.place, &[], None));
        let [ann, ben] = [&ann, &ben].map(|who| fleet.via(0, who));
        assert_eq!(ben.acquire(IMAGE).await.1["status"], "already_locked", "{away}");
        let kept = ann.status(IMAGE).await;
        let now = fleet.place.number(&format!("SELECT {}", fleet.place.now())).await;
        let still_left = millis(&kept["expires_at"]) - now;
        assert!(still_left > left(&granted) - 60_000, "{away}: {still_left}");
        assert_eq!(kept["generation"], granted["lock"]["generation"]);
        let (_, again) = ann.acquire(IMAGE).await;
        assert_eq!(
            (&again["status"], &again["lock"]["generation"]),
            (&json!("refreshed"), &granted["lock"]["generation"])
        );
        // An outage costs nobody a second of his lease.
        assert!(left(&again) >= left(&granted), "{away}");
        let there = ann.annotations(IMAGE).await;
        assert!(there.iter().any(|one| one["id"] == json!(id)));
        assert_eq!(ann.save(&id, 1, 2.0).await.0, 200);
        ann.release(IMAGE).await;
    }
}
