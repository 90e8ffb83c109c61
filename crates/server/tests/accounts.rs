//! Signing in and out, passwords, tokens for scripts, and streams that end with what they were opened by.

#[macro_use]
mod world;

use std::num::NonZeroU32;
use std::time::Duration;

use futures::StreamExt as _;
use lockstep_server::{Attempts, PasswordWork, Settings};
use lockstep_wire::routes;
use reqwest::Method;
use serde_json::{Value, json};
use world::{Answer, Engine, IMAGE, PATIENCE, PROJECT, Person, Place, World, error, events, until};

on_every_engine![
    a_wrong_password_and_an_unknown_account_are_answered_alike,
    too_many_attempts_at_an_account_are_refused_for_a_while_and_others_go_on,
    too_many_attempts_from_an_address_are_refused_whoever_they_name,
    behind_a_proxy_the_address_is_the_one_the_proxy_says,
    a_sign_out_everywhere_ends_every_session_of_that_person_on_every_server,
    a_sign_out_ends_its_own_session_alone_and_outlives_a_restart,
    a_stream_ends_with_the_token_it_was_opened_with,
    a_stream_ends_when_its_session_is_signed_out,
    another_password_ends_the_other_sessions_and_not_this_one,
    a_password_that_was_hashed_with_other_work_is_hashed_anew_at_the_next_sign_in,
    a_scripts_token_looks_and_changes_what_its_scope_and_its_user_may,
    a_scripts_token_is_not_the_key_to_its_users_account,
    a_scripts_token_ends_when_it_is_deleted_or_has_lapsed_and_so_do_its_streams,
    a_scripts_token_is_stored_as_its_hash_alone,
    a_change_of_role_makes_nobody_a_member,
    a_projects_last_owner_stays,
];

const RIGHT: &str = "correct horse";

async fn sign_in(base: &str, email: &str, password: &str, headers: &[(&str, &str)]) -> reqwest::Response {
    let url = format!("{base}{}", routes::path(routes::LOGIN, &[]));
    let login = json!({"email": email, "password": password});
    let request = reqwest::Client::new().post(url).json(&login);
    let request = headers
        .iter()
        .fold(request, |request, (name, value)| request.header(*name, *value));
    request.send().await.expect("an answer")
}

async fn a_wrong_password_and_an_unknown_account_are_answered_alike(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let ask = async |email: &str| {
        let answer = sign_in(&world.server.url(), email, "wrong password", &[]).await;
        let status = answer.status().as_u16();
        let mut headers = answer.headers().clone();
        headers.remove("date");
        headers.remove("x-request-id");
        (status, headers, answer.text().await.expect("a body"))
    };
    let known = ask("ann@example.org").await;
    assert_eq!(known, ask("nobody@example.org").await);
    assert_eq!(known.0, 401);
}

fn few(per_account: u32, per_address: u32) -> Settings {
    let attempts = |at_once| Attempts {
        at_once: NonZeroU32::new(at_once).expect("not zero"),
        then_every: Duration::from_secs(60),
    };
    Settings {
        attempts_per_account: attempts(per_account),
        attempts_per_address: attempts(per_address),
        ..Settings::default()
    }
}

async fn too_many_attempts_at_an_account_are_refused_for_a_while_and_others_go_on(engine: Engine) {
    let world = World::begin(engine, few(3, 1000)).await;
    let url = world.server.url();
    for _ in 0..3 {
        let answer = sign_in(&url, "ann@example.org", "wrong password", &[]).await;
        assert_eq!(answer.status(), 401);
    }
    let answer = sign_in(&url, "ann@example.org", RIGHT, &[]).await;
    assert_eq!(answer.status(), 429, "the right password, too");
    let wait = answer.headers()["retry-after"].to_str().expect("text");
    let wait: u64 = wait.parse().expect("seconds");
    assert!((1..=61).contains(&wait), "{wait}");
    let body: Value = answer.json().await.expect("a refusal");
    assert_eq!(error(&body), "too_many_requests");
    assert_eq!(sign_in(&url, "ben@example.org", RIGHT, &[]).await.status(), 200);
    for _ in 0..3 {
        let answer = sign_in(&url, "nobody@example.org", "wrong password", &[]).await;
        assert_eq!(answer.status(), 401);
    }
    let answer = sign_in(&url, "nobody@example.org", "wrong password", &[]).await;
    assert_eq!(
        answer.status(),
        429,
        "which tells nobody that there is no such account"
    );
}

