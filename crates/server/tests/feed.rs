//! The change feed: 64 people write through three server processes while a reader pages on, and no committed change is
//! ever skipped.
//!
//! `LOCKSTEP_FEED_CHANGES` says how many changes `a_million…` makes (`cargo xtask feed --changes N`).

#[macro_use]
mod world;

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use lockstep_wire::routes;
use reqwest::Method;
use serde_json::{Value, json};
use world::{Engine, Fleet, PROJECT, Person, boxed, pause};

on_every_engine![no_committed_change_is_skipped_by_a_reader_who_pages_while_64_write];

mod a_million_changes_and_none_is_skipped {
    use super::{Engine, Load, how_many, race};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "takes minutes: cargo xtask feed"]
    async fn sqlite() {
        race(Engine::Sqlite, Load::of(how_many(), 200)).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "takes minutes: cargo xtask feed"]
    async fn postgres() {
        race(Engine::Postgres, Load::of(how_many(), 200)).await;
    }
}

fn how_many() -> usize {
    let told = std::env::var("LOCKSTEP_FEED_CHANGES").ok();
    told.map_or(1_000_000, |told| told.parse().expect("a number"))
}

async fn no_committed_change_is_skipped_by_a_reader_who_pages_while_64_write(engine: Engine) {
    race(engine, Load::of(4_000, 8)).await;
}

const WRITERS: usize = 64;

#[derive(Clone, Copy)]
struct Load {
    /// Of annotations; each moves its image on as well.
    changes: usize,
    /// The most one transaction makes.
    at_once: usize,
}

impl Load {
    fn of(changes: usize, at_once: usize) -> Self {
        Self { changes, at_once }
    }
}

/// What is known of each annotation: its newest version.
type Versions = HashMap<String, i64>;

async fn race(engine: Engine, load: Load) {
    let fleet = Fleet::begin(engine, 3, &[]).await;
    let olga = fleet.sign_in("olga").await;
    let images: Vec<String> = (0..WRITERS).map(|n| format!("{n}.png")).collect();
    for image in &images {
        olga.upload(image).await;
    }
    let (left, truth, written) = (
        AtomicUsize::new(load.changes),
        Mutex::new(Versions::new()),
        AtomicBool::new(false),
    );
    let began = Instant::now();
    let writing = async {
        let writers = images.iter().enumerate().map(|(n, image)| {
            let me = fleet.via(n % 3, &olga);
            let (left, truth) = (&left, &truth);
            async move { write(&me, n, image, load.at_once, left, truth).await }
        });
        join_all(writers).await;
        written.store(true, Ordering::Release);
        began.elapsed()
    };
    let vera = fleet.via(2, &fleet.sign_in("vera").await);
    let (took, seen) = tokio::join!(writing, read(&vera, &written));
    let truth = truth.into_inner().expect("nobody panicked");
    let skipped = truth
        .iter()
        .filter(|(id, version)| seen.get(*id) != Some(version));
    assert_eq!(skipped.count(), 0, "of {} changes", load.changes);
    assert_eq!(seen.len(), truth.len());
    eprintln!(
        "{engine:?}: {} changes by {WRITERS} writers in {took:.1?}, none skipped, read by {:.1?}",
        load.changes,
        began.elapsed()
    );
}

/// New annotations, and now and then the next version of the last one, until enough has been written by all.
async fn write(
    me: &Person,
    number: usize,
    image: &str,
    at_once: usize,
    left: &AtomicUsize,
    truth: &Mutex<Versions>,
) {
    let path = routes::path(routes::BATCH, &[PROJECT, image]);
    let mut drawn = 0;
    for turn in 0.. {
        let wanted = 1 + (number + turn) % at_once;
        let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            (left > 0).then(|| left.saturating_sub(wanted))
        });
        let Ok(before) = taken else { return };
        let mut ops = Vec::new();
        for _ in 0..wanted.min(before) {
            let last = format!("{number}-{drawn}");
            if ops.len() % 3 == 1 {
                ops.push(json!({"op": "update", "id": last, "version": 1, "geometry": boxed(2.0)}));
            } else {
                drawn += 1;
                ops.push(json!({"op": "create", "id": format!("{number}-{drawn}"), "geometry": boxed(1.0)}));
            }
        }
        let ops = json!({"ops": ops});
        let body = loop {
            let (status, body) = me.call(Method::POST, &path, Some(ops.clone())).await;
            // So many at once may be too many. Nothing of it was stored, and the client comes back as it is told to.
            if status == 503 {
                pause(Duration::from_secs(1)).await;
                continue;
            }
            assert_eq!(status, 200, "{body}");
            break body;
        };
        let mut truth = truth.lock().expect("nobody panicked");
        for saved in body["results"].as_array().expect("results") {
            let (id, version) = (saved["id"].as_str(), saved["version"].as_i64());
            truth.insert(
                id.expect("an id").to_owned(),
                version.unwrap_or_else(|| panic!("{saved}")),
            );
        }
    }
}

/// Pages on until all has been written and read. What it saw last of each annotation.
async fn read(me: &Person, written: &AtomicBool) -> Versions {
    let path = routes::path(routes::CHANGES, &[PROJECT]);
    let (mut seen, mut since) = (Versions::new(), 0);
    loop {
        // Before the look: what is committed by now, this page or a later one must show.
        let all_is_written = written.load(Ordering::Acquire);
        let (status, page) = me.get(&format!("{path}?since={since}")).await;
        assert_eq!(status, 200, "{page}");
        let mut last = since;
        for change in page["changes"].as_array().expect("changes") {
            let cursor = change["cursor"].as_i64().expect("a cursor");
            assert!(cursor > last, "{cursor} after {last}");
            last = cursor;
            take_in(&mut seen, change);
        }
        let next = page["next"].as_i64().expect("a cursor");
        assert!(next >= last, "{next} is before what was shown");
        since = next;
        if all_is_written && page["has_more"] == false {
            return seen;
        }
    }
}

fn take_in(seen: &mut Versions, change: &Value) {
    if change["kind"] != "annotation" {
        return;
    }
    let annotation = &change["annotation"];
    let id = annotation["id"].as_str().expect("an id").to_owned();
    let version = annotation["version"].as_i64().expect("a version");
    let before = seen.insert(id, version);
    assert!(
        before.is_none_or(|before| before <= version),
        "{annotation} after {before:?}"
    );
}
