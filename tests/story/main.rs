//! The story of Lockstep, played by two people at two real windows on one real server: the main job, end to end.
//!
//! What a window says is checked against what the server says. `cargo xtask tour` keeps the pictures.
//! It needs the built window inside the app, so plain `cargo test` leaves it out; `cargo xtask test` does not.
#![cfg(all(target_os = "linux", feature = "custom-protocol"))]

mod player;
mod truth;
mod world;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lockstep_server::demo::{DEMO_PEOPLE, Person};
use lockstep_stage::{Desktop, Spot, by_test_id, notifications, until};
use serde_json::Value;
use tokio::sync::Mutex;

use player::{Player, Side, WayOut};
use world::{LEASE, LEAVING, SCREEN, SOON, World, app_binary};

const ALICE: &Person = &DEMO_PEOPLE[0];
const BOB: &Person = &DEMO_PEOPLE[1];

/// A picture of the demo with nothing drawn on it.
const PHOTO: &str = "photographer.jpg";

/// What is in the picture, as parts of the canvas in a window of half the screen. She misplaces one foot of the
/// tripod at first.
const MAN: (Spot, Spot) = (Spot(0.07, 0.30), Spot(0.53, 0.735));
const HIS_EYE: (Spot, Spot) = (Spot(0.405, 0.368), Spot(0.46, 0.4));
const LAWN: (Spot, Spot) = (Spot(0.74, 0.56), Spot(0.92, 0.68));
const TRIPOD: [Spot; 3] = [Spot(0.565, 0.54), Spot(0.68, 0.69), Spot(0.47, 0.735)];
const ITS_FOOT: Spot = Spot(0.755, 0.735);

const NOTIFY_ME: &str = "Notify me when it is free";
const RELOAD: &str = "Reload latest";
const OVERWRITE: &str = "Overwrite";

/// Two desktops at once would make each slower than the times that are checked here.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

#[tokio::test]
async fn the_story() -> Result<()> {
    let _turn = ONE_AT_A_TIME.lock().await;
    let world = World::new().await?;
    world.keep_pictures()?;
    let image = world.truth.image(PHOTO).await?;

    let alice = alice_signs_in_and_opens_an_image(&world, &image).await?;
    she_draws_and_every_edit_reaches_the_server(&world, &alice, &image).await?;
    let bob = bob_meets_her_lock_and_asks_to_be_told(&world, &image).await?;
    her_app_keeps_the_lock_until_she_closes_the_image(&world, &alice, &image).await?;
    bob_is_notified_and_opens_it_by_a_click(&world, &bob, &image).await?;
    let bob = his_work_outlives_the_network_and_the_app(&world, bob, &image).await?;
    they_move_the_same_boxes_and_he_decides(&world, &alice, bob, &image).await
}

/// 1 and 8: the images with thumbnails and locks; the lock before the image; the tokens in the keychain alone.
async fn alice_signs_in_and_opens_an_image<'a>(world: &'a World, image: &str) -> Result<Player<'a>> {
    let alice = Player::starts_the_app(ALICE, &world.desktop, Some(&world.address), Side::Left).await?;
    alice.sees(&by_test_id("sign-in-email")).await?;
    world.picture("sign-in")?;
    alice.signs_in().await?;
    alice.sees_lock(image, "free", SOON).await?;
    world.picture("alice-sees-the-images")?;
    tokens_are_in_the_keychain_alone(&world.desktop, ALICE)?;

    alice.opens(image).await?;
    ensure!(
        world.truth.holder(image).await?.as_deref() == Some("Alice"),
        "the window says editing without a lock"
    );
    alice.sees_lock(image, "mine", SOON).await?;
    alice.reads_banner("Locked by you until").await?;
    world.picture("alice-has-the-lock")?;
    Ok(alice)
}