async fn too_many_attempts_from_an_address_are_refused_whoever_they_name(engine: Engine) {
    let world = World::begin(engine, few(1000, 3)).await;
    let url = world.server.url();
    for name in ["a", "b", "c"] {
        assert_eq!(sign_in(&url, name, "wrong password", &[]).await.status(), 401);
    }
    let said = [("x-forwarded-for", "203.0.113.5")];
    let answer = sign_in(&url, "ann@example.org", RIGHT, &said).await;
    assert_eq!(answer.status(), 429, "nobody vouches for what it says");
}

async fn behind_a_proxy_the_address_is_the_one_the_proxy_says(engine: Engine) {
    let settings = Settings {
        trusted_proxies: vec![[127, 0, 0, 1].into()],
        ..few(1000, 1)
    };
    let world = World::begin(engine, settings).await;
    let status = async |from: &str| {
        let said = [("x-forwarded-for", from)];
        let answer = sign_in(&world.server.url(), "ann@example.org", RIGHT, &said).await;
        answer.status().as_u16()
    };
    assert_eq!(status("203.0.113.5").await, 200);
    assert_eq!(status("203.0.113.5").await, 429);
    assert_eq!(status("203.0.113.9, 203.0.113.5").await, 429);
    assert_eq!(status("203.0.113.6").await, 200);
}

impl Person {
    async fn post(&self, route: &str, body: Value) -> Answer {
        self.call(Method::POST, &routes::path(route, &[]), Some(body))
            .await
    }

    async fn sign_out(&self, everywhere: bool) {
        let body = json!({"refresh_token": self.refresh_token, "everywhere": everywhere});
        assert_eq!(self.post(routes::LOGOUT, body).await.0, 204);
    }

    async fn me(&self) -> u16 {
        self.get(&routes::path(routes::ME, &[])).await.0
    }

    async fn refreshes(&self) -> u16 {
        self.post(routes::REFRESH, json!({"refresh_token": self.refresh_token}))
            .await
            .0
    }

    /// The same person at another server, or with another token.
    fn with(&self, base: &str, token: &str) -> Self {
        Self {
            base: base.into(),
            token: token.into(),
            ..self.at("w")
        }
    }
}

/// Housekeeping that a test need not wait for.
fn brisk() -> Settings {
    Settings {
        sweep_every: Duration::from_millis(50),
        ..Settings::default()
    }
}

async fn a_sign_out_everywhere_ends_every_session_of_that_person_on_every_server(engine: Engine) {
    let world = World::begin(engine, brisk()).await;
    let other =
        lockstep_server::embedded::start_service(([127, 0, 0, 1], 0).into(), world.place.open(brisk()).await)
            .await
            .expect("another server on the same database");
    let (laptop, desktop, ben) = (
        world.sign_in("ann").await,
        Person::sign_in(&other.url(), "ann").await,
        world.sign_in("ben").await,
    );
    laptop.sign_out(true).await;
    assert_eq!((laptop.me().await, laptop.refreshes().await), (401, 401));
    let desktop_here = desktop.with(&laptop.base, &desktop.token);
    assert_eq!((desktop_here.me().await, desktop.refreshes().await), (401, 401));
    until(async || (desktop.me().await == 401).then_some(())).await;
    assert_eq!((ben.me().await, ben.refreshes().await), (200, 200));
    assert_eq!(
        world.sign_in("ann").await.me().await,
        200,
        "and she may come again"
    );
}

