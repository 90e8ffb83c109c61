//! A real server on a free port, with people and images in it, spoken to over plain HTTP.

#![allow(dead_code, unused_imports, reason = "each test file uses its own part of it")]
#![allow(unreachable_pub, reason = "a module of several test programs")]

#[macro_use]
mod place;
mod program;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt as _;
use lockstep_server::embedded::{self, Running};
use lockstep_server::service::{NewMember, ProjectFields, Upload};
use lockstep_server::store::Added;
use lockstep_server::{Service, Settings};
use lockstep_wire::{ImageId, ProjectId, Role, routes};
use reqwest::Method;
use serde_json::{Value, json};

pub use place::{Engine, Place};
pub use program::{Clock, Fleet, Serving, program, serve};

/// The project everything is in.
pub const PROJECT: &str = "p";
/// The images of it.
pub const IMAGE: &str = "street.png";
pub const OTHER_IMAGE: &str = "a/b ü.png";
pub const PASSWORD: &str = "correct horse";

/// How long anything may take that does not wait on purpose.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct World {
    pub server: Running,
    pub place: Place,
}

/// Leases that lapse within a test.
pub fn quick() -> Settings {
    Settings {
        sweep_every: Duration::from_millis(50),
        force_hold: Duration::from_millis(1500),
        ..Settings::with_lease(Duration::from_millis(1200))
    }
}

impl World {
    /// Olga owns the project; Ann and Ben annotate; Vera looks; Stan is a stranger.
    pub async fn begin(engine: Engine, settings: Settings) -> Self {
        Self::begin_on(Place::new(engine), settings).await
    }

    /// In a place where nobody is yet.
    pub async fn begin_on(place: Place, settings: Settings) -> Self {
        let world = Self::on(place, settings).await;
        people(world.server.service()).await;
        world
    }

    /// With the people who are there.
    pub async fn on(place: Place, settings: Settings) -> Self {
        Self {
            server: start(&place, settings).await,
            place,
        }
    }

    /// The data alone.
    pub async fn stopped(self) -> Place {
        self.server.stop().await.expect("a clean stop");
        self.place
    }

    /// The same data under a new server.
    pub async fn restarted(self, settings: Settings) -> Self {
        Self::on(self.stopped().await, settings).await
    }

    pub async fn sign_in(&self, name: &str) -> Person {
        Person::sign_in(&self.server.url(), name).await
    }
}

async fn start(place: &Place, settings: Settings) -> Running {
    let service = place.open(settings).await;
    embedded::start_service(SocketAddr::from(([127, 0, 0, 1], 0)), service)
        .await
        .expect("a server")
}

async fn people(service: &Service) {
    let mut ids = Vec::new();
    for name in ["olga", "ann", "ben", "vera", "stan"] {
        let email = format!("{name}@example.org");
        let user = service
            .add_user(&email, name, PASSWORD.into(), false)
            .await
            .expect("an account");
        let Added::New(user) = user else {
            panic!("{name} is there already")
        };
        ids.push(user.id);
    }
    let [olga, ann, ben, vera, _] = ids[..] else {
        panic!("five people")
    };
    let project = ProjectId::from(PROJECT);
    let fields = ProjectFields {
        id: Some(project.clone()),
        name: "Streets".into(),
        annotators_edit_all: true,
    };
    service.add_project(olga, fields).await.expect("a project");
    for (user, role) in [
        (ann, Role::Annotator),
        (ben, Role::Annotator),
        (vera, Role::Viewer),
    ] {
        let member = NewMember {
            user_id: Some(user),
            email: None,
            role,
        };
        service
            .add_member(olga, &project, member)
            .await
            .expect("a member");
    }
    for id in [IMAGE, OTHER_IMAGE] {
        let upload = Upload {
            id: Some(ImageId::from(id)),
            file_name: id.into(),
            content: Bytes::from(picture()),
        };
        service.add_image(olga, &project, upload).await.expect("an image");
    }
}

/// A tiny real one.
pub fn picture() -> Vec<u8> {
    tinted_picture(90)
}

/// As large, and different for each tint.
pub fn tinted_picture(tint: u8) -> Vec<u8> {
    let mut content = std::io::Cursor::new(Vec::new());
    let pixels = image::RgbImage::from_fn(32, 20, |x, y| image::Rgb([x as u8 * 8, y as u8 * 12, tint]));
    pixels
        .write_to(&mut content, image::ImageFormat::Png)
        .expect("a PNG");
    content.into_inner()
}

