//! Steps of the schema with data in the tables, back and forth again, by the names the contract fixes.

#[macro_use]
mod world;

use std::process::Stdio;

use lockstep_server::Settings;
use lockstep_wire::routes;
use serde_json::json;
use world::{Engine, IMAGE, OTHER_IMAGE, Place, World, boxed, millis, program};

on_every_engine![
    one_step_back_drops_the_locks_and_one_more_the_versions_and_forward_all_is_served_again,
    every_step_can_be_taken_back_and_taken_again,
    the_schema_has_the_names_that_were_asked_for,
];

fn migrate(place: &Place, arguments: &[&str]) -> String {
    let mut command = program();
    command.arg("migrate").args(arguments).args(place.arguments());
    let output = command.stdin(Stdio::null()).output().expect("the program starts");
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

async fn has(place: &Place, kind: &str, name: &str) -> bool {
    let ask = match (place.engine, kind) {
        (Engine::Sqlite, "constraint") => {
            format!(
                "SELECT count(*) FROM sqlite_master WHERE sql LIKE '%CONSTRAINT {name} UNIQUE (project_id, image_id)%'"
            )
        }
        (Engine::Sqlite, _) => {
            format!("SELECT count(*) FROM sqlite_master WHERE type = '{kind}' AND name = '{name}'")
        }
        (Engine::Postgres, "constraint") => {
            format!(
                "SELECT count(*) FROM pg_constraint WHERE conname = '{name}' AND contype = 'u' AND conrelid = 'image_locks'::regclass"
            )
        }
        (Engine::Postgres, _) => {
            format!(
                "SELECT count(*) FROM pg_class WHERE relname = '{name}' AND relkind = '{}'",
                if kind == "table" { "r" } else { "i" }
            )
        }
    };
    place.number(&ask).await == 1
}

async fn has_column(place: &Place, table: &str, column: &str) -> bool {
    let ask = match place.engine {
        Engine::Sqlite => {
            format!("SELECT count(*) FROM pragma_table_info('{table}') WHERE name = '{column}'")
        }
        Engine::Postgres => {
            format!(
                "SELECT count(*) FROM information_schema.columns WHERE table_name = '{table}' AND column_name = '{column}'"
            )
        }
    };
    place.number(&ask).await == 1
}

async fn one_step_back_drops_the_locks_and_one_more_the_versions_and_forward_all_is_served_again(
    engine: Engine,
) {
    let world = World::begin(engine, Settings::default()).await;
    let ann = world.sign_in("ann").await;
    let (kept, deleted) = (ann.drew(IMAGE, 1.0).await, ann.drew(IMAGE, 1.0).await);
    for version in 1..=3 {
        assert_eq!(ann.save(&kept, version, 5.0).await.0, 200);
    }
    assert_eq!(ann.delete(&deleted, 1).await.0, 200);
    for _ in 0..3 {
        ann.acquire(IMAGE).await;
        ann.release(IMAGE).await;
    }
    let (_, held) = ann.acquire(IMAGE).await;
    ann.acquire(OTHER_IMAGE).await;
    let world = world.stopped().await;

    assert_eq!(migrate(&world, &["down", "--steps", "1"]), "2 of 3 steps taken");
    assert!(!has(&world, "table", "image_locks").await);
    assert!(has_column(&world, "annotations", "version").await);
    assert_eq!(
        world
            .number(&format!("SELECT version FROM annotations WHERE id = '{kept}'"))
            .await,
        4
    );
    assert_eq!(migrate(&world, &["down", "--steps", "1"]), "1 of 3 steps taken");
    assert!(!has_column(&world, "annotations", "version").await);
    assert!(!has(&world, "index", "ix_annotations_version").await);
    assert_eq!(world.number("SELECT count(*) FROM annotations").await, 2);
    assert_eq!(world.number("SELECT count(*) FROM images").await, 2);

    assert_eq!(migrate(&world, &["up"]), "3 of 3 steps taken");
    let world = World::on(world, Settings::default()).await;
    let ann = ann.via(&world.server.url());
    let there = ann.annotations(IMAGE).await;
    assert_eq!(there.len(), 1);
    // Which versions there were is lost with the step; what was drawn is not.
    assert_eq!(
        (&there[0]["id"], &there[0]["geometry"], &there[0]["version"]),
        (&json!(kept), &boxed(5.0), &json!(1))
    );
    assert!(ann.locks().await.is_empty());
    let (_, again) = ann.acquire(IMAGE).await;
    assert_eq!(again["status"], "acquired");
    assert!(again["lock"]["generation"].as_i64() > held["lock"]["generation"].as_i64());
    assert!(millis(&again["lock"]["expires_at"]) > millis(&again["server_time"]));
    assert_eq!(ann.save(&kept, 1, 6.0).await.0, 200);
    let (_, history) = ann.get(&routes::path(routes::HISTORY, &[&kept])).await;
    assert_eq!(history["versions"].as_array().map(Vec::len), Some(2));
}

async fn every_step_can_be_taken_back_and_taken_again(engine: Engine) {
    let world = World::begin(engine, Settings::default()).await;
    world.sign_in("ann").await.acquire(IMAGE).await;
    let place = world.stopped().await;
    assert_eq!(migrate(&place, &["status"]), "3 of 3 steps taken");
    assert_eq!(migrate(&place, &["down", "--steps", "9"]), "0 of 3 steps taken");
    assert!(!has(&place, "table", "users").await);
    assert_eq!(migrate(&place, &["up"]), "3 of 3 steps taken");
    assert_eq!(migrate(&place, &["up"]), "3 of 3 steps taken");
    // As new: people can come.
    World::begin_on(place, Settings::default()).await;
}

async fn the_schema_has_the_names_that_were_asked_for(engine: Engine) {
    let place = Place::new(engine);
    migrate(&place, &["up"]);
    assert!(has(&place, "table", "image_locks").await);
    for column in [
        "id",
        "project_id",
        "image_id",
        "user_id",
        "locked_at",
        "expires_at",
        "heartbeat_at",
    ] {
        assert!(has_column(&place, "image_locks", column).await, "{column}");
    }
    assert!(has(&place, "constraint", "uq_project_image_lock").await);
    assert!(has(&place, "index", "ix_annotations_version").await);
    for indexed in ["project_id", "user_id", "expires_at"] {
        assert!(has(&place, "index", &format!("ix_image_locks_{indexed}")).await);
    }
}
