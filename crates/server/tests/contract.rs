//! What the contract says of every operation alike, asked of each that the OpenAPI document names: who must sign in,
//! what is no id and no body, which methods there are; and the contract's lines that no scenario has.

#[macro_use]
mod world;

use lockstep_server::Settings;
use lockstep_wire::annotations::REVIEW_STATE;
use lockstep_wire::routes as at;
use reqwest::Method;
use serde_json::{Value, json};
use world::{Engine, IMAGE, PROJECT, Person, World, answer, boxed, error};

on_every_engine![
    who_shows_no_token_or_a_wrong_one_is_asked_to_sign_in_before_anything_else,
    what_is_no_id_is_malformed_wherever_it_is_named,
    what_is_no_body_is_malformed_wherever_it_is_sent,
    strangers_may_send_little,
    an_address_says_which_methods_it_takes,
    a_head_is_a_get_without_its_body,
    nothing_that_a_geometry_or_an_attribute_says_is_lost,
    what_no_database_could_keep_is_malformed,
    what_is_nested_too_deep_for_its_readers_is_malformed,
    an_id_that_is_left_out_is_made_by_the_server,
    a_page_is_never_longer_than_a_page_nor_empty,
    a_cursor_ahead_of_the_feed_stays_where_it_is,
    who_neither_owns_the_project_nor_drew_the_annotation_may_not_change_it,
    a_reviewer_changes_an_annotations_review_state_alone,
];

/// An operation of the document, as it is asked for here.
struct Operation {
    method: Method,
    path: String,
    described: Value,
}

fn operations() -> Vec<Operation> {
    let document: Value = serde_json::from_str(lockstep_server::openapi()).expect("JSON");
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, described) in item.as_object().expect("methods") {
            operations.push(Operation {
                method: method.to_uppercase().parse().expect("a method"),
                path: path.clone(),
                described: described.clone(),
            });
        }
    }
    operations
}

impl Operation {
    fn needs_token(&self) -> bool {
        self.described["security"].is_array()
    }

    fn never_ends(&self) -> bool {
        self.path.ends_with(at::EVENTS)
    }

    fn places(&self) -> Vec<&str> {
        self.path
            .split('/')
            .filter(|part| part.starts_with('{'))
            .collect()
    }

    /// With something that can be an id in every place but one.
    fn path_with(&self, place: &str, id: &str) -> String {
        let parts = self.path.split('/').map(|part| match part {
            _ if part == place => id,
            "{pid}" => PROJECT,
            _ if part.starts_with('{') => "1",
            _ => part,
        });
        parts.collect::<Vec<_>>().join("/")
    }

    fn some_path(&self) -> String {
        self.path_with("none", "")
    }
}

async fn who_shows_no_token_or_a_wrong_one_is_asked_to_sign_in_before_anything_else(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let olga = world.sign_in("olga").await;
    for operation in operations().iter().filter(|operation| operation.needs_token()) {
        for header in [
            None,
            Some("Bearer x"),
            Some("Bearer "),
            Some("Basic b2xnYTp4"),
            Some(olga.token.as_str()),
        ] {
            let place = operation.places().first().map_or("none", |place| place);
            let url = format!("{}{}", olga.base, operation.path_with(place, "%00"));
            let mut request = olga.http.request(operation.method.clone(), url).body("{");
            if let Some(header) = header {
                request = request.header("authorization", header);
            }
            let (status, body) = answer(request).await;
            assert_eq!(
                (status, error(&body)),
                (401, "unauthorized"),
                "{} {} with {header:?}",
                operation.method,
                operation.path
            );
        }
    }
}

async fn what_is_no_id_is_malformed_wherever_it_is_named(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let olga = world.sign_in("olga").await;
    let (long, huge) = ("x".repeat(256), "9".repeat(30));
    for operation in operations() {
        for place in operation.places() {
            let parameters = operation.described["parameters"].as_array().expect("parameters");
            let named = |parameter: &&Value| {
                format!("{{{}}}", parameter["name"].as_str().unwrap_or_default()) == place
            };
            let parameter = parameters.iter().find(named).expect("the place's");
            let is_number = parameter["schema"]["$ref"] == "#/components/schemas/UserId";
            let wrong = match is_number {
                true => vec!["x", "1.5", "%00", &huge],
                false => vec!["%00", "a%00b", "a%0Ab", "%FF", &long],
            };
            for id in wrong {
                let path = operation.path_with(place, id);
                let (status, body) = olga.call(operation.method.clone(), &path, Some(json!({}))).await;
                assert_eq!(
                    (status, error(&body)),
                    (422, "invalid"),
                    "{} {path}",
                    operation.method
                );
            }
        }
    }
}