/// Someone at a client that knows no more than HTTP.
#[derive(Clone)]
pub struct Person {
    pub http: reqwest::Client,
    pub base: String,
    pub token: String,
    pub refresh_token: String,
    pub id: i64,
    /// Sent with every lock request and write when there is one.
    pub window: Option<String>,
}

/// A status and a body.
pub type Answer = (u16, Value);

impl Person {
    pub async fn sign_in(base: &str, name: &str) -> Self {
        let http = reqwest::Client::new();
        let login = json!({"email": format!("{name}@example.org"), "password": PASSWORD});
        let url = format!("{base}{}", routes::path(routes::LOGIN, &[]));
        let answer = http.post(url).json(&login).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        let body: Value = answer.json().await.expect("tokens");
        let text = |field: &str| body[field].as_str().expect("a text").to_owned();
        Self {
            http,
            base: base.to_owned(),
            token: text("access_token"),
            refresh_token: text("refresh_token"),
            id: body["user"]["id"].as_i64().expect("a number"),
            window: None,
        }
    }

    /// The same person at another window.
    pub fn at(&self, window: &str) -> Self {
        Self {
            window: Some(window.into()),
            ..self.clone()
        }
    }

    /// The same person at another server.
    pub fn via(&self, base: &str) -> Self {
        Self {
            base: base.to_owned(),
            ..self.clone()
        }
    }

    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(&self.token)
    }

    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.json(&body);
        }
        answer(request).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    pub async fn acquire(&self, image: &str) -> Answer {
        self.acquire_with(image, json!({})).await
    }

    pub async fn acquire_with(&self, image: &str, more: Value) -> Answer {
        let mut body = json!({"project_id": PROJECT, "image_id": image});
        if let Some(window) = &self.window {
            body["client_id"] = window.as_str().into();
            body["device"] = format!("{window}'s machine").into();
        }
        for (field, value) in more.as_object().expect("fields") {
            body[field] = value.clone();
        }
        self.call(Method::POST, &routes::path(routes::ACQUIRE, &[]), Some(body))
            .await
    }

    pub async fn heartbeat(&self, image: &str) -> Answer {
        let body = self.window.as_ref().map(|window| json!({"client_id": window}));
        self.call(
            Method::POST,
            &routes::path(routes::HEARTBEAT, &[PROJECT, image]),
            body,
        )
        .await
    }

    pub async fn release(&self, image: &str) -> Answer {
        let window = self
            .window
            .as_ref()
            .map_or(String::new(), |window| format!("?client_id={window}"));
        self.call(
            Method::DELETE,
            &format!("{}{window}", routes::path(routes::LOCK, &[PROJECT, image])),
            None,
        )
        .await
    }

    pub async fn force(&self, image: &str) -> Answer {
        self.call(
            Method::DELETE,
            &routes::path(routes::FORCE_RELEASE, &[PROJECT, image]),
            None,
        )
        .await
    }

    pub async fn locks_answer(&self) -> Answer {
        self.get(&routes::path(routes::LOCKS, &[PROJECT])).await
    }

    pub async fn locks(&self) -> Vec<Value> {
        let (status, body) = self.locks_answer().await;
        assert_eq!(status, 200);
        body["locks"].as_array().expect("a list").clone()
    }

    pub async fn status(&self, image: &str) -> Value {
        let (status, body) = self
            .get(&routes::path(routes::LOCK_STATUS, &[PROJECT, image]))
            .await;
        assert_eq!(status, 200);
        body
    }

    pub async fn annotations(&self, image: &str) -> Vec<Value> {
        let (status, body) = self
            .get(&routes::path(routes::IMAGE_ANNOTATIONS, &[PROJECT, image]))
            .await;
        assert_eq!(status, 200);
        body["annotations"].as_array().expect("a list").clone()
    }

    fn write(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> reqwest::RequestBuilder {
        let mut request = self.request(method, path);
        if let Some(window) = &self.window {
            request = request.header(routes::CLIENT_ID, window);
        }
        headers
            .iter()
            .fold(request, |request, (name, value)| request.header(*name, *value))
    }

    /// A box whose left edge is at `x`.
    pub async fn draw(&self, image: &str, x: f64) -> Answer {
        self.draw_with(json!({"image_id": image, "geometry": boxed(x)}), &[])
            .await
    }

    pub async fn draw_with(&self, mut body: Value, headers: &[(&str, &str)]) -> Answer {
        body["project_id"] = PROJECT.into();
        answer(
            self.write(Method::POST, &routes::path(routes::ANNOTATIONS, &[]), headers)
                .json(&body),
        )
        .await
    }

    /// Moves a box's left edge to `x`.
    pub async fn save(&self, id: &str, version: i64, x: f64) -> Answer {
        self.save_with(id, version, x, &[]).await
    }

    pub async fn save_with(&self, id: &str, version: i64, x: f64, headers: &[(&str, &str)]) -> Answer {
        let body = json!({"version": version, "geometry": boxed(x)});
        answer(
            self.write(Method::PUT, &routes::path(routes::ANNOTATION, &[id]), headers)
                .json(&body),
        )
        .await
    }

    pub async fn delete(&self, id: &str, version: i64) -> Answer {
        let path = format!("{}?version={version}", routes::path(routes::ANNOTATION, &[id]));
        answer(self.write(Method::DELETE, &path, &[])).await
    }

    /// A small picture under its file name, though there may be others like it.
    pub async fn upload(&self, name: &str) {
        let file = reqwest::multipart::Part::bytes(picture()).file_name(name.to_owned());
        let form = reqwest::multipart::Form::new()
            .text("id", name.to_owned())
            .part("file", file);
        let path = routes::path(routes::IMAGES, &[PROJECT]);
        let (status, body) = answer(self.request(Method::POST, &path).multipart(form)).await;
        assert_eq!((status, &body["id"]), (201, &json!(name)), "{body}");
    }

    /// A box drawn while holding the image, which is then given back. Its id.
    pub async fn drew(&self, image: &str, x: f64) -> String {
        let (status, body) = self.draw(image, x).await;
        assert_eq!(status, 201, "{body}");
        body["id"].as_str().expect("an id").to_owned()
    }
}

