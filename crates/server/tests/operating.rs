//! What an operator sees of a server: its numbers, its log, whether it is ready, and which request was which.

#[macro_use]
mod world;

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use lockstep_server::{Front, Settings, serve_service};
use lockstep_wire::routes;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use world::{Engine, Fleet, IMAGE, PROJECT, Person, Place, Serving, World, error, program, quick, until};

/// A scrape: every sample's number under its name and labels, as they are written.
async fn scrape(base: &str) -> BTreeMap<String, f64> {
    let answer = reqwest::get(format!("{base}{}", routes::METRICS)).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status(), 200);
    let kind = answer.headers()["content-type"]
        .to_str()
        .expect("text")
        .to_owned();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    let text = answer.text().await.expect("text");
    assert!(text.ends_with("# EOF\n"), "{text}");
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| {
            let (name, number) = line.rsplit_once(' ').expect("a sample");
            let number = number.parse().unwrap_or_else(|_| panic!("no number: {line}"));
            (name.to_owned(), number)
        })
        .collect()
}

on_every_engine!(a_played_story_moves_the_numbers);

async fn a_played_story_moves_the_numbers(engine: Engine) {
    let settings = Settings {
        sweep_every: quick().sweep_every,
        ..Settings::with_lease(Duration::from_secs(3))
    };
    let world = World::begin(engine, settings).await;
    let [olga, ann, ben] = [
        world.sign_in("olga").await,
        world.sign_in("ann").await,
        world.sign_in("ben").await,
    ];
    let before = scrape(&world.server.url()).await;
    assert_eq!(before["lockstep_locks_held"], 0.0);

    let watching = ann.request(Method::GET, &routes::path(routes::EVENTS, &[PROJECT]));
    let watching = watching.send().await.expect("a stream");
    ann.acquire(IMAGE).await;
    ann.acquire(IMAGE).await;
    ben.acquire(IMAGE).await;
    let drawn = json!({"image_id": IMAGE, "geometry": world::boxed(1.0)});
    let key = [("idempotency-key", "0190a5a5-0000-7000-8000-000000000001")];
    let (_, body) = ann.draw_with(drawn.clone(), &key).await;
    let id = body["id"].as_str().expect("an id").to_owned();
    ann.save(&id, 1, 2.0).await;
    ann.save(&id, 1, 3.0).await;
    ben.save(&id, 2, 3.0).await;
    let held = scrape(&world.server.url()).await;
    olga.force(IMAGE).await;
    ann.save(&id, 2, 4.0).await;
    olga.acquire(IMAGE).await;
    let lapsed = until(async || {
        let now = scrape(&world.server.url()).await;
        (now["lockstep_locks_ended_total{reason=\"expired\"}"] > 0.0).then_some(now)
    })
    .await;

    assert_eq!(held["lockstep_locks_held"], 1.0);
    assert_eq!(held["lockstep_event_streams_open"], 1.0);
    for (name, by) in [
        ("lockstep_locks_acquired_total", 2.0),
        ("lockstep_locks_renewed_total", 1.0),
        ("lockstep_locks_refused_total", 1.0),
        ("lockstep_locks_ended_total{reason=\"forced\"}", 1.0),
        ("lockstep_locks_ended_total{reason=\"expired\"}", 1.0),
        ("lockstep_saves_total{outcome=\"stored\"}", 2.0),
        ("lockstep_saves_total{outcome=\"conflict\"}", 1.0),
        ("lockstep_saves_total{outcome=\"image_locked\"}", 1.0),
        ("lockstep_saves_total{outcome=\"lock_expired\"}", 1.0),
        ("lockstep_refusals_total{error=\"conflict\"}", 1.0),
        ("lockstep_refusals_total{error=\"image_locked\"}", 1.0),
        (
            "lockstep_http_request_seconds_count{method=\"PUT\",route=\"/api/v1/annotations/{aid}\",status=\"409\"}",
            1.0,
        ),
    ] {
        let was = before.get(name).copied().unwrap_or(0.0);
        let is = lapsed.get(name).copied().unwrap_or(0.0);
        assert_eq!(is - was, by, "{name}");
    }
    assert!(
        lapsed
            .keys()
            .any(|name| name.starts_with("lockstep_build_info{version="))
    );
    for queue in ["requests", "writes", "passwords", "decoders"] {
        let number = format!("lockstep_queue_depth{{queue=\"{queue}\"}}");
        assert!(lapsed.contains_key(&number), "{number}");
    }
    assert!(
        lapsed
            .keys()
            .all(|name| !name.contains(IMAGE) && !name.contains("olga")),
        "labels name nobody and nothing"
    );
    drop(watching);
    until(async || (scrape(&world.server.url()).await["lockstep_event_streams_open"] == 0.0).then_some(()))
        .await;

    let (_, replayed) = ann.draw_with(drawn, &key).await;
    assert_eq!(replayed["replayed"], true, "{replayed}");
    let after = scrape(&world.server.url()).await;
    assert_eq!(after["lockstep_saves_total{outcome=\"replayed\"}"], 1.0);
}