async fn a_sign_out_ends_its_own_session_alone_and_outlives_a_restart(engine: Engine) {
    let world = World::begin(engine, brisk()).await;
    let (here, there) = (world.sign_in("ann").await, world.sign_in("ann").await);
    here.sign_out(false).await;
    assert_eq!((here.me().await, there.me().await), (401, 200));
    let world = world.restarted(brisk()).await;
    let url = world.server.url();
    let (here, there) = (here.with(&url, &here.token), there.with(&url, &there.token));
    assert_eq!((here.me().await, there.me().await), (401, 200));
}

async fn ends(stream: impl futures::Stream<Item = (String, Value)> + Unpin) -> bool {
    let to_the_end = stream.for_each(async |_| ());
    tokio::time::timeout(PATIENCE, to_the_end).await.is_ok()
}

async fn a_stream_ends_with_the_token_it_was_opened_with(engine: Engine) {
    let settings = Settings {
        access_token: Duration::from_secs(2),
        ..brisk()
    };
    let world = World::begin(engine, settings).await;
    let ann = world.sign_in("ann").await;
    let mut heard = events(&ann, None).await;
    assert_eq!(heard.next().await.expect("the first").0, "changes");
    assert!(ends(heard).await, "she still listens");
    until(async || (ann.me().await == 401).then_some(())).await;
    assert_eq!(ann.refreshes().await, 200, "and may go on with a new one");
}

async fn a_stream_ends_when_its_session_is_signed_out(engine: Engine) {
    let world = World::begin(engine, brisk()).await;
    let (here, there) = (world.sign_in("ann").await, world.sign_in("ann").await);
    let mut heard = events(&here, None).await;
    assert_eq!(heard.next().await.expect("the first").0, "changes");
    let mut goes_on = events(&there, None).await;
    here.sign_out(false).await;
    assert!(ends(heard).await, "she still listens");
    assert_eq!(goes_on.next().await.expect("the first").0, "changes");
    there.drew(IMAGE, 1.0).await;
    let next = tokio::time::timeout(PATIENCE, goes_on.next()).await;
    assert!(next.expect("in time").is_some(), "the other session's goes on");
}

async fn another_password_ends_the_other_sessions_and_not_this_one(engine: Engine) {
    let world = World::begin(engine, brisk()).await;
    let (here, there) = (world.sign_in("ann").await, world.sign_in("ann").await);
    let change = async |old: &str, new: &str| {
        let body = json!({"old_password": old, "new_password": new});
        here.post(routes::PASSWORD, body).await
    };
    let (status, body) = change("wrong password", "a better one").await;
    assert_eq!(
        (status, error(&body)),
        (403, "forbidden"),
        "401 would sign her out"
    );
    for weak in ["short", "password123", "ann@example.org"] {
        assert_eq!(change(RIGHT, weak).await.0, 422, "{weak}");
    }
    assert_eq!(there.me().await, 200, "nothing has changed so far");
    assert_eq!(change(RIGHT, "a better one").await.0, 204);
    assert_eq!((there.me().await, there.refreshes().await), (401, 401));
    assert_eq!((here.me().await, here.refreshes().await), (200, 200));
    let sign_in = async |password| {
        let answer = sign_in(&here.base, "ann@example.org", password, &[]).await;
        answer.status().as_u16()
    };
    assert_eq!(sign_in(RIGHT).await, 401);
    assert_eq!(sign_in("a better one").await, 200);
}