/// 2: box, polygon, labels, a vertex, undo, redo; saved here, then synced with a version.
async fn she_draws_and_every_edit_reaches_the_server(
    world: &World,
    alice: &Player<'_>,
    image: &str,
) -> Result<()> {
    alice.draws_box(MAN.0, MAN.1, "person").await?;
    alice.draws_polygon(&TRIPOD, "thing").await?;
    alice.is_told("synced").await?;
    world.picture("alice-has-drawn")?;
    let drawn = world.truth.labelled(image, "thing").await?;
    ensure!(
        corners(&drawn)?.len() == 3,
        "three clicks are three corners: {drawn}"
    );

    alice.drags(TRIPOD[1], ITS_FOOT).await?;
    let moved = server_has_another(world, image, &drawn).await?;
    ensure!(
        version(&moved)? > version(&drawn)?,
        "a change has a newer version: {moved}"
    );
    let still = |before: &Value, after: &Value, at: usize| -> Result<bool> {
        Ok(corners(before)?[at] == corners(after)?[at])
    };
    ensure!(
        still(&drawn, &moved, 0)? && still(&drawn, &moved, 2)? && !still(&drawn, &moved, 1)?,
        "{moved}"
    );

    alice.clicks("undo").await?;
    let undone = server_has_another(world, image, &moved).await?;
    ensure!(
        undone["geometry"] == drawn["geometry"],
        "undo is the shape before: {undone}"
    );
    alice.clicks("redo").await?;
    let redone = server_has_another(world, image, &undone).await?;
    ensure!(
        redone["geometry"] == moved["geometry"],
        "redo is the shape after: {redone}"
    );

    alice.draws_box(HIS_EYE.0, HIS_EYE.1, "eye").await?;
    alice.is_told("synced").await?;
    ensure!(
        world.truth.annotations(image).await?.len() == 3,
        "two boxes and a polygon"
    );
    world.picture("alice-has-moved-undone-and-redone")
}

/// 3: the native dialog with the asked-for sentence; read-only; to be told.
async fn bob_meets_her_lock_and_asks_to_be_told<'a>(world: &'a World, image: &str) -> Result<Player<'a>> {
    let bob = Player::arrives(BOB, &world.desktop, &world.address, Side::Right).await?;
    bob.sees_lock(image, "theirs", SOON).await?;
    bob.chooses(image).await?;
    let dialog = bob
        .is_asked("This image is currently being edited by Alice. Please wait or choose another image.")
        .await?;
    world.picture("bob-is-told-who-has-it")?;
    ensure!(
        dialog.buttons.iter().any(|button| button == NOTIFY_ME),
        "{dialog:?}"
    );
    bob.answers(NOTIFY_ME).await?;

    bob.may("read_only").await?;
    bob.sees_the_picture().await?;
    bob.reads_banner("Alice").await?;
    bob.has_shapes(3).await?;
    let tool = bob.window.attribute(&by_test_id("tool-box"), "disabled").await?;
    ensure!(tool.is_some(), "looking only, and the box tool is offered");
    ensure!(
        world.truth.holder(image).await?.as_deref() == Some("Alice"),
        "looking does not take the lock"
    );
    world.picture("bob-looks-read-only")?;
    Ok(bob)
}

/// 4: the beats carry the lease; closing gives the lock back.
async fn her_app_keeps_the_lock_until_she_closes_the_image(
    world: &World,
    alice: &Player<'_>,
    image: &str,
) -> Result<()> {
    let taken = Instant::now();
    until(
        "one and a half leases to pass under her lock",
        LEASE * 3,
        async || {
            let holder = world.truth.holder(image).await?;
            ensure!(
                holder.as_deref() == Some("Alice"),
                "after {:?} the lock is {holder:?}'s",
                taken.elapsed()
            );
            Ok((taken.elapsed() > LEASE * 3 / 2).then_some(()))
        },
    )
    .await?;
    alice.may("editing").await?;

    let asked = Instant::now();
    alice.closes_the_image().await?;
    world.until_free(image, LEAVING).await?;
    let took = asked.elapsed();
    ensure!(took < LEAVING, "closing gave the lock back after {took:?}");
    Ok(())
}

/// 5: a real daemon shows it in time; a real click opens the image, locked for him.
async fn bob_is_notified_and_opens_it_by_a_click(world: &World, bob: &Player<'_>, image: &str) -> Result<()> {
    notifications::wait_for(
        &world.desktop,
        &format!("{PHOTO} is free"),
        Duration::from_secs(2),
    )
    .await?;
    bob.reads_banner("free now").await?;
    world.picture("bob-is-notified")?;
    notifications::click(&world.desktop).await?;
    bob.may("editing").await?;
    bob.sees_the_picture().await?;
    world.until_held_by("Bob", image, SOON).await?;
    bob.reads_banner("Locked by you until").await?;
    world.picture("bob-has-it-by-a-click")
}

