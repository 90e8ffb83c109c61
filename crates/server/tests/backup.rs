//! Backups and their way back: E18, E19 and what a damaged one is refused with.

#[macro_use]
mod world;

use std::path::{Path, PathBuf};
use std::process::Output;

use lockstep_server::{Settings, backup};
use lockstep_wire::routes;
use serde_json::{Value, json};
use world::{Engine, Fleet, IMAGE, OTHER_IMAGE, PROJECT, Person, Place, World, error, program, serve};

fn run(place: &Place, arguments: &[&str]) -> Output {
    let mut command = program();
    command.args(arguments).args(place.arguments());
    command.output().expect("the program starts")
}

fn done(place: &Place, arguments: &[&str]) -> String {
    let output = run(place, arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).expect("text")
}

/// Why it was not done.
fn failed(place: &Place, arguments: &[&str]) -> String {
    let output = run(place, arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
    said
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

async fn meta(base: &str) -> Value {
    let answer = reqwest::get(format!("{base}{}", routes::path(routes::META, &[]))).await;
    answer.expect("an answer").json().await.expect("JSON")
}

fn key(number: u8) -> String {
    format!("0190a5a5-0000-7000-8000-0000000000{number:02}")
}

async fn draw(who: &Person, id: &str, number: u8) -> (u16, Value) {
    let body = json!({"id": id, "image_id": IMAGE, "geometry": world::boxed(1.0)});
    who.draw_with(body, &[(routes::IDEMPOTENCY_KEY, &key(number))])
        .await
}

async fn save(who: &Person, id: &str, version: i64, number: u8) -> (u16, Value) {
    who.save_with(
        id,
        version,
        f64::from(number),
        &[(routes::IDEMPOTENCY_KEY, &key(number))],
    )
    .await
}

/// Takes an image and gives it back. The lock's generation.
async fn generation(who: &Person) -> i64 {
    let (_, body) = who.acquire(IMAGE).await;
    assert_eq!(body["status"], "acquired", "{body}");
    who.release(IMAGE).await;
    body["lock"]["generation"].as_i64().expect("a number")
}

const ONE: &str = "0190a5a5-1111-7000-8000-000000000001";
const OTHER: &str = "0190a5a5-1111-7000-8000-000000000002";

on_every_engine!(
    e19_yesterdays_backup_comes_back_as_another_servers_data,
    a_backup_beside_writers_is_of_one_instant,
    a_damaged_backup_is_refused_with_what_is_wrong,
    a_database_that_is_there_is_moved_aside_or_left_alone,
);

async fn e19_yesterdays_backup_comes_back_as_another_servers_data(engine: Engine) {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("backups");
    let world = World::begin(engine, Settings::default()).await;
    let ann = world.sign_in("ann").await;
    draw(&ann, ONE, 1).await;
    assert_eq!(save(&ann, ONE, 1, 2).await.0, 200);
    generation(&ann).await;
    let before = ann.acquire(OTHER_IMAGE).await.1;
    assert_eq!(before["status"], "acquired");
    let made = done(&world.place, &["backup", text(&out)]);
    assert!(Path::new(made.trim()).join("manifest.json").is_file(), "{made}");

    // A day's work that the backup knows nothing of.
    assert_eq!(save(&ann, ONE, 2, 3).await.0, 200);
    assert_eq!(save(&ann, ONE, 3, 4).await.0, 200);
    let (status, lost_revision) = draw(&ann, OTHER, 5).await;
    assert_eq!(status, 201);
    let lost = generation(&ann).await;
    let epoch = meta(&world.server.url()).await["data_epoch"].clone();
    world.server.stop().await.expect("a clean stop");

    let place = Place::new(engine);
    done(&place, &["restore", text(&out)]);
    let serving = serve(&place, &[], None);
    assert_ne!(meta(&serving.url).await["data_epoch"], epoch, "clients can tell");
    let stale = Person {
        base: serving.url.clone(),
        ..ann
    };
    assert_eq!(
        stale.locks_answer().await.0,
        401,
        "its token may be of someone else by now"
    );

    let ann = Person::sign_in(&serving.url, "ann").await;
    assert!(ann.locks().await.is_empty(), "yesterday's locks are over");
    let (status, body) = ann.save(ONE, 4, 9.0).await;
    assert_eq!((status, error(&body)), (409, "conflict"));
    assert_eq!(
        body["detail"]["current_version"], 2,
        "what it was based on is lost, and the answer says what there is"
    );
    let (status, body) = save(&ann, ONE, 1, 2).await;
    assert_eq!(
        (status, &body["replayed"], &body["version"]),
        (200, &json!(true), &json!(2)),
        "L5: applied before the backup"
    );
    for (replayed, round) in [(Value::Null, "first"), (json!(true), "second")] {
        let (status, body) = save(&ann, ONE, 2, 3).await;
        assert_eq!(status, 200, "{body}");
        assert!(
            body["image_revision"].as_i64() > lost_revision["image_revision"].as_i64(),
            "what a client has of the lost day is not taken for the newest: {body}"
        );
        let said = if body["replayed"] == false {
            Value::Null
        } else {
            body["replayed"].clone()
        };
        assert_eq!(
            (said, &body["version"]),
            (replayed, &json!(3)),
            "L5: sent again, it takes effect once: the {round} time"
        );
    }
    assert_eq!(draw(&ann, OTHER, 5).await.0, 201);
    let regained = generation(&ann).await;
    assert!(regained > lost, "L4: {regained} is above {lost}");
    assert!(
        ann.acquire(OTHER_IMAGE).await.1["lock"]["generation"].as_i64()
            > before["lock"]["generation"].as_i64()
    );
    let content = ann.request(
        reqwest::Method::GET,
        &routes::path(routes::CONTENT, &[PROJECT, IMAGE]),
    );
    let content = content
        .send()
        .await
        .expect("an answer")
        .bytes()
        .await
        .expect("bytes");
    assert_eq!(content, world::picture());
    let small = ann.request(
        reqwest::Method::GET,
        &routes::path(routes::THUMBNAIL, &[PROJECT, IMAGE]),
    );
    assert_eq!(
        small.send().await.expect("an answer").status(),
        200,
        "thumbnails are made again"
    );

    // The same backup once more, elsewhere: what was granted meanwhile is known nowhere.
    let third = Place::new(engine);
    done(&third, &["restore", text(&out)]);
    let serving = serve(&third, &[], None);
    let ann = Person::sign_in(&serving.url, "ann").await;
    assert!(generation(&ann).await > regained, "L4");
}

async fn a_backup_beside_writers_is_of_one_instant(engine: Engine) {
    let folder = tempfile::tempdir().expect("a folder");
    let world = World::begin(engine, Settings::default()).await;
    let olga = world.sign_in("olga").await;
    let blobs = lockstep_server::Blobs::folder(&world.place.folder.path().join("blobs")).expect("a folder");
    let database = world.place.database();
    let writers = futures::future::join_all((0..4).map(|number| {
        let olga = &olga;
        async move {
            let id = olga.drew(IMAGE, 0.0).await;
            for version in 1..60 {
                let (status, body) = olga.save(&id, version, f64::from(number)).await;
                assert_eq!(status, 200, "{body}");
            }
        }
    }));
    let backups = async {
        for _ in 0..4 {
            let made = backup::make(&database, Some(&blobs), folder.path(), &|_, _, _| {}).await;
            made.expect("a backup");
        }
    };
    tokio::join!(writers, backups);
    let mut versions = Vec::new();
    for made in backups_in(folder.path()) {
        let place = Place::new(engine);
        done(&place, &["restore", text(&made)]);
        let torn = "SELECT count(*) FROM annotations WHERE version <>
                    (SELECT count(*) FROM annotation_versions WHERE annotation_id = annotations.id)";
        assert_eq!(
            place.number(torn).await,
            0,
            "every save is in it with its history or not at all"
        );
        versions.push(
            place
                .number("SELECT coalesce(sum(version), 0) FROM annotations")
                .await,
        );
    }
    assert_eq!(versions.len(), 4);
    assert!(versions.is_sorted(), "{versions:?}");
}

fn backups_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut backups: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.join("manifest.json").is_file())
        .collect();
    backups.sort();
    backups
}

