//! Signing in and out, tokens that end, and where they never are.

mod world;

use std::sync::Arc;
use std::time::Duration;

use lockstep_client::view::{Event, SaveState};
use lockstep_client::{Error, HttpApi};
use lockstep_server::Settings;
use lockstep_wire::{Api as _, LoginRequest};
use world::line::{Fault, Line};
use world::{MemoryKeychain, PASSWORD, Window, World, email, files, project, street, time_passes, until};

fn offline(event: &Event) -> Option<()> {
    matches!(event, Event::Connection { online: false }).then_some(())
}

#[tokio::test]
async fn a_wrong_password_and_no_server_are_told_apart() {
    let mut world = World::begin(Settings::default()).await;
    let folder = Arc::new(tempfile::tempdir().expect("a folder"));
    let window = Window::start(world.url(), folder, Arc::new(MemoryKeychain::default()));
    assert_eq!(window.client.account().await.user, None);
    assert_eq!(window.client.projects().await.err(), Some(Error::SignedOut));
    let wrong = window.client.sign_in(&email("ann"), "guess").await;
    assert_eq!(wrong.err(), Some(Error::WrongPassword));
    world.stop().await;
    let unreachable = window.client.sign_in(&email("ann"), PASSWORD).await;
    assert_eq!(unreachable.err(), Some(Error::Offline));
}

#[tokio::test]
async fn a_sign_in_is_remembered_over_a_restart_by_the_keychain_alone() {
    let world = World::begin(Settings::default()).await;
    let ann = world.window("ann").await;
    assert_eq!(ann.client.account().await.this_run_only, None);
    let ann = ann.crash().rise();
    assert_eq!(
        ann.client.account().await.user.map(|user| user.name).as_deref(),
        Some("ann")
    );
    ann.open(&street()).await;
    ann.draw(1.0).await;
    ann.synced().await;
    assert!(!ann.client.account().await.sign_in_again);
}

#[tokio::test]
async fn without_a_keychain_the_window_says_so_and_works_for_this_run() {
    let world = World::begin(Settings::default()).await;
    let folder = Arc::new(tempfile::tempdir().expect("a folder"));
    let keychain = Arc::new(MemoryKeychain::default());
    *keychain.broken.lock().expect("not poisoned") = Some("There is no keychain.".to_owned());
    let window = Window::start(world.url(), folder, keychain);
    let account = window
        .client
        .sign_in(&email("ann"), PASSWORD)
        .await
        .expect("signed in");
    assert_eq!(account.this_run_only.as_deref(), Some("There is no keychain."));
    assert_eq!(
        window.client.open_project(&project()).await.expect("rows").len(),
        2
    );
    let window = window.crash().rise();
    until("the next run asks to sign in", async || {
        window.client.account().await.sign_in_again.then_some(())
    })
    .await;
}

#[tokio::test]
async fn e27_a_token_that_ends_is_renewed_and_a_sign_in_that_ends_keeps_the_work() {
    let mut world = World::begin(brief()).await;
    let ann = world.window("ann").await;
    ann.open(&street()).await;
    for x in 0..4 {
        ann.draw(f64::from(x)).await;
        ann.synced().await;
        time_passes(Duration::from_millis(600)).await;
    }
    assert!(!ann.client.account().await.sign_in_again);
    assert_eq!(world.stored(&street()).await.len(), 4);

    // While the machine is away, its sign-in is ended.
    world.stop().await;
    ann.told_of("offline", offline).await;
    ann.draw(9.0).await;
    let grave = ann.crash();
    grave
        .keychain
        .secrets
        .lock()
        .expect("not poisoned")
        .values_mut()
        .for_each(|token| token.push('x'));
    world.start_again().await;
    let ann = grave.rise();
    until("it asks to sign in again", async || {
        ann.client.account().await.sign_in_again.then_some(())
    })
    .await;
    assert_eq!(ann.client.save().unsent, 1);
    ann.client
        .sign_in(&email("ann"), PASSWORD)
        .await
        .expect("signed in");
    ann.synced().await;
    assert_eq!(world.stored(&street()).await.len(), 5);
}