on_every_engine!(the_numbers_are_there_though_the_database_does_not_answer);

async fn the_numbers_are_there_though_the_database_does_not_answer(engine: Engine) {
    let world = World::begin(engine, quick()).await;
    assert_eq!(scrape(&world.server.url()).await["lockstep_locks_held"], 0.0);
    world
        .place
        .run("ALTER TABLE image_locks RENAME TO elsewhere")
        .await;
    let numbers = scrape(&world.server.url()).await;
    assert!(numbers["lockstep_locks_held"].is_nan());
    assert!(numbers.contains_key("lockstep_locks_acquired_total"));
}

#[tokio::test]
async fn strangers_learn_no_numbers() {
    let world = World::begin(Engine::Sqlite, quick()).await;
    let http = reqwest::Client::new();
    let url = format!("{}{}", world.server.url(), routes::METRICS);
    assert_eq!(http.get(&url).send().await.expect("an answer").status(), 200);
    for header in ["x-forwarded-for", "forwarded", "via"] {
        let passed_on = http.get(&url).header(header, "192.0.2.7").send().await;
        assert_eq!(passed_on.expect("an answer").status(), 404, "{header}");
    }
}

#[tokio::test]
async fn a_method_that_someone_made_up_has_no_number_of_its_own() {
    let world = World::begin(Engine::Sqlite, quick()).await;
    let http = reqwest::Client::new();
    for method in ["BREW", "WHEN", "get"] {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let asked = http.request(method, format!("{}{}", world.server.url(), routes::HEALTHZ));
        assert_eq!(asked.send().await.expect("an answer").status(), 405);
    }
    let numbers = scrape(&world.server.url()).await;
    let count = |method: &str| {
        format!(
            "lockstep_http_request_seconds_count{{method=\"{method}\",route=\"/healthz\",status=\"405\"}}"
        )
    };
    assert_eq!(numbers.get(&count("other")), Some(&3.0));
    for method in ["BREW", "WHEN", "get"] {
        assert!(!numbers.contains_key(&count(method)), "{method}");
    }
}

#[tokio::test]
async fn numbers_with_an_address_of_their_own_are_nowhere_else() {
    let place = Place::new(Engine::Sqlite);
    let service = place.open(Settings::default()).await;
    let [listener, metrics] = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").expect("a port"));
    let [main, numbers] =
        [&listener, &metrics].map(|one| format!("http://{}", one.local_addr().expect("an address")));
    let [listener, metrics] = [listener, metrics].map(|one| {
        one.set_nonblocking(true).expect("a listener");
        TcpListener::from_std(one).expect("a listener")
    });
    let front = Front {
        listener,
        tls: None,
        metrics: Some(metrics),
    };
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve_service(front, service, stop.clone().cancelled_owned()));
    let status = async |base: &str, path: &str| {
        reqwest::get(format!("{base}{path}"))
            .await
            .expect("an answer")
            .status()
    };
    assert_eq!(status(&main, routes::METRICS).await, 404);
    assert_eq!(status(&main, routes::READYZ).await, 200);
    assert!(scrape(&numbers).await.contains_key("lockstep_locks_held"));
    assert_eq!(status(&numbers, routes::READYZ).await, 200);
    assert_eq!(status(&numbers, &routes::path(routes::META, &[])).await, 404);
    stop.cancel();
    serving.await.expect("no panic").expect("a clean stop");
}

#[tokio::test]
async fn a_full_server_says_so_and_still_answers_its_operator() {
    let settings = Settings {
        requests_at_once: 0,
        ..quick()
    };
    let place = Place::new(Engine::Sqlite);
    let service = place.open(settings).await;
    let addr = ([127, 0, 0, 1], 0).into();
    let server = lockstep_server::embedded::start_service(addr, service)
        .await
        .expect("a server");
    let http = reqwest::Client::new();
    let url = format!("{}{}", server.url(), routes::path(routes::META, &[]));
    let refused = http
        .get(url)
        .header("x-request-id", "abc-1")
        .send()
        .await
        .expect("an answer");
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(refused.headers()["x-request-id"], "abc-1");
    let body: Value = refused.json().await.expect("JSON");
    assert_eq!(error(&body), "unavailable");
    assert_eq!(
        body["detail"]["request_id"], "abc-1",
        "by which the operator finds it in the log"
    );
    for path in [routes::HEALTHZ, routes::READYZ, routes::METRICS] {
        let answer = http.get(format!("{}{path}", server.url())).send().await;
        assert_eq!(answer.expect("an answer").status(), 200, "{path}");
    }
}

#[tokio::test]
async fn an_answer_says_which_request_it_is_for() {
    let world = World::begin(Engine::Sqlite, quick()).await;
    let http = reqwest::Client::new();
    let url = format!("{}{}", world.server.url(), routes::path(routes::META, &[]));
    let id = async |said: Option<&str>| {
        let request = said
            .into_iter()
            .fold(http.get(&url), |request, id| request.header("x-request-id", id));
        let answer = request.send().await.expect("an answer");
        answer.headers()["x-request-id"]
            .to_str()
            .expect("text")
            .to_owned()
    };
    assert_eq!(
        id(Some("0af7651916cd43dd8448eb211c80319c")).await,
        "0af7651916cd43dd8448eb211c80319c"
    );
    let [one, other] = [id(None).await, id(None).await];
    assert_ne!(one, other);
    assert_ne!(id(Some("no id \"at all\"")).await, "no id \"at all\"");
}

