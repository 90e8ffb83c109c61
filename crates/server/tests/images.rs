//! Images over HTTP: how they come in, and how their bytes go out.

#[macro_use]
mod world;

use lockstep_server::Settings;
use lockstep_wire::routes;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use world::{
    Answer, Engine, IMAGE, OTHER_IMAGE, PROJECT, Person, World, answer, error, picture, tinted_picture,
};

on_every_engine![
    a_picture_that_is_there_is_not_added_again,
    another_picture_of_the_same_name_has_an_id_of_its_own,
    an_upload_is_measured_as_it_comes_and_what_is_too_large_is_refused,
    a_file_that_is_called_what_it_is_not_is_kept_as_what_it_is,
    bytes_are_given_whole_in_part_or_not_at_all,
];

impl Person {
    async fn sends(&self, id: Option<&str>, name: &str, content: Vec<u8>) -> Answer {
        let file = reqwest::multipart::Part::bytes(content).file_name(name.to_owned());
        let mut form = reqwest::multipart::Form::new();
        if let Some(id) = id {
            form = form.text("id", id.to_owned());
        }
        let path = routes::path(routes::IMAGES, &[PROJECT]);
        answer(
            self.request(Method::POST, &path)
                .multipart(form.part("file", file)),
        )
        .await
    }

    async fn bytes_of(&self, method: Method, image: &str, headers: &[(&str, &str)]) -> Response {
        let path = routes::path(routes::CONTENT, &[PROJECT, image]);
        let request = self.request(method, &path);
        let request = headers
            .iter()
            .fold(request, |request, (name, value)| request.header(*name, *value));
        request.send().await.expect("an answer")
    }
}

async fn a_picture_that_is_there_is_not_added_again(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let olga = world.sign_in("olga").await;
    let (status, first) = olga.sends(None, "new.png", tinted_picture(7)).await;
    assert_eq!(status, 201);
    for (id, name) in [
        (None, "new.png"),
        (None, "other.png"),
        (Some("new.png"), "new.png"),
    ] {
        let (status, again) = olga.sends(id, name, tinted_picture(7)).await;
        assert_eq!((status, &again), (200, &first), "{id:?} {name}");
    }
    let (status, body) = olga.sends(Some("new.png"), "new.png", tinted_picture(8)).await;
    assert_eq!(
        (status, error(&body)),
        (422, "invalid"),
        "the id is another picture's"
    );
    assert_eq!(
        olga.sends(Some("x"), "x.png", tinted_picture(7)).await.0,
        201,
        "asked for by its id"
    );
}

async fn another_picture_of_the_same_name_has_an_id_of_its_own(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let olga = world.sign_in("olga").await;
    let (_, first) = olga.sends(None, "a.png", tinted_picture(7)).await;
    let (status, second) = olga.sends(None, "a.png", tinted_picture(8)).await;
    assert_eq!((status, &second["file_name"]), (201, &json!("a.png")));
    assert_ne!(first["id"], second["id"]);
}

async fn an_upload_is_measured_as_it_comes_and_what_is_too_large_is_refused(engine: Engine) {
    let mut settings = Settings::default();
    settings.pictures.bytes = 1 << 20;
    let world = World::begin(engine, settings).await;
    let olga = world.sign_in("olga").await;
    let (status, body) = olga.sends(None, "large.png", vec![0; (1 << 20) + 1]).await;
    assert_eq!((status, error(&body)), (413, "too_large"));
    let (status, body) = olga.sends(None, &"n".repeat(300), picture()).await;
    assert_eq!((status, error(&body)), (422, "invalid"));
    let (status, body) = olga.sends(Some(&"i".repeat(9000)), "a.png", picture()).await;
    assert_eq!((status, error(&body)), (422, "invalid"));
}

async fn a_file_that_is_called_what_it_is_not_is_kept_as_what_it_is(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let olga = world.sign_in("olga").await;
    let (status, image) = olga.sends(None, "photo.jpg", tinted_picture(7)).await;
    assert_eq!((status, &image["media_type"]), (201, &json!("image/png")));
    let given = olga.bytes_of(Method::GET, "photo.jpg", &[]).await;
    assert_eq!(given.headers()["content-type"], "image/png");
    assert_eq!(given.headers()["x-content-type-options"], "nosniff");
}

async fn bytes_are_given_whole_in_part_or_not_at_all(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    let ann = world.sign_in("ann").await;
    let whole = picture();
    let size = whole.len();
    let header = |answer: &Response, name: &str| {
        let value = answer.headers().get(name);
        value.map(|value| value.to_str().expect("text").to_owned())
    };

    let all = ann.bytes_of(Method::GET, OTHER_IMAGE, &[]).await;
    assert_eq!(
        (all.status().as_u16(), header(&all, "accept-ranges")),
        (200, Some("bytes".into()))
    );
    assert_eq!(header(&all, "content-length"), Some(size.to_string()));
    assert_eq!(
        header(&all, "content-disposition").as_deref(),
        Some("inline; filename*=UTF-8''b%20%C3%BC.png")
    );
    let tag = header(&all, "etag").expect("a tag");
    assert!(all.bytes().await.expect("a body") == whole);

    let head = ann.bytes_of(Method::HEAD, OTHER_IMAGE, &[]).await;
    assert_eq!(
        (head.status().as_u16(), header(&head, "content-length")),
        (200, Some(size.to_string()))
    );
    assert_eq!(header(&head, "etag").as_ref(), Some(&tag));
    assert!(head.bytes().await.expect("a body").is_empty());

    for (asked, from, to) in [
        ("bytes=0-3".to_owned(), 0, 4),
        ("bytes=5-".to_owned(), 5, size),
        ("bytes=-7".to_owned(), size - 7, size),
        (format!("bytes=3-{}", size * 2), 3, size),
    ] {
        for headers in [
            vec![("range", asked.as_str())],
            vec![("range", &asked), ("if-range", &tag)],
        ] {
            let part = ann.bytes_of(Method::GET, IMAGE, &headers).await;
            assert_eq!(part.status(), 206, "{asked}");
            let which = format!("bytes {from}-{}/{size}", to - 1);
            assert_eq!(header(&part, "content-range"), Some(which));
            assert_eq!(header(&part, "content-length"), Some((to - from).to_string()));
            assert!(part.bytes().await.expect("a body") == whole[from..to], "{asked}");
        }
    }
    for headers in [
        vec![("range", "bytes=0-3"), ("if-range", "\"another\"")],
        vec![("range", "bytes=0-3,5-6")],
        vec![("range", "lines=0-3")],
    ] {
        let all = ann.bytes_of(Method::GET, IMAGE, &headers).await;
        assert_eq!(
            (all.status().as_u16(), header(&all, "content-range")),
            (200, None),
            "{headers:?}"
        );
        assert!(all.bytes().await.expect("a body") == whole);
    }
    let beyond = format!("bytes={size}-");
    let none = ann.bytes_of(Method::GET, IMAGE, &[("range", &beyond)]).await;
    assert_eq!(
        (none.status().as_u16(), header(&none, "content-range")),
        (416, Some(format!("bytes */{size}")))
    );
    let body: Value = none.json().await.expect("JSON");
    assert_eq!(error(&body), "out_of_range");
    let known = [("range", "bytes=0-3"), ("if-none-match", tag.as_str())];
    assert_eq!(ann.bytes_of(Method::GET, IMAGE, &known).await.status(), 304);
}
