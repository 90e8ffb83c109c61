//! Event streams: what keeps them alive, how they are resumed, what a slow reader costs, and that hundreds of them do not
//! hold up a server that is told to stop.

#[macro_use]
mod world;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::future::join_all;
use lockstep_server::Settings;
use lockstep_server::service::LabelFields;
use lockstep_wire::{Cursor, ProjectId, ServerEvent, UserId, routes};
use reqwest::{Method, Response};
use world::{Engine, Fleet, PATIENCE, PROJECT, Person, World};

on_every_engine![
    a_silent_stream_shows_that_it_is_alive,
    whoever_resumes_hears_at_once_of_what_he_missed_and_of_nothing_else,
    watchers_are_told_to_come_back_at_different_times,
    a_reader_who_falls_behind_is_let_go_and_learns_the_rest_when_he_is_back,
    five_hundred_streams_do_not_hold_up_a_server_that_is_told_to_stop,
];

async fn open(who: &Person) -> Response {
    let stream = who.request(Method::GET, &routes::path(routes::EVENTS, &[PROJECT]));
    let stream = stream.send().await.expect("a stream");
    assert_eq!(stream.status(), 200);
    stream
}

/// Reads on until the text holds what is wanted.
async fn read_until(stream: &mut Response, wanted: impl Fn(&str) -> bool) -> String {
    let mut text = String::new();
    while !wanted(&text) {
        let chunk = tokio::time::timeout(PATIENCE, stream.chunk())
            .await
            .unwrap_or_else(|_| panic!("only {text:?}"));
        text.push_str(std::str::from_utf8(&chunk.expect("a chunk").expect("more")).expect("text"));
    }
    text
}

async fn a_silent_stream_shows_that_it_is_alive(engine: Engine) {
    let often = Settings {
        keep_alive_every: Duration::from_millis(50),
        ..Settings::default()
    };
    let world = World::begin(engine, often).await;
    let mut stream = open(&world.sign_in("vera").await).await;
    // A line that begins with a colon is a comment, and no event.
    read_until(&mut stream, |text| text.matches("\n:").count() >= 3).await;
}

async fn whoever_resumes_hears_at_once_of_what_he_missed_and_of_nothing_else(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let (olga, vera) = (world.sign_in("olga").await, world.sign_in("vera").await);
    let (_, first) = world::events(&vera, None)
        .await
        .next()
        .await
        .expect("where the feed is");
    let heard = first["cursor"].as_i64().expect("a cursor");
    let label = serde_json::json!({"name": "Cat", "color": "#0072b2"});
    let path = routes::path(routes::LABELS, &[PROJECT]);
    assert_eq!(olga.call(Method::POST, &path, Some(label)).await.0, 201);

    let mut again = world::events(&vera, Some(heard)).await;
    let (name, missed) = again.next().await.expect("what was missed");
    let newest = missed["cursor"].as_i64().expect("a cursor");
    assert_eq!((name.as_str(), newest > heard), ("changes", true));
    // Nothing was missed since, so the first to be heard is what happens next.
    let mut again = world::events(&vera, Some(newest)).await;
    olga.acquire(world::IMAGE).await;
    assert_eq!(again.next().await.expect("news").0, "lock.acquired");
}

async fn watchers_are_told_to_come_back_at_different_times(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let vera = world.sign_in("vera").await;
    let mut told = BTreeSet::new();
    for _ in 0..20 {
        let text = read_until(&mut open(&vera).await, |text| text.contains("\n\n")).await;
        let retry = text.strip_prefix("retry:").expect("when to come back");
        let ms: u64 = retry
            .lines()
            .next()
            .expect("a line")
            .trim()
            .parse()
            .expect("a number");
        assert!((1000..5000).contains(&ms), "{ms}");
        told.insert(ms);
    }
    assert!(told.len() > 10, "{told:?}");
}

/// No socket in between, whose buffers would read for him.
async fn a_reader_who_falls_behind_is_let_go_and_learns_the_rest_when_he_is_back(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let (service, project) = (world.server.service(), ProjectId::from(PROJECT));
    let olga = UserId(world.sign_in("olga").await.id);
    let mut slow = service
        .watch(olga, project.clone(), None)
        .await
        .expect("a stream");
    let Some(ServerEvent::Changes { cursor: first }) = slow.next().await else {
        panic!("where the feed is")
    };
    // Far more than anyone keeps for him.
    for number in 0..1100 {
        let fields = LabelFields {
            name: Some(format!("label {number}")),
            ..LabelFields::default()
        };
        service.add_label(olga, &project, fields).await.expect("a label");
    }
    let rest = tokio::time::timeout(PATIENCE, slow.collect::<Vec<_>>()).await;
    assert!(rest.expect("his stream ends").len() < 1100);

    let mut again = service
        .watch(olga, project.clone(), Some(first))
        .await
        .expect("a stream");
    assert_eq!(
        again.next().await,
        Some(ServerEvent::Changes {
            cursor: Cursor(first.0 + 1100)
        })
    );
    let page = service
        .changes(olga, &project, first, Some(1000))
        .await
        .expect("a page");
    assert_eq!((page.changes.len(), page.has_more), (1000, true));
}

async fn five_hundred_streams_do_not_hold_up_a_server_that_is_told_to_stop(engine: Engine) {
    let mut fleet = Fleet::begin(engine, 1, &[]).await;
    let vera = fleet.sign_in("vera").await;
    let mut streams = Vec::new();
    for _ in 0..10 {
        // Each takes a connection of its own.
        let opened = (0..50).map(|_| async {
            let mut stream = open(&vera).await;
            read_until(&mut stream, |text| text.contains("event: changes")).await;
            stream
        });
        streams.extend(join_all(opened).await);
    }
    let server = &mut fleet.servers[0];
    let told = Instant::now();
    server.terminate();
    let code = server.left().await;
    let took = told.elapsed();
    assert_eq!((code, took < Duration::from_secs(3)), (Some(0), true), "{took:?}");
    eprintln!("{engine:?}: {} streams, stopped in {took:.2?}", streams.len());
    for stream in &mut streams {
        while let Ok(Some(_)) = stream.chunk().await {}
    }
}