async fn what_is_no_body_is_malformed_wherever_it_is_sent(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let olga = world.sign_in("olga").await;
    let mut asked = 0;
    for operation in operations() {
        let body = &operation.described["requestBody"];
        if !body["content"]["application/json"].is_object() {
            continue;
        }
        let path = operation.some_path();
        for wrong in [
            "{",
            "[]",
            "[1, 2, 3]",
            "null",
            "7",
            "\"x\"",
            "{\"a\": NaN}",
            "{\"a\": \"\\u0000\"}",
            "\u{0}",
        ] {
            let request = olga
                .request(operation.method.clone(), &path)
                .body(wrong.to_owned());
            let (status, body) = answer(request).await;
            let shown: String = wrong.chars().take(40).collect();
            assert_eq!(
                (status, error(&body)),
                (422, "invalid"),
                "{} {path}: {shown}",
                operation.method
            );
        }
        if body["required"] == true {
            let (status, body) = answer(olga.request(operation.method.clone(), &path)).await;
            assert_eq!(
                (status, error(&body)),
                (422, "invalid"),
                "{} {path}",
                operation.method
            );
        }
        asked += 1;
    }
    assert!(asked > 10, "the document has few bodies: {asked}");
}

async fn strangers_may_send_little(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let http = reqwest::Client::new();
    let operations = operations();
    let open = operations
        .iter()
        .filter(|operation| !operation.needs_token() && operation.described["requestBody"].is_object());
    let mut asked = 0;
    for operation in open {
        let url = format!("{}{}", world.server.url(), operation.path);
        let request = http.request(operation.method.clone(), url);
        let (status, body) = answer(request.body(" ".repeat(100_000))).await;
        assert_eq!((status, error(&body)), (413, "too_large"), "{}", operation.path);
        asked += 1;
    }
    assert!(asked >= 3, "login, refresh, logout");
}

async fn an_address_says_which_methods_it_takes(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let olga = world.sign_in("olga").await;
    let all = operations();
    for operation in &all {
        let of_path = all.iter().filter(|other| other.path == operation.path);
        let mut taken: Vec<&str> = of_path.map(|other| other.method.as_str()).collect();
        if taken.contains(&"GET") {
            taken.push("HEAD");
        }
        taken.sort_unstable();
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"] {
            if taken.contains(&method) {
                continue;
            }
            let request = olga.request(method.parse().expect("a method"), &operation.some_path());
            let response = request.send().await.expect("an answer");
            assert_eq!(response.status(), 405, "{method} {}", operation.path);
            let allowed = response.headers()["allow"].to_str().expect("a text").to_owned();
            let mut allowed: Vec<&str> = allowed.split(',').map(str::trim).collect();
            allowed.sort_unstable();
            assert_eq!(allowed, taken, "{method} {}", operation.path);
            let body: Value = response.json().await.expect("JSON");
            assert_eq!(error(&body), "method_not_allowed");
        }
    }
    for nowhere in [
        "/",
        "/api/v1",
        "/api/v1/",
        "/api/v1/projects/",
        "/api/v2/meta",
        "/api/v1/projects//labels",
        "/healthz/x",
    ] {
        let (status, body) = olga.get(nowhere).await;
        assert!(
            [(404, "not_found"), (422, "invalid")].contains(&(status, error(&body))),
            "{nowhere}: {status}"
        );
    }
}

async fn a_head_is_a_get_without_its_body(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let olga = world.sign_in("olga").await;
    for operation in operations() {
        if operation.method != Method::GET || operation.never_ends() {
            continue;
        }
        let path = operation.some_path();
        let got = olga.request(Method::GET, &path).send().await.expect("an answer");
        let head = olga.request(Method::HEAD, &path).send().await.expect("an answer");
        assert_eq!(head.status(), got.status(), "{path}");
        assert_eq!(
            head.headers().get("content-type"),
            got.headers().get("content-type"),
            "{path}"
        );
        assert!(head.bytes().await.expect("no body").is_empty(), "{path}");
    }
}