/// 6: offline work is kept through a restart and arrives by itself.
async fn his_work_outlives_the_network_and_the_app<'a>(
    world: &'a World,
    bob: Player<'a>,
    image: &str,
) -> Result<Player<'a>> {
    world.the_network_goes_away().await?;
    bob.draws_box(LAWN.0, LAWN.1, "plant").await?;
    bob.is_told("offline").await?;
    bob.reads_status("saved here").await?;
    world.picture("bob-works-offline")?;
    let unsent = bob.is_told("offline").await?;
    bob.leaves(world, WayOut::Quit, None)
        .await
        .context("with the server away")?;

    let bob = Player::starts_the_app(BOB, &world.desktop, Some(&world.address), Side::Right).await?;
    bob.chooses(image).await?;
    bob.may("offline").await?;
    bob.sees_the_picture().await?;
    bob.has_shapes(4).await?;
    bob.reads_status(&unsent).await?;
    world.picture("bob-starts-again-and-everything-is-there")?;

    world.the_network_comes_back().await?;
    bob.is_told("synced").await?;
    world
        .truth
        .labelled(image, "plant")
        .await
        .context("what was drawn offline")?;
    bob.may("editing").await?;
    world.picture("the-changes-arrive-by-themselves")?;
    Ok(bob)
}

/// 7: Cancel, Reload latest and Overwrite each do what they say, and what loses can be had back.
async fn they_move_the_same_boxes_and_he_decides(
    world: &World,
    alice: &Player<'_>,
    bob: Player<'_>,
    image: &str,
) -> Result<()> {
    world.the_network_goes_away().await?;
    for shape in [MAN, HIS_EYE] {
        bob.drags(middle(shape), right_of(middle(shape))).await?;
    }
    bob.reads_status("2 changes saved here").await?;
    bob.leaves(world, WayOut::Close, None)
        .await
        .context("with the server away")?;

    world.the_network_comes_back().await?;
    world
        .until_free(image, LEASE * 2)
        .await
        .context("his lease has to lapse")?;
    let drawn = world.truth.annotations(image).await?;
    alice.opens(image).await?;
    for shape in [MAN, HIS_EYE] {
        alice.drags(middle(shape), above(middle(shape))).await?;
    }
    alice.is_told("synced").await?;
    alice.closes_the_image().await?;
    let hers = world.truth.annotations(image).await?;
    world.picture("alice-has-moved-both-boxes")?;

    let bob = Player::starts_the_app(BOB, &world.desktop, Some(&world.address), Side::Right).await?;
    bob.is_told("conflict").await?;
    bob.opens(image).await?;

    let question = bob.resolves_a_conflict().await?;
    let sentences = ["Your version: v1, current version: v2", "Alice"];
    ensure!(
        sentences.iter().all(|part| question.text.contains(part)),
        "{question:?}"
    );
    ensure!(
        ["Cancel", RELOAD, OVERWRITE]
            .iter()
            .all(|b| question.buttons.iter().any(|button| button == b))
    );
    world.picture("bob-is-asked-about-the-conflict")?;
    bob.answers("Cancel").await?;
    ensure!(
        world.truth.annotations(image).await? == hers,
        "Cancel changes nothing at the server"
    );
    bob.reads_status("2 conflicts").await?;

    let question = bob.resolves_a_conflict().await?;
    bob.answers(RELOAD).await?;
    bob.reads_status("1 conflict").await?;
    ensure!(
        world.truth.annotations(image).await? == hers,
        "Reload latest changes nothing at the server"
    );
    let (reloaded, overwritten) = if question.text.contains("Yours: Person") {
        ("person", "eye")
    } else {
        ("eye", "person")
    };

    bob.resolves_a_conflict().await?;
    bob.answers(OVERWRITE).await?;
    bob.is_told("synced").await?;
    let his = world.truth.labelled(image, overwritten).await?;
    let (first, second) = (labelled(&drawn, overwritten)?, labelled(&hers, overwritten)?);
    ensure!(
        version(&his)? == version(second)? + 1,
        "Overwrite is the next version: {his}"
    );
    ensure!(moved_right(first, &his)?, "Overwrite stores his: {his}");
    ensure!(
        world.truth.labelled(image, reloaded).await? == *labelled(&hers, reloaded)?,
        "hers stays reloaded"
    );
    world.picture("bob-has-decided")?;

    bob.restores_his_own().await?;
    let back = server_has_another(world, image, labelled(&hers, reloaded)?).await?;
    ensure!(
        moved_right(labelled(&drawn, reloaded)?, &back)?,
        "what lost is back: {back}"
    );
    bob.is_told("synced").await?;
    world.picture("what-lost-is-restored")
}

