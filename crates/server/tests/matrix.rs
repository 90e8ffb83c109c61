//! Who may do what: every operation, asked by everyone there is, has the status its row says.
//!
//! The rows are held against the OpenAPI document, which the router is made from too: an operation without a row, a row
//! without an operation, a status the document does not name, or a row that contradicts the document's `x-access` fails.

#[macro_use]
mod world;

use std::collections::BTreeSet;

use bytes::Bytes;
use lockstep_server::Settings;
use lockstep_server::service::{Service, Upload};
use lockstep_server::store::Added;
use lockstep_wire::{ImageId, NewToken, ProjectId, Role, TokenScope, UserId, routes as at};
use reqwest::Method;
use serde_json::{Value, json};
use world::{Engine, IMAGE, PROJECT, Person, World, boxed, picture};

on_every_engine![every_operation_answers_everyone_as_its_row_says];

/// The columns, in order.
const EVERYONE: [&str; 8] = [
    "nobody",
    "stranger",
    "viewer",
    "annotator",
    "reviewer",
    "manager",
    "owner",
    "removed member",
];

type Row = (Method, &'static str, [u16; 8]);

#[rustfmt::skip] // A table is read line by line.
fn rows() -> Vec<Row> {
    use Method as M;
    vec![
        //                                  nobody stran. viewer annot. review manag. owner removed
        (M::GET,    at::HEALTHZ,           [200,   200,   200,   200,   200,   200,   200,   200]),
        (M::GET,    at::READYZ,            [200,   200,   200,   200,   200,   200,   200,   200]),
        (M::GET,    at::METRICS,           [200,   200,   200,   200,   200,   200,   200,   200]),
        (M::GET,    at::OPENAPI,           [200,   200,   200,   200,   200,   200,   200,   200]),
        (M::GET,    at::META,              [200,   200,   200,   200,   200,   200,   200,   200]),

        (M::POST,   at::LOGIN,             [401,   200,   200,   200,   200,   200,   200,   200]),
        (M::POST,   at::REFRESH,           [401,   200,   200,   200,   200,   200,   200,   200]),
        (M::POST,   at::LOGOUT,            [204,   204,   204,   204,   204,   204,   204,   204]),
        (M::GET,    at::ME,                [401,   200,   200,   200,   200,   200,   200,   200]),

        (M::GET,    at::TOKENS,            [401,   200,   200,   200,   200,   200,   200,   200]),
        (M::POST,   at::TOKENS,            [401,   201,   201,   201,   201,   201,   201,   201]),
        (M::DELETE, at::TOKEN,             [401,   204,   204,   204,   204,   204,   204,   204]),

        (M::POST,   at::ACQUIRE,           [401,   404,   403,   200,   403,   200,   200,   404]),
        (M::GET,    at::LOCKS,             [401,   404,   200,   200,   200,   200,   200,   404]),
        (M::DELETE, at::LOCK,              [401,   404,   200,   200,   200,   200,   200,   404]),
        (M::POST,   at::HEARTBEAT,         [401,   404,   403,   423,   403,   423,   423,   404]),
        (M::GET,    at::LOCK_STATUS,       [401,   404,   200,   200,   200,   200,   200,   404]),
        (M::DELETE, at::FORCE_RELEASE,     [401,   404,   403,   403,   403,   200,   200,   404]),

        (M::GET,    at::PROJECTS,          [401,   200,   200,   200,   200,   200,   200,   200]),
        (M::POST,   at::PROJECTS,          [401,   201,   201,   201,   201,   201,   201,   201]),
        (M::GET,    at::MEMBERS,           [401,   404,   200,   200,   200,   200,   200,   404]),
        (M::POST,   at::MEMBERS,           [401,   404,   403,   403,   403,   201,   201,   404]),
        (M::PATCH,  at::MEMBER,            [401,   404,   403,   403,   403,   204,   204,   404]),
        (M::DELETE, at::MEMBER,            [401,   404,   403,   403,   403,   204,   204,   404]),
        (M::GET,    at::LABELS,            [401,   404,   200,   200,   200,   200,   200,   404]),
        (M::POST,   at::LABELS,            [401,   404,   403,   403,   403,   201,   201,   404]),
        (M::PATCH,  at::LABEL,             [401,   404,   403,   403,   403,   200,   200,   404]),
        (M::DELETE, at::LABEL,             [401,   404,   403,   403,   403,   204,   204,   404]),

        (M::GET,    at::IMAGES,            [401,   404,   200,   200,   200,   200,   200,   404]),
        (M::POST,   at::IMAGES,            [401,   404,   403,   403,   403,   201,   201,   404]),
        (M::DELETE, at::IMAGE,             [401,   404,   403,   403,   403,   204,   204,   404]),
        (M::GET,    at::CONTENT,           [401,   404,   200,   200,   200,   200,   200,   404]),
        (M::GET,    at::THUMBNAIL,         [401,   404,   200,   200,   200,   200,   200,   404]),

        (M::GET,    at::IMAGE_ANNOTATIONS, [401,   404,   200,   200,   200,   200,   200,   404]),
        (M::POST,   at::BATCH,             [401,   404,   200,   200,   200,   200,   200,   404]),
        (M::POST,   at::ANNOTATIONS,       [401,   404,   403,   201,   403,   201,   201,   404]),
        (M::PUT,    at::ANNOTATION,        [401,   404,   403,   200,   403,   200,   200,   404]),
        (M::DELETE, at::ANNOTATION,        [401,   404,   403,   200,   403,   200,   200,   404]),
        (M::GET,    at::HISTORY,           [401,   404,   200,   200,   200,   200,   200,   404]),

        (M::GET,    at::CHANGES,           [401,   404,   200,   200,   200,   200,   200,   404]),
        (M::GET,    at::EVENTS,            [401,   404,   200,   200,   200,   200,   200,   404]),

        // The last: it ends the other sessions of whoever does it.
        (M::POST,   at::PASSWORD,          [401,   204,   204,   204,   204,   204,   204,   204]),
    ]
}

/// What the document's word for an access means, column by column: who is turned away, and how.
fn turned_away(access: &str) -> [Option<u16>; 8] {
    let (nobody, stranger, lookers, annotator) = match access {
        "anyone" => (None, None, None, None),
        "signed_in" => (Some(401), None, None, None),
        "member" => (Some(401), Some(404), None, None),
        "annotator" => (Some(401), Some(404), Some(403), None),
        "manager" => (Some(401), Some(404), Some(403), Some(403)),
        other => panic!("an access this test does not know: {other}"),
    };
    [
        nobody, stranger, lookers, annotator, lookers, None, None, stranger,
    ]
}

fn full_path(route: &str) -> String {
    match route {
        at::HEALTHZ | at::READYZ | at::METRICS => route.to_owned(),
        _ => format!("{}{route}", at::BASE),
    }
}

#[test]
fn every_operation_has_one_row_and_every_row_agrees_with_the_document() {
    let document: Value = serde_json::from_str(lockstep_server::openapi()).expect("JSON");
    let mut without_row = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for method in item.as_object().expect("methods").keys() {
            without_row.insert((method.to_uppercase(), path.clone()));
        }
    }
    for (method, route, statuses) in rows() {
        let path = full_path(route);
        let operation = &document["paths"][&path][method.as_str().to_lowercase()];
        assert!(
            without_row.remove(&(method.to_string(), path)),
            "{method} {route} has two rows, or is no operation"
        );
        let expected = turned_away(operation["x-access"].as_str().expect("an access"));
        for ((who, status), away) in EVERYONE.iter().zip(statuses).zip(expected) {
            let answers = &operation["responses"];
            assert!(
                answers[status.to_string()].is_object(),
                "{method} {route}: {status} is not documented"
            );
            // Nobody can sign in, and that is no matter of access.
            let is_away = matches!(status, 401 | 403 | 404) && operation["x-access"] != "anyone";
            assert_eq!(is_away.then_some(status), away, "{method} {route} for {who}");
        }
    }
    assert!(
        without_row.is_empty(),
        "operations without a row: {without_row:?}"
    );
}