async fn nothing_that_a_geometry_or_an_attribute_says_is_lost(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let ann = world.sign_in("ann").await;
    let geometries = [
        json!({"type": "bbox", "x": 1.5, "y": -2.0, "width": 0.0, "height": 1e300, "score": 0.25, "by": {"a": [1, null]}}),
        json!({"type": "tag", "colour": "ü\u{1F600}"}),
        json!({"type": "keypoints", "points": [[0.1, 0.2, 0], [3.0, 4.0, 2]], "skeleton": "hand"}),
        json!({"type": "polygon", "rings": [[[0.0, 0.0], [9.0, 0.0], [9.0, 9.0]], [[1.0, 1.0], [2.0, 1.0], [2.0, 2.0]]], "z": 1}),
        json!({"type": "mask", "x": 0.0, "y": 0.0, "width": 2.0, "height": 2.0, "rle": "13", "source": "sam"}),
    ];
    let attributes = json!({"": 0, "occluded": true, "deep": {"er": [1.5, "x", null]}, "ключ": "значение"});
    for geometry in geometries {
        let drawn = json!({"image_id": IMAGE, "geometry": geometry, "attributes": attributes});
        let (status, body) = ann.draw_with(drawn, &[]).await;
        assert_eq!(status, 201, "{body}");
        let read = ann.annotations(IMAGE).await;
        let read = read
            .iter()
            .find(|one| one["id"] == body["id"])
            .expect("it is there");
        for seen in [&body, read] {
            assert_eq!((&seen["geometry"], &seen["attributes"]), (&geometry, &attributes));
        }
        let moved = json!({"version": 1, "attributes": {}});
        let path = at::path(at::ANNOTATION, &[body["id"].as_str().expect("an id")]);
        let (status, saved) = ann.call(Method::PUT, &path, Some(moved)).await;
        assert_eq!(
            (status, &saved["geometry"], &saved["attributes"]),
            (200, &geometry, &json!({}))
        );
    }
}

