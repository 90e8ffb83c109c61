//! A project, written to a file.

#[macro_use]
mod world;

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use world::{Engine, Fleet, IMAGE, OTHER_IMAGE, PROJECT, Place, World, program};

fn export(place: &Place, out: &Path, more: &[&str]) -> Output {
    let mut command = program();
    command
        .args(["export", "--project", PROJECT, "--format", "lockstep-json"])
        .args(place.arguments())
        .args(more)
        .arg(out);
    command.output().expect("the program starts")
}

on_every_engine!(an_export_is_the_whole_project_beside_a_live_server);

async fn an_export_is_the_whole_project_beside_a_live_server(engine: Engine) {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("p.json");
    let world = World::begin(engine, world::quick()).await;
    let ann = world.sign_in("ann").await;
    let id = ann.drew(IMAGE, 1.0).await;
    ann.save(&id, 1, 2.0).await;
    let gone = ann.drew(IMAGE, 3.0).await;
    ann.delete(&gone, 1).await;
    let live = ann.annotations(IMAGE).await;

    let output = export(&world.place, &out, &["--history"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "2 images, 1 annotations\n"
    );
    let text = std::fs::read_to_string(&out).expect("a file");
    assert!(!text.contains("example.org"), "names, but no addresses");
    let mut written: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(written["format"], "lockstep-json");
    assert_eq!(
        written["project"],
        json!({"id": PROJECT, "name": "Streets", "annotators_edit_all": true})
    );
    assert!(written["labels"].is_array());
    let people = written["people"].as_array().expect("people");
    assert!(
        people
            .iter()
            .any(|one| one["name"] == "ann" && one["role"] == "annotator")
    );
    let images = written["images"].as_array_mut().expect("images");
    let mut ids: Vec<_> = images
        .iter()
        .map(|image| image["id"].as_str().expect("an id"))
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, [OTHER_IMAGE, IMAGE]);
    let image = images
        .iter_mut()
        .find(|image| image["id"] == IMAGE)
        .expect("the image");
    assert_eq!(image["width"], 32);
    let annotation = image["annotations"][0].as_object_mut().expect("an annotation");
    let history = annotation.remove("history").expect("every state");
    assert_eq!(
        (history[0]["version"].as_i64(), history[1]["version"].as_i64()),
        (Some(1), Some(2))
    );
    assert_eq!(
        image["annotations"],
        Value::from(live),
        "as the server gives them"
    );

    let again = export(&world.place, &out, &[]);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("is there already"));
    assert_eq!(
        std::fs::read_to_string(&out).expect("a file"),
        text,
        "nothing is overwritten"
    );
    assert_eq!(
        std::fs::read_dir(folder.path()).expect("a folder").count(),
        1,
        "and nothing left behind"
    );
}

#[tokio::test]
async fn a_format_that_does_not_exist_is_told_which_do() {
    let place = Fleet::begin(Engine::Sqlite, 0, &[]).await.place;
    let mut command = program();
    command
        .args(["export", "--project", PROJECT, "--format", "stone-tablets", "out"])
        .args(place.arguments());
    let output = command.output().expect("the program starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("lockstep-json"));
    let nowhere = export(&place, Path::new("/nonexistent/out.json"), &[]);
    assert_eq!(nowhere.status.code(), Some(1));
}