async fn a_password_that_was_hashed_with_other_work_is_hashed_anew_at_the_next_sign_in(engine: Engine) {
    let place = Place::new(engine);
    let login = || lockstep_wire::LoginRequest {
        email: "ann@example.org".into(),
        password: RIGHT.into(),
    };
    let service = place.open(Settings::default()).await;
    service
        .add_user("ann@example.org", "Ann", RIGHT.into(), false)
        .await
        .expect("an account");
    let hash = async || place.rows("SELECT password_hash FROM users").await[0][0].clone();
    assert!(hash().await.starts_with("$argon2id$v=19$m=8,t=1,p=1$"));
    let dearer = Settings {
        password_work: PasswordWork {
            memory_kib: 16,
            passes: 2,
        },
        ..Settings::default()
    };
    let service = place.open_as_told(dearer).await;
    let wrong = lockstep_wire::LoginRequest {
        password: "wrong password".into(),
        ..login()
    };
    assert!(service.check_password(wrong).await.is_err());
    assert!(hash().await.starts_with("$argon2id$v=19$m=8,"));
    for _ in 0..2 {
        service
            .check_password(login())
            .await
            .expect("she is who she says");
        assert!(hash().await.starts_with("$argon2id$v=19$m=16,t=2,p=1$"));
    }
}

/// A script of someone's, and what was said when its token was made.
async fn script(who: &Person, fields: Value) -> (Person, Value) {
    let mut body = json!({"name": "nightly"});
    for (field, value) in fields.as_object().expect("fields") {
        body[field] = value.clone();
    }
    let (status, made) = who.post(routes::TOKENS, body).await;
    assert_eq!(status, 201, "{made}");
    let token = made["token"].as_str().expect("a token");
    assert!(token.starts_with("lsk_"), "{token}");
    (who.with(&who.base, token), made)
}

async fn a_scripts_token_looks_and_changes_what_its_scope_and_its_user_may(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let (ann, stan) = (world.sign_in("ann").await, world.sign_in("stan").await);
    let (reader, made) = script(&ann, json!({})).await;
    assert_eq!(made["scope"], "read_only", "unless more was asked for");
    assert_eq!(
        (made["expires_at"].clone(), made["last_used_at"].clone()),
        (Value::Null, Value::Null)
    );
    assert_eq!(reader.me().await, 200);
    assert_eq!(reader.annotations(IMAGE).await, Vec::<Value>::new());
    for (status, body) in [reader.acquire(IMAGE).await, reader.draw(IMAGE, 1.0).await] {
        assert_eq!((status, error(&body)), (403, "forbidden"));
    }
    let (writer, _) = script(&ann, json!({"scope": "read_write"})).await;
    assert_eq!(writer.acquire(IMAGE).await.1["status"], "acquired");
    writer.drew(IMAGE, 1.0).await;
    assert_eq!(reader.annotations(IMAGE).await.len(), 1);
    assert_eq!(reader.annotations(IMAGE).await[0]["created_by"], ann.id);
    assert_eq!(writer.force(IMAGE).await.0, 403, "an annotator's token");
    let (strangers, _) = script(&stan, json!({"scope": "read_write"})).await;
    assert_eq!(strangers.acquire(IMAGE).await.0, 404);
    assert_eq!(strangers.locks_answer().await.0, 404);

    let (_, list) = ann.get(&routes::path(routes::TOKENS, &[])).await;
    assert_eq!(list.as_array().map(Vec::len), Some(2));
    assert_eq!(
        (list[0]["name"].clone(), list[0].get("token")),
        (json!("nightly"), None)
    );
    assert!(list[0]["last_used_at"].is_string());
}

async fn a_scripts_token_is_not_the_key_to_its_users_account(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let ann = world.sign_in("ann").await;
    let (script, made) = script(&ann, json!({"scope": "read_write"})).await;
    let id = made["id"].to_string();
    let password = json!({"old_password": RIGHT, "new_password": "a better one"});
    for (status, body) in [
        script.post(routes::TOKENS, json!({"name": "another"})).await,
        script.get(&routes::path(routes::TOKENS, &[])).await,
        script
            .call(Method::DELETE, &routes::path(routes::TOKEN, &[&id]), None)
            .await,
        script.post(routes::PASSWORD, password).await,
    ] {
        assert_eq!((status, error(&body)), (403, "forbidden"));
    }
    for body in [
        json!({"name": ""}),
        json!({"name": "x", "expires_in": 0}),
        json!({"name": "x", "expires_in": u64::MAX}),
        json!({"name": "x", "scope": "everything"}),
    ] {
        assert_eq!(ann.post(routes::TOKENS, body).await.0, 422);
    }
}