#[tokio::test]
async fn every_way_out_gives_the_lock_back_before_the_app_is_gone() -> Result<()> {
    let _turn = ONE_AT_A_TIME.lock().await;
    let world = World::new().await?;
    let image = world.truth.image(PHOTO).await?;
    let mut alice = Player::arrives(ALICE, &world.desktop, &world.address, Side::Left).await?;
    for way in [WayOut::Close, WayOut::Quit, WayOut::Terminate] {
        alice.opens(&image).await?;
        world.until_held_by("Alice", &image, SOON).await?;
        alice.leaves(&world, way, Some(&image)).await?;
        alice = Player::starts_the_app(ALICE, &world.desktop, Some(&world.address), Side::Left).await?;
        alice
            .sees_the_images()
            .await
            .context("the keychain signs her in again")?;
    }
    Ok(())
}

#[tokio::test]
async fn the_lock_of_a_killed_app_lapses_with_its_lease() -> Result<()> {
    let _turn = ONE_AT_A_TIME.lock().await;
    let world = World::new().await?;
    let image = world.truth.image(PHOTO).await?;
    let alice = Player::arrives(ALICE, &world.desktop, &world.address, Side::Left).await?;
    alice.opens(&image).await?;
    world.until_held_by("Alice", &image, SOON).await?;
    alice.window.kill()?;
    alice.window.wait_for_exit(SOON).await?;
    ensure!(
        world.truth.holder(&image).await?.as_deref() == Some("Alice"),
        "nobody could give it back"
    );
    world.until_free(&image, LEASE + Duration::from_secs(2)).await
}

#[tokio::test]
async fn without_a_keychain_the_app_says_so_and_forgets() -> Result<()> {
    let _turn = ONE_AT_A_TIME.lock().await;
    let mut world = World::new().await?;
    world.desktop.take_keyring_away();
    let image = world.truth.image(PHOTO).await?;
    let alice = Player::arrives(ALICE, &world.desktop, &world.address, Side::Left).await?;
    alice
        .window
        .wait_for_text(&by_test_id("this-run-only"), "this run only", SOON)
        .await?;
    // Every token here is a JWT or travels with one, and those begin so.
    ensure!(!holds(&world.desktop.home(), "eyJ")?, "a token is in a file");
    alice.leaves(&world, WayOut::Close, None).await?;

    let again = Player::starts_the_app(ALICE, &world.desktop, Some(&world.address), Side::Left).await?;
    again
        .sees_the_images()
        .await
        .context("what is kept here can be looked at")?;
    again.sees_lock(&image, "unknown", SOON).await?;
    again.window.click_button("Sign in…").await?;
    again.signs_in().await?;
    again.sees_lock(&image, "free", SOON).await
}

#[tokio::test]
async fn alone_the_app_brings_a_server_and_a_demo_to_sign_in_to() -> Result<()> {
    let _turn = ONE_AT_A_TIME.lock().await;
    let desktop = Desktop::start_sized(SCREEN.0.unsigned_abs(), SCREEN.1.unsigned_abs()).await?;
    let alice = Player::starts_the_app(ALICE, &desktop, None, Side::Left).await?;
    alice.sees(&by_test_id("demo-person")).await?;
    alice.window.click_button("Alice").await?;
    alice.clicks("sign-in-submit").await?;
    alice.sees_the_images().await
}