async fn a_damaged_backup_is_refused_with_what_is_wrong(engine: Engine) {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("backups");
    let world = World::begin(engine, Settings::default()).await;
    let made = PathBuf::from(done(&world.place, &["backup", text(&out)]).trim());
    let manifest: Value =
        serde_json::from_str(&std::fs::read_to_string(made.join("manifest.json")).expect("a manifest"))
            .expect("JSON");
    let database = made.join(manifest["parts"][0]["file"].as_str().expect("a file"));
    let images = std::fs::read_to_string(made.join("images.txt")).expect("a list");
    let hash = images.lines().next().expect("an image");
    let image = out.join("images").join(&hash[..2]).join(hash);

    let place = Place::new(engine);
    let flip = |content: &[u8]| {
        let mut content = content.to_vec();
        let middle = content.len() / 2;
        content[middle] ^= 1;
        content
    };
    let fewer_rows = |content: &[u8]| {
        let mut manifest: Value = serde_json::from_slice(content).expect("JSON");
        manifest["rows"]["users"] = 1.into();
        manifest.to_string().into_bytes()
    };
    let newer = |content: &[u8]| {
        let mut manifest: Value = serde_json::from_slice(content).expect("JSON");
        manifest["schema_steps"] = 999.into();
        manifest.to_string().into_bytes()
    };
    type Damage<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;
    let cases: [(&Path, Damage<'_>, &str); 6] = [
        (&database, &flip, "damaged"),
        (&database, &|_| Vec::new(), "damaged"),
        (&image, &flip, "damaged"),
        (
            &made.join("manifest.json"),
            &|_| b"{".to_vec(),
            "manifest.json is damaged",
        ),
        (
            &made.join("manifest.json"),
            &fewer_rows,
            "does not hold what its manifest says",
        ),
        (&made.join("manifest.json"), &newer, "newer server"),
    ];
    for (file, damage, sentence) in cases {
        let good = std::fs::read(file).expect("a file");
        std::fs::write(file, damage(&good)).expect("a file");
        let said = failed(&place, &["restore", text(&out)]);
        assert!(said.contains(sentence), "{}: {said}", file.display());
        std::fs::write(file, good).expect("a file");
    }
    std::fs::rename(&image, image.with_extension("gone")).expect("it can be moved");
    let said = failed(&place, &["restore", text(&out)]);
    assert!(said.contains("not whole") && said.contains(hash), "{said}");
    std::fs::rename(image.with_extension("gone"), &image).expect("it can be moved");
    assert!(failed(&place, &["restore", text(folder.path())]).contains("holds no backup"));
    done(&place, &["restore", text(&out)]);

    let blob = world
        .place
        .folder
        .path()
        .join("blobs/images")
        .join(&hash[..2])
        .join(hash);
    std::fs::remove_file(blob).expect("an image");
    let elsewhere = folder.path().join("elsewhere");
    let said = failed(&world.place, &["backup", text(&elsewhere)]);
    assert!(said.contains("missing") && said.contains(hash), "{said}");
    assert!(backups_in(&elsewhere).is_empty(), "it is whole or not there");
}

async fn a_database_that_is_there_is_moved_aside_or_left_alone(engine: Engine) {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("backups");
    let mut fleet = Fleet::begin(engine, 1, &[]).await;
    done(&fleet.place, &["backup", text(&out), "--without-images"]);
    let olga = fleet.sign_in("olga").await;
    olga.drew(IMAGE, 1.0).await;

    assert!(failed(&fleet.place, &["restore", text(&out)]).contains("already"));
    let said = failed(&fleet.place, &["restore", "--replace", text(&out)]);
    assert!(said.contains("in use"), "{said}");
    assert_eq!(olga.annotations(IMAGE).await.len(), 1, "the live server goes on");
    let granted = generation(&olga).await;
    fleet.servers[0].terminate();
    assert_eq!(fleet.servers[0].left().await, Some(0));

    let said = done(&fleet.place, &["restore", "--replace", text(&out)]);
    assert!(said.contains("is now "), "{said}");
    let serving = serve(&fleet.place, &[], None);
    let olga = Person::sign_in(&serving.url, "olga").await;
    assert!(olga.annotations(IMAGE).await.is_empty());
    assert!(generation(&olga).await > granted, "L4");
    let content = olga.request(
        reqwest::Method::GET,
        &routes::path(routes::CONTENT, &[PROJECT, IMAGE]),
    );
    let status = content.send().await.expect("an answer").status();
    assert_eq!(status, 200, "the images were left where they are");
}

#[tokio::test]
async fn a_second_backup_takes_only_what_is_new() {
    let folder = tempfile::tempdir().expect("a folder");
    let world = World::begin(Engine::Sqlite, Settings::default()).await;
    let olga = world.sign_in("olga").await;
    let backup = || {
        let output = run(&world.place, &["backup", text(folder.path())]);
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(
        backup().contains("1 images, 1 of them new"),
        "the two images are one picture"
    );
    let file = reqwest::multipart::Part::bytes(world::tinted_picture(7)).file_name("tinted.png");
    let form = reqwest::multipart::Form::new().part("file", file);
    let upload = olga.request(reqwest::Method::POST, &routes::path(routes::IMAGES, &[PROJECT]));
    assert_eq!(world::answer(upload.multipart(form)).await.0, 201);
    assert!(backup().contains("2 images, 1 of them new"));
    assert_eq!(backups_in(folder.path()).len(), 2);
}