async fn a_scripts_token_ends_when_it_is_deleted_or_has_lapsed_and_so_do_its_streams(engine: Engine) {
    let world = World::begin(engine, brisk()).await;
    let (ann, ben) = (world.sign_in("ann").await, world.sign_in("ben").await);
    let (deleted, made) = script(&ann, json!({})).await;
    let (lapses, _) = script(&ann, json!({"expires_in": 2})).await;
    let (streams, path) = (
        [events(&deleted, None).await, events(&lapses, None).await],
        routes::path(routes::TOKEN, &[&made["id"].to_string()]),
    );
    assert_eq!(
        ben.call(Method::DELETE, &path, None).await.0,
        404,
        "it is not his"
    );
    assert_eq!(ann.call(Method::DELETE, &path, None).await.0, 204);
    assert_eq!(ann.call(Method::DELETE, &path, None).await.0, 404);
    assert_eq!(deleted.me().await, 401);
    until(async || (lapses.me().await == 401).then_some(())).await;
    for stream in streams {
        assert!(ends(stream).await, "it still listens");
    }
    let guess = ann.with(&ann.base, &format!("lsk_{}", "0".repeat(64)));
    assert_eq!(guess.me().await, 401);
}

async fn a_scripts_token_is_stored_as_its_hash_alone(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let (script, _) = script(&world.sign_in("ann").await, json!({})).await;
    assert_eq!(script.me().await, 200);
    let secret = script.token.strip_prefix("lsk_").expect("its beginning");
    for row in world.place.rows("SELECT * FROM api_tokens").await {
        for column in row {
            assert!(!column.contains(secret), "{column}");
        }
    }
    let rows = world.place.rows("SELECT hash FROM api_tokens").await;
    assert_eq!(rows.len(), 1);
}

async fn a_change_of_role_makes_nobody_a_member(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let (olga, stan) = (world.sign_in("olga").await, world.sign_in("stan").await);
    let member = routes::path(routes::MEMBER, &[PROJECT, &stan.id.to_string()]);
    let viewer = Some(json!({"role": "viewer"}));
    let (status, body) = olga.call(Method::PATCH, &member, viewer.clone()).await;
    assert_eq!((status, error(&body)), (404, "not_found"));
    assert_eq!(stan.locks_answer().await.0, 404, "he has not joined");
    assert_eq!(olga.call(Method::DELETE, &member, None).await.0, 404);
    let nobody = routes::path(routes::MEMBER, &[PROJECT, "4711"]);
    assert_eq!(olga.call(Method::PATCH, &nobody, viewer).await.0, 404);
}

async fn a_projects_last_owner_stays(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let olga = world.sign_in("olga").await;
    let herself = routes::path(routes::MEMBER, &[PROJECT, &olga.id.to_string()]);
    let members = routes::path(routes::MEMBERS, &[PROJECT]);
    let again = json!({"user_id": olga.id, "role": "viewer"});
    for (method, path, body) in [
        (Method::PATCH, &herself, Some(json!({"role": "manager"}))),
        (Method::DELETE, &herself, None),
        (Method::POST, &members, Some(again)),
    ] {
        let (status, body) = olga.call(method, path, body).await;
        assert_eq!((status, error(&body)), (403, "forbidden"));
    }
    let (_, list) = olga.get(&members).await;
    let owners = list.as_array().expect("a list").iter();
    assert_eq!(owners.filter(|member| member["role"] == "owner").count(), 1);
}