async fn every_operation_answers_everyone_as_its_row_says(engine: Engine) {
    let stage = Stage::begin(engine).await;
    let mut wrong = Vec::new();
    for (method, route, statuses) in rows() {
        for (column, expected) in statuses.into_iter().enumerate() {
            let request = stage.request(&method, route, column).await;
            let answer = request.send().await.expect("an answer");
            let status = answer.status().as_u16();
            if status != expected {
                wrong.push(format!(
                    "{method} {route} for {}: {status}, not {expected}",
                    EVERYONE[column]
                ));
            }
            if status >= 400 {
                let body: Value = answer.json().await.expect("JSON");
                world::error(&body);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The people of the columns, and things for them to do something with.
struct Stage {
    world: World,
    owner: Person,
    people: Vec<Person>,
    /// Whom members are made of.
    spare: UserId,
}

impl Stage {
    async fn begin(engine: Engine) -> Self {
        let world = World::begin(engine, Settings::default()).await;
        let owner = world.sign_in("olga").await;
        let service = world.server.service();
        for (name, role) in [
            ("rita", Some(Role::Reviewer)),
            ("max", Some(Role::Manager)),
            ("remo", Some(Role::Annotator)),
            ("remo", None),
        ] {
            let user = account(service, name).await;
            join(service, &owner, user, role).await;
        }
        let spare = account(service, "spare").await;
        let mut people = vec![Person {
            token: "nobody's".into(),
            refresh_token: "nobody's".into(),
            ..owner.at("")
        }];
        for name in ["stan", "vera", "ann", "rita", "max", "olga", "remo"] {
            people.push(world.sign_in(name).await);
        }
        for person in &mut people {
            person.window = None;
        }
        Self {
            world,
            owner,
            people,
            spare,
        }
    }

    fn service(&self) -> &Service {
        self.world.server.service()
    }

    /// The operation upon things that are there for this request alone.
    async fn request(&self, method: &Method, route: &'static str, column: usize) -> reqwest::RequestBuilder {
        let who = &self.people[column];
        let fresh = format!("{}-{column}-{}", method.as_str().to_lowercase(), route.len());
        let (mut parts, mut query, mut body) = (Vec::new(), String::new(), None);
        for place in route.split('/').filter(|part| part.starts_with('{')) {
            parts.push(match place {
                "{pid}" => PROJECT.to_owned(),
                "{iid}" => self.image(&fresh).await,
                "{aid}" => self.annotation().await,
                "{lid}" => self.label(&fresh).await,
                "{uid}" => self.member().await,
                "{tid}" => self.token(who).await,
                other => panic!("{route}: nothing to put in place of {other}"),
            });
        }
        match (method.as_str(), route) {
            ("POST", at::LOGIN) => {
                let email = format!("{}@example.org", self.name(column).unwrap_or("nobody"));
                body = Some(json!({"email": email, "password": world::PASSWORD}));
            }
            ("POST", at::REFRESH | at::LOGOUT) => {
                // A session of its own: its end is nobody else's.
                let token = match self.name(column) {
                    Some(name) => self.world.sign_in(name).await.refresh_token,
                    None => who.refresh_token.clone(),
                };
                body = Some(json!({"refresh_token": token}));
            }
            ("POST", at::PASSWORD) => {
                body = Some(json!({"old_password": world::PASSWORD, "new_password": world::PASSWORD}));
            }
            ("POST", at::TOKENS) => body = Some(json!({"name": "nightly"})),
            ("POST", at::ACQUIRE) => {
                body = Some(json!({"project_id": PROJECT, "image_id": self.image(&fresh).await}));
            }
            ("POST", at::PROJECTS) => body = Some(json!({"name": "Another"})),
            ("POST", at::MEMBERS) => {
                join(self.service(), &self.owner, self.spare, None).await;
                body = Some(json!({"user_id": self.spare, "role": "viewer"}));
            }
            ("PATCH", at::MEMBER) => body = Some(json!({"role": "reviewer"})),
            ("POST", at::LABELS) => body = Some(json!({"name": "new", "color": "#00aa00"})),
            ("PATCH", at::LABEL) => body = Some(json!({"name": "renamed"})),
            ("POST", at::BATCH) => body = Some(json!({"ops": []})),
            ("POST", at::ANNOTATIONS) => {
                body = Some(json!({"project_id": PROJECT, "image_id": IMAGE, "geometry": boxed(1.0)}));
            }
            ("PUT", at::ANNOTATION) => body = Some(json!({"version": 1, "geometry": boxed(2.0)})),
            ("DELETE", at::ANNOTATION) => query = "?version=1".into(),
            _ => {}
        }
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let path = match full_path(route) {
            path if path == route => path,
            _ => at::path(route, &parts),
        };
        let request = who.request(method.clone(), &format!("{path}{query}"));
        match (method.as_str(), route) {
            ("POST", at::IMAGES) => {
                let file = reqwest::multipart::Part::bytes(picture()).file_name("new.png");
                request.multipart(
                    reqwest::multipart::Form::new()
                        .text("id", fresh)
                        .part("file", file),
                )
            }
            _ => body.iter().fold(request, reqwest::RequestBuilder::json),
        }
    }

    fn name(&self, column: usize) -> Option<&'static str> {
        let names = [
            None,
            Some("stan"),
            Some("vera"),
            Some("ann"),
            Some("rita"),
            Some("max"),
            Some("olga"),
            Some("remo"),
        ];
        names[column]
    }

    async fn image(&self, id: &str) -> String {
        let upload = Upload {
            id: Some(ImageId::from(id)),
            file_name: id.into(),
            content: Bytes::from(picture()),
        };
        let project = ProjectId::from(PROJECT);
        let added = self
            .service()
            .add_image(UserId(self.owner.id), &project, upload)
            .await;
        added.expect("an image");
        id.to_owned()
    }

    /// Another's: what one may do to one's own is for the rules' own tests.
    async fn annotation(&self) -> String {
        self.owner.drew(IMAGE, 1.0).await
    }

    async fn label(&self, id: &str) -> String {
        let label = json!({"id": id, "name": "one", "color": "#aa0000"});
        let path = at::path(at::LABELS, &[PROJECT]);
        let (status, body) = self.owner.call(Method::POST, &path, Some(label)).await;
        assert_eq!(status, 201, "{body}");
        id.to_owned()
    }

    async fn token(&self, of: &Person) -> String {
        let new = NewToken {
            name: "nightly".into(),
            scope: TokenScope::ReadOnly,
            expires_in: None,
        };
        let made = self.service().add_api_token(UserId(of.id), new).await;
        made.expect("a token").about.id.to_string()
    }

    async fn member(&self) -> String {
        join(self.service(), &self.owner, self.spare, Some(Role::Viewer)).await;
        self.spare.to_string()
    }
}

async fn account(service: &Service, name: &str) -> UserId {
    let email = format!("{name}@example.org");
    match service.user_of(&email).await {
        Ok(user) => user.id,
        Err(_) => match service
            .add_user(&email, name, world::PASSWORD.into(), false)
            .await
        {
            Ok(Added::New(user)) => user.id,
            other => panic!("no account for {name}: {other:?}"),
        },
    }
}

async fn join(service: &Service, owner: &Person, who: UserId, role: Option<Role>) {
    let project = ProjectId::from(PROJECT);
    let joined = service.change_role(UserId(owner.id), &project, who, role).await;
    // Who is no member cannot be removed, which is as well.
    assert!(joined.is_ok() || role.is_none(), "{joined:?}");
}