pub fn boxed(x: f64) -> Value {
    json!({"type": "bbox", "x": x, "y": 2.0, "width": 5.0, "height": 6.0})
}

pub async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    let text = response.text().await.expect("a body");
    let body = if text.is_empty() {
        Value::Null
    } else {
        serde_json::from_str(&text).expect("JSON")
    };
    (status, body)
}

/// The code of a refusal, whose sentence must be there.
pub fn error(body: &Value) -> &str {
    assert!(
        body["detail"]["message"]
            .as_str()
            .is_some_and(|message| !message.is_empty()),
        "{body}"
    );
    body["detail"]["error"].as_str().expect("a code")
}

/// A time of the wire, in milliseconds.
pub fn millis(time: &Value) -> i64 {
    let text = time.as_str().expect("a time");
    assert!(text.ends_with('Z'), "{text}");
    chrono::DateTime::parse_from_rfc3339(text)
        .expect("RFC 3339")
        .timestamp_millis()
}

/// For what is to happen at some moment or other.
pub async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Asks again and again until the answer is as wanted.
pub async fn until<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(Instant::now() < deadline, "it did not come about in {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The events of a stream as name and data, as they come.
pub async fn events(
    who: &Person,
    last_heard: Option<i64>,
) -> impl futures::Stream<Item = (String, Value)> + Unpin + use<> {
    let mut request = who.request(Method::GET, &routes::path(routes::EVENTS, &[PROJECT]));
    if let Some(cursor) = last_heard {
        request = request.header("last-event-id", cursor);
    }
    let stream = request.send().await.expect("a stream").bytes_stream();
    let mut text = String::new();
    Box::pin(stream.flat_map(move |chunk| {
        text.push_str(std::str::from_utf8(&chunk.expect("a chunk")).expect("text"));
        let mut whole = Vec::new();
        while let Some(end) = text.find("\n\n") {
            let event: String = text.drain(..end + 2).collect();
            let field = |name: &str| {
                event
                    .lines()
                    .find_map(|line| line.strip_prefix(name))
                    .map(str::trim)
            };
            if let (Some(name), Some(data)) = (field("event:"), field("data:")) {
                whole.push((name.to_owned(), serde_json::from_str(data).expect("JSON")));
            }
        }
        futures::stream::iter(whole)
    }))
}