async fn what_no_database_could_keep_is_malformed(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let olga = world.sign_in("olga").await;
    let annotation = |geometry: &str| {
        format!(r#"{{"project_id": "{PROJECT}", "image_id": "{IMAGE}", "geometry": {geometry}}}"#)
    };
    let with = |field: &str| annotation(r#"{"type": "tag"}"#).replacen('{', &format!("{{{field}, "), 1);
    let nested = format!(
        r#""attributes": {}1{}"#,
        r#"{"a":"#.repeat(100_000),
        "}".repeat(100_000)
    );
    let labels = at::path(at::LABELS, &[PROJECT]);
    let members = at::path(at::MEMBERS, &[PROJECT]);
    for (path, body) in [
        (
            at::path(at::ANNOTATIONS, &[]),
            annotation(r#"{"type": "bbox", "x": 1e999, "y": 0, "width": 1, "height": 1}"#),
        ),
        (
            at::path(at::ANNOTATIONS, &[]),
            annotation(r#"{"type": "bbox", "x": NaN, "y": 0, "width": 1, "height": 1}"#),
        ),
        (
            at::path(at::ANNOTATIONS, &[]),
            with(r#""attributes": {"a": "\u0000"}"#),
        ),
        (
            at::path(at::ANNOTATIONS, &[]),
            with(r#""attributes": {"\u0000": 1}"#),
        ),
        (at::path(at::ANNOTATIONS, &[]), with(r#""label_id": "\u0000""#)),
        (at::path(at::ANNOTATIONS, &[]), with(&nested)),
        (
            at::path(at::ANNOTATIONS, &[]),
            with(r#""attributes": {"a": "\ud800"}"#),
        ),
        (at::path(at::ANNOTATIONS, &[]), with(r#""id": "\u0000""#)),
        (labels.clone(), r#"{"name": "a", "hotkey": "\u0000"}"#.to_owned()),
        (labels.clone(), r#"{"name": "a", "more": "\u0000"}"#.to_owned()),
        (labels, r#"{"name": "a\u0000"}"#.to_owned()),
        (members, r#"{"email": "a\u0000@b", "role": "viewer"}"#.to_owned()),
        (at::path(at::PROJECTS, &[]), r#"{"name": "a\\\u0000"}"#.to_owned()),
        (
            at::path(at::LOGIN, &[]),
            r#"{"email": "a\u0000@b", "password": "p"}"#.to_owned(),
        ),
    ] {
        let (status, answered) = answer(olga.request(Method::POST, &path).body(body.clone())).await;
        assert_eq!((status, error(&answered)), (422, "invalid"), "{path} {body}");
    }
    // A backslash and the letters u0000 are a text like any other.
    let literal = with(r#""attributes": {"a": "\\u0000"}"#);
    let (status, body) = answer(
        olga.request(Method::POST, &at::path(at::ANNOTATIONS, &[]))
            .body(literal),
    )
    .await;
    assert_eq!((status, &body["attributes"]["a"]), (201, &json!("\\u0000")));

    for query in ["?after=%00", "?after=a%00b", "?limit=x", "?limit=-1"] {
        let (status, body) = olga
            .get(&format!("{}{query}", at::path(at::IMAGES, &[PROJECT])))
            .await;
        assert_eq!((status, error(&body)), (422, "invalid"), "{query}");
    }
    let tag = json!({"image_id": IMAGE, "geometry": {"type": "tag"}});
    let long = "x".repeat(65);
    for (name, value) in [
        (at::LOCK_GENERATION, "one"),
        (at::LOCK_GENERATION, "99999999999999999999"),
        (at::CLIENT_ID, long.as_str()),
        (at::IDEMPOTENCY_KEY, long.as_str()),
        (at::IDEMPOTENCY_KEY, ""),
    ] {
        let (status, body) = olga.draw_with(tag.clone(), &[(name, value)]).await;
        assert_eq!((status, error(&body)), (422, "invalid"), "{name}: {value}");
    }
}

/// Whoever can write it could else keep everyone from reading what it is in.
async fn what_is_nested_too_deep_for_its_readers_is_malformed(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let ann = world.sign_in("ann").await;
    let nested = |levels| (0..levels).fold(json!({}), |inner, _| json!({"a": inner}));
    let draw = async |levels| {
        let drawn = json!({"image_id": IMAGE, "geometry": boxed(1.0), "attributes": nested(levels)});
        ann.draw_with(drawn, &[]).await
    };
    let (status, body) = draw(120).await;
    assert_eq!((status, error(&body)), (422, "invalid"));
    let (status, drawn) = draw(50).await;
    assert_eq!(status, 201, "{drawn}");

    // Readers of this kind give up at 128 levels.
    assert_eq!(ann.annotations(IMAGE).await.len(), 1);
    let id = drawn["id"].as_str().expect("an id");
    for path in [at::path(at::CHANGES, &[PROJECT]), at::path(at::HISTORY, &[id])] {
        assert_eq!(ann.get(&path).await.0, 200, "{path}");
    }
    assert_eq!(ann.save(id, 9, 1.0).await.0, 409);
    let (status, body) = ann.acquire_with(IMAGE, json!({"include": ["annotations"]})).await;
    assert_eq!((status, &body["annotations"][0]["id"]), (200, &drawn["id"]));
}

async fn an_id_that_is_left_out_is_made_by_the_server(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let ann = world.sign_in("ann").await;
    let tag = json!({"image_id": IMAGE, "geometry": {"type": "tag"}});
    let (_, first) = ann.draw_with(tag.clone(), &[]).await;
    let (_, second) = ann.draw_with(tag, &[]).await;
    for body in [&first, &second] {
        let id = uuid::Uuid::parse_str(body["id"].as_str().expect("an id")).expect("a UUID");
        assert_eq!(id.get_version_num(), 7);
    }
    assert_ne!(first["id"], second["id"]);
}

async fn a_page_is_never_longer_than_a_page_nor_empty(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let olga = world.sign_in("olga").await;
    for (route, list) in [(at::IMAGES, "images"), (at::CHANGES, "changes")] {
        let page = async |limit: &str| {
            let (status, body) = olga
                .get(&format!("{}?limit={limit}", at::path(route, &[PROJECT])))
                .await;
            assert_eq!(status, 200, "{route} {limit}: {body}");
            body[list].as_array().expect("a list").len()
        };
        assert_eq!((page("0").await, page("1").await), (1, 1), "{route}");
        assert!(page("4294967295").await > 1, "{route}");
    }
}

async fn a_cursor_ahead_of_the_feed_stays_where_it_is(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let olga = world.sign_in("olga").await;
    for since in [1_000_000, i64::MAX] {
        let (status, page) = olga
            .get(&format!("{}?since={since}", at::path(at::CHANGES, &[PROJECT])))
            .await;
        let expected = json!({"changes": [], "next": since, "has_more": false});
        assert_eq!((status, page), (200, expected));
    }
    let (_, all) = olga.get(&at::path(at::CHANGES, &[PROJECT])).await;
    let (status, from_before) = olga
        .get(&format!("{}?since=-7", at::path(at::CHANGES, &[PROJECT])))
        .await;
    assert_eq!((status, from_before), (200, all));
}

async fn who_neither_owns_the_project_nor_drew_the_annotation_may_not_change_it(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let (olga, ann, ben) = (
        world.sign_in("olga").await,
        world.sign_in("ann").await,
        world.sign_in("ben").await,
    );
    let project = json!({"id": "strict", "name": "Everyone his own"});
    assert_eq!(
        olga.call(Method::POST, &at::path(at::PROJECTS, &[]), Some(project))
            .await
            .0,
        201
    );
    for person in [&ann, &ben] {
        let member = json!({"user_id": person.id, "role": "annotator"});
        let joined = olga
            .call(Method::POST, &at::path(at::MEMBERS, &["strict"]), Some(member))
            .await;
        assert_eq!(joined.0, 201);
    }
    let file = reqwest::multipart::Part::bytes(world::picture()).file_name("one.png");
    let form = reqwest::multipart::Form::new().part("file", file);
    let (status, image) = answer(
        olga.request(Method::POST, &at::path(at::IMAGES, &["strict"]))
            .multipart(form),
    )
    .await;
    assert_eq!(status, 201, "{image}");
    let drawn = json!({"project_id": "strict", "image_id": image["id"], "geometry": boxed(1.0)});
    let (status, drawn) = ann
        .call(Method::POST, &at::path(at::ANNOTATIONS, &[]), Some(drawn))
        .await;
    assert_eq!(status, 201, "{drawn}");
    let path = at::path(at::ANNOTATION, &[drawn["id"].as_str().expect("an id")]);
    let save = async |who: &Person, version: i64| {
        let body = json!({"version": version, "geometry": boxed(2.0)});
        who.call(Method::PUT, &path, Some(body)).await
    };
    // Being allowed comes before the version.
    for version in [1, 7] {
        let (status, body) = save(&ben, version).await;
        assert_eq!((status, error(&body)), (403, "forbidden"));
    }
    assert_eq!(
        ben.call(Method::DELETE, &format!("{path}?version=1"), None)
            .await
            .0,
        403
    );
    assert_eq!((save(&ann, 1).await.0, save(&olga, 2).await.0), (200, 200));
}

async fn a_reviewer_changes_an_annotations_review_state_alone(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let (olga, ann, ben) = (
        world.sign_in("olga").await,
        world.sign_in("ann").await,
        world.sign_in("ben").await,
    );
    let member = at::path(at::MEMBER, &[PROJECT, &ben.id.to_string()]);
    let reviewer = json!({"role": "reviewer"});
    assert_eq!(olga.call(Method::PATCH, &member, Some(reviewer)).await.0, 204);
    let path = at::path(at::ANNOTATION, &[&ann.drew(IMAGE, 1.0).await]);
    let save = async |body: Value| ben.call(Method::PUT, &path, Some(body)).await;

    let (status, saved) = save(json!({"version": 1, "attributes": {REVIEW_STATE: "rejected"}})).await;
    let expected = json!({REVIEW_STATE: "rejected"});
    assert_eq!(
        (status, &saved["attributes"], &saved["geometry"]),
        (200, &expected, &boxed(1.0))
    );
    for more in [
        json!({"version": 2, "geometry": boxed(2.0)}),
        json!({"version": 2, "attributes": {"occluded": true}}),
        json!({"version": 2, "label_id": "x", "attributes": {REVIEW_STATE: "accepted"}}),
    ] {
        let (status, body) = save(more.clone()).await;
        assert_eq!((status, error(&body)), (403, "forbidden"), "{more}");
    }
    assert_eq!(
        ben.call(Method::DELETE, &format!("{path}?version=2"), None)
            .await
            .0,
        403
    );
}