/// E23: one process for each profile; the window there is comes to the front.
#[tokio::test]
async fn a_second_start_ends_and_shows_the_window_there_is() -> Result<()> {
    let _turn = ONE_AT_A_TIME.lock().await;
    let world = World::new().await?;
    let alice = Player::arrives(ALICE, &world.desktop, &world.address, Side::Left).await?;
    let bob = Player::arrives(BOB, &world.desktop, &world.address, Side::Right).await?;
    ensure!(
        bob.window.is_in_front().await?,
        "another profile is another window"
    );

    let app = app_binary().to_str().context("a path that can be written")?;
    world
        .desktop
        .run(app, &["--profile", "alice", "--server", &world.address])
        .context("the second start ends by itself, and well")?;
    until("Alice's window in front", SOON, async || {
        Ok(alice.window.is_in_front().await?.then_some(()))
    })
    .await?;
    ensure!(alice.window.is_running() && bob.window.is_running(), "both go on");
    Ok(())
}

/// Waits until the server has another version of this annotation, and gives it.
async fn server_has_another(world: &World, image: &str, before: &Value) -> Result<Value> {
    until(
        format_args!("another version of {before} at the server"),
        SOON,
        async || {
            let all = world.truth.annotations(image).await?;
            let now = all
                .into_iter()
                .find(|annotation| annotation["id"] == before["id"]);
            Ok(now.filter(|now| now["version"] != before["version"]))
        },
    )
    .await
}

fn labelled<'a>(annotations: &'a [Value], label: &str) -> Result<&'a Value> {
    annotations
        .iter()
        .find(|annotation| annotation["label_id"] == label)
        .with_context(|| format!("no {label}"))
}

fn version(annotation: &Value) -> Result<i64> {
    annotation["version"].as_i64().context("a version")
}

fn corners(polygon: &Value) -> Result<&Vec<Value>> {
    polygon["geometry"]["rings"][0]
        .as_array()
        .context("a polygon with a ring")
}

/// Bob moves boxes to the right, Alice upwards, so that it shows whose place a box has.
fn moved_right(before: &Value, after: &Value) -> Result<bool> {
    let place = |annotation: &Value, axis: &str| annotation["geometry"][axis].as_f64().context("a box");
    let (right, up) = (
        place(after, "x")? - place(before, "x")?,
        place(before, "y")? - place(after, "y")?,
    );
    Ok(right > 5.0 && up.abs() < 5.0)
}

fn middle((from, to): (Spot, Spot)) -> Spot {
    Spot((from.0 + to.0) / 2.0, (from.1 + to.1) / 2.0)
}

fn right_of(spot: Spot) -> Spot {
    Spot(spot.0 + 0.03, spot.1)
}

fn above(spot: Spot) -> Spot {
    Spot(spot.0, spot.1 - 0.03)
}

fn tokens_are_in_the_keychain_alone(desktop: &Desktop, person: &Person) -> Result<()> {
    let service = format!("app.lockstep.{}", person.name.to_lowercase());
    let found = desktop.run("secret-tool", &["search", "--all", "service", &service])?;
    let secret = found
        .lines()
        .find_map(|line| line.strip_prefix("secret = "))
        .context("a secret in the keychain")?;
    let long_words = |text: &str| -> Vec<String> {
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)));
        words.filter(|word| word.len() >= 20).map(str::to_owned).collect()
    };
    let tokens = long_words(secret);
    ensure!(!tokens.is_empty(), "the keychain's entry holds no token");
    for folder in [desktop.home(), desktop.logs()] {
        for token in &tokens {
            ensure!(
                !holds(&folder, token)?,
                "a token is in a file below {}",
                folder.display()
            );
        }
    }
    Ok(())
}

/// Does any file below the folder hold the text? The keyring's own files are encrypted, so they may be looked into.
fn holds(folder: &Path, text: &str) -> Result<bool> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let found = if path.is_dir() {
            holds(&path, text)?
        } else {
            // A file that is gone or no file (a socket) holds nothing.
            let bytes = fs::read(&path).unwrap_or_default();
            bytes.windows(text.len()).any(|window| window == text.as_bytes())
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}