#[tokio::test]
async fn s7_signing_out_keeps_unsent_work_for_its_author_alone() {
    let mut world = World::begin(Settings::default()).await;
    let ann = world.window("ann").await;
    ann.open(&street()).await;
    world.stop().await;
    ann.told_of("offline", offline).await;
    ann.draw(1.0).await;
    assert_eq!(ann.client.sign_out().await.expect("signed out").user, None);
    assert!(ann.keychain.secrets.lock().expect("not poisoned").is_empty());
    world.start_again().await;
    ann.client
        .sign_in(&email("ben"), PASSWORD)
        .await
        .expect("signed in");
    assert_eq!(ann.client.save().unsent, 0);
    ann.client.sign_out().await.expect("signed out");
    assert!(world.stored(&street()).await.is_empty());
    ann.client
        .sign_in(&email("ann"), PASSWORD)
        .await
        .expect("signed in");
    until("it is sent", async || {
        (world.stored(&street()).await.len() == 1).then_some(())
    })
    .await;
    until("and known to be", async || {
        (ann.client.save().state == SaveState::Synced).then_some(())
    })
    .await;
    assert_eq!(world.stored(&street()).await[0].created_by, world.user("ann"));
}

#[tokio::test]
async fn no_token_and_no_password_is_in_any_file() {
    let world = World::begin(Settings::default()).await;
    let ann = world.window("ann").await;
    ann.open(&street()).await;
    ann.draw(1.0).await;
    ann.client
        .picture(&project(), &street())
        .await
        .expect("a picture");
    ann.synced().await;
    let secrets: Vec<String> = ann
        .keychain
        .secrets
        .lock()
        .expect("not poisoned")
        .values()
        .cloned()
        .collect();
    assert!(!secrets.is_empty());
    let found = files(ann.folder.path());
    assert!(
        found
            .iter()
            .any(|path| path.extension().is_some_and(|end| end == "sqlite"))
    );
    for path in found {
        let bytes = std::fs::read(&path).expect("a file");
        let has = |needle: &str| {
            bytes
                .windows(needle.len())
                .any(|window| window == needle.as_bytes())
        };
        // An access token is a JWT, and begins like every JWT.
        for needle in secrets
            .iter()
            .map(String::as_str)
            .chain(["eyJ", "Bearer", PASSWORD])
        {
            assert!(!has(needle), "{} holds a secret", path.display());
        }
    }
}

/// Tokens that lapse within a test.
fn brief() -> Settings {
    Settings {
        access_token: Duration::from_secs(1),
        ..Settings::default()
    }
}

#[tokio::test]
async fn a_sign_out_forgets_the_tokens_however_long_a_renewal_under_way_takes() {
    let world = World::begin(brief()).await;
    let line = Line::to(world.url()).await;
    let ann = world::window_at(line.url(), "ann").await;
    assert_eq!(ann.keychain.secrets.lock().expect("not poisoned").len(), 1);
    let renewals = line.log("auth/refresh").len();
    line.plan("auth/refresh", usize::MAX, Fault::Delay(Duration::from_secs(3)));
    until("a renewal is under way", async || {
        drop(ann.client.sync_now().await);
        (line.log("auth/refresh").len() > renewals).then_some(())
    })
    .await;
    ann.client.sign_out().await.expect("signed out");
    until("the keychain is empty", async || {
        ann.keychain
            .secrets
            .lock()
            .expect("not poisoned")
            .is_empty()
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn e27_a_renewal_whose_asker_lost_patience_is_kept_all_the_same() {
    let world = World::begin(brief()).await;
    let line = Line::to(world.url()).await;
    let keychain = Arc::<MemoryKeychain>::default();
    let api = HttpApi::new(line.url(), keychain, None).expect("a client");
    let request = LoginRequest {
        email: email("ann"),
        password: PASSWORD.into(),
    };
    api.login(request).await.expect("signed in");
    line.plan(
        "auth/refresh",
        usize::MAX,
        Fault::Delay(Duration::from_millis(400)),
    );
    for round in 0..3 {
        // Tokens lapse with the second after theirs.
        time_passes(Duration::from_millis(2100)).await;
        let patience = tokio::time::timeout(Duration::from_millis(100), api.me()).await;
        assert!(patience.is_err(), "round {round}: {patience:?}");
    }
    line.heal();
    assert_eq!(api.me().await.expect("still signed in").name, "ann");
}