#[tokio::test]
async fn a_server_that_cannot_reach_its_images_is_up_but_not_ready() {
    let world = World::begin(Engine::Sqlite, quick()).await;
    let status = async |path: &str| {
        let url = format!("{}{path}", world.server.url());
        reqwest::get(url).await.expect("an answer").status().as_u16()
    };
    assert_eq!(status(routes::READYZ).await, 200);
    let blobs = world.place.folder.path().join("blobs");
    std::fs::rename(&blobs, world.place.folder.path().join("elsewhere")).expect("it can be moved");
    assert_eq!(status(routes::READYZ).await, 503);
    assert_eq!(status(routes::HEALTHZ).await, 200);
}

on_every_engine!(the_log_holds_no_secret_and_nobodys_words);

/// A whole session, with everything in it that a log must not have, at the level that says most.
async fn the_log_holds_no_secret_and_nobodys_words(engine: Engine) {
    let place = Fleet::begin(engine, 0, &[]).await.place;
    let log = place.folder.path().join("log");
    let mut command = program();
    command
        .arg("serve")
        .args(place.arguments())
        .args(["--log", "trace", "--log-format", "json"])
        .stderr(Stdio::from(std::fs::File::create(&log).expect("a file")));
    let mut serving = Serving::start(command);
    let olga = Person::sign_in(&serving.url, "olga").await;
    let (canary, secret) = ("canary-in-a-coal-mine", "canary-password");

    let login = routes::path(routes::LOGIN, &[]);
    let wrong = json!({"email": format!("{canary}@example.org"), "password": secret});
    assert_eq!(olga.call(Method::POST, &login, Some(wrong)).await.0, 401);
    let broken = olga
        .request(Method::POST, &login)
        .body(format!("{{\"email\": \"{canary}"));
    assert_eq!(broken.send().await.expect("an answer").status(), 422);
    let label = json!({"name": canary, "color": "#0072b2"});
    let labels = routes::path(routes::LABELS, &[PROJECT]);
    let (status, label) = olga.call(Method::POST, &labels, Some(label)).await;
    assert_eq!(status, 201, "{label}");
    let member = json!({"email": format!("{canary}@example.org"), "role": "viewer"});
    let members = routes::path(routes::MEMBERS, &[PROJECT]);
    assert!(olga.call(Method::POST, &members, Some(member)).await.0 >= 400);
    let image = format!("{canary}.png");
    let file = reqwest::multipart::Part::bytes(world::tinted_picture(7)).file_name(image.clone());
    let form = reqwest::multipart::Form::new().part("file", file);
    let upload = olga.request(Method::POST, &routes::path(routes::IMAGES, &[PROJECT]));
    assert_eq!(world::answer(upload.multipart(form)).await.0, 201);
    assert_eq!(olga.acquire_with(&image, json!({"device": canary})).await.0, 200);
    let drawn = json!({"image_id": image, "geometry": world::boxed(1.0), "label_id": label["id"],
                       "attributes": {"note": canary}});
    let (status, drawn) = olga.draw_with(drawn, &[]).await;
    assert_eq!(status, 201, "{drawn}");
    let id = drawn["id"].as_str().expect("an id");
    assert_eq!(olga.save(id, 9, 1.0).await.0, 409);
    assert_eq!(
        olga.get(&routes::path(routes::CONTENT, &[PROJECT, canary]))
            .await
            .0,
        404
    );
    assert_eq!(olga.release(&image).await.0, 200);
    let refresh = json!({"refresh_token": olga.refresh_token});
    assert_eq!(
        olga.call(Method::POST, &routes::path(routes::LOGOUT, &[]), Some(refresh))
            .await
            .0,
        204
    );
    serving.terminate();
    assert_eq!(serving.left().await, Some(0));

    let log = std::fs::read_to_string(&log).expect("a log");
    for words in [
        canary,
        secret,
        "correct horse",
        "example.org",
        &olga.token,
        &olga.refresh_token,
        PROJECT_NAME,
    ] {
        let line = log.lines().find(|line| line.contains(words));
        assert_eq!(line, None, "{words:?} is in the log");
    }
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect();
    let conflict = lines
        .iter()
        .find(|line| line["status"] == 409)
        .expect("a line for each request");
    assert_eq!(conflict["error"], "conflict");
    let request = &conflict["span"];
    assert_eq!(request["method"], "PUT");
    assert_eq!(request["route"], "/api/v1/annotations/{aid}");
    assert_eq!(request["user"], olga.id);
    assert!(request["id"].as_str().is_some_and(|id| !id.is_empty()));
}

const PROJECT_NAME: &str = "Streets";
