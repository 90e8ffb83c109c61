//! The stage without the play: a desktop whose parts answer, and go when it goes.

use std::path::Path;
use std::time::Duration;

use lockstep_stage::{Desktop, Spot, Window, by_test_id, dialogs, notifications, until};

const SOON: Duration = Duration::from_secs(15);

/// WebKitGTK's own small browser stands in for an app.
const BROWSER: &str = "/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser";

const PAGE: &str = "data:text/html,<title>A page</title>
    <button aria-label='Press me' onclick=\"document.title += '!'; this.dataset.pressed = true\">o</button>
    <input data-testid='name' onkeydown=\"document.body.dataset.key = (event.ctrlKey ? 'ctrl ' : '') %2B event.key\">
    <div data-testid='pad' style='width: 200px; height: 100px; background: teal'></div>
    <script>
      const pad = document.querySelector('[data-testid=pad]');
      let path = [];
      for (const kind of ['pointerdown', 'pointermove', 'pointerup'])
        pad.addEventListener(kind, e => { path.push(kind); pad.dataset.path = path.join(' ');
          pad.dataset.at = e.offsetX %2B ',' %2B e.offsetY });
    </script>";

#[tokio::test]
async fn a_notification_is_recorded_shown_and_answered_by_a_click() {
    let desktop = Desktop::start().await.expect("a desktop");
    let mut listening = desktop.command("dbus-monitor");
    listening.args(["--session", "interface='org.freedesktop.Notifications'"]);
    let heard = desktop.home().join("heard");
    let mut listening = listening
        .stdout(std::fs::File::create(&heard).expect("a file"))
        .spawn()
        .expect("a monitor");
    let hears = async |word: &str| {
        until(format_args!("{word} on the bus"), SOON, async || {
            Ok(std::fs::read_to_string(&heard)?.contains(word).then_some(()))
        })
        .await
    };
    // The last a monitor is told as a guest of the bus, before it only listens.
    hears("NameLost").await.expect("a monitor that listens");

    let call = "org.freedesktop.Notifications.Notify";
    let parameters = [
        "Stage",
        "0",
        "",
        "cat.jpg is free",
        "Alice has closed it",
        "['default', 'Open']",
        "{}",
        "-1",
    ];
    let mut arguments = vec!["call", "--session", "--dest", "org.freedesktop.Notifications"];
    arguments.extend([
        "--object-path",
        "/org/freedesktop/Notifications",
        "--method",
        call,
        "--",
    ]);
    arguments.extend(parameters);
    desktop.run("gdbus", &arguments).expect("sent");

    let shown = notifications::wait_for(&desktop, "cat.jpg", SOON)
        .await
        .expect("shown");
    assert_eq!(
        (shown.app.as_str(), shown.body.as_str()),
        ("Stage", "Alice has closed it")
    );
    assert_eq!(notifications::displayed(&desktop).expect("counted"), 1);

    notifications::click(&desktop).await.expect("clicked");
    hears("member=ActionInvoked").await.expect("the action is told");
    until("the notification to go", SOON, async || {
        Ok((notifications::displayed(&desktop)? == 0).then_some(()))
    })
    .await
    .expect("gone");
    listening.kill().expect("ended");
    listening.wait().expect("ended");
}

#[tokio::test]
async fn a_native_dialog_is_read_and_its_button_pressed() {
    let desktop = Desktop::start().await.expect("a desktop");
    let mut asking = desktop.command("/usr/bin/python3");
    asking.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ask.py"));
    let mut asking = asking.spawn().expect("starts");
    let pid = asking.id().try_into().expect("an id");

    let dialog = dialogs::wait_for(&desktop, pid, "Overwrite it?", SOON)
        .await
        .expect("a dialog");
    assert!(dialog.text.contains("Bob saved version 2"), "{dialog:?}");
    assert_eq!(dialog.buttons, ["Cancel", "Reload latest", "Overwrite"]);
    assert!(dialogs::press(&desktop, pid, "No such button").is_err());

    dialogs::press(&desktop, pid, "Reload latest").expect("pressed");
    let status = until("the program to end", SOON, async || Ok(asking.try_wait()?))
        .await
        .expect("ends");
    assert_eq!(status.code(), Some(2), "the answer of Reload latest");
}

#[tokio::test]
async fn the_keyring_is_open_and_can_be_taken_away() {
    let mut desktop = Desktop::start().await.expect("a desktop");
    let store = "printf hunter2 | secret-tool store --label=test service stage";
    desktop.run("sh", &["-c", store]).expect("stored");
    assert_eq!(
        desktop
            .run("secret-tool", &["lookup", "service", "stage"])
            .expect("found"),
        "hunter2"
    );

    desktop.take_keyring_away();
    desktop
        .run("secret-tool", &["lookup", "service", "stage"])
        .expect_err("nobody there");
}

#[tokio::test]
async fn a_window_is_clicked_typed_into_dragged_over_pictured_and_closed() {
    let desktop = Desktop::start().await.expect("a desktop");
    let window = Window::open(&desktop, "browser", Path::new(BROWSER), &["--automation"])
        .await
        .expect("a window");
    window.go_to(PAGE).await.expect("a page");
    window.place(100, 80, 800, 600).await.expect("placed");

    window.click_button("Press me").await.expect("clicked");
    window
        .wait_for_attribute("button", "data-pressed", "true", SOON)
        .await
        .expect("pressed");

    let field = by_test_id("name");
    window.fill(&field, "Alice").await.expect("typed");
    assert_eq!(
        window
            .evaluate("return document.querySelector('input').value", &[])
            .await
            .expect("a value"),
        "Alice"
    );
    window.press("Control+z").await.expect("pressed");
    window
        .wait_for_attribute("body", "data-key", "ctrl z", SOON)
        .await
        .expect("heard");

    let pad = by_test_id("pad");
    window
        .drag(&pad, Spot(0.1, 0.1), Spot(0.9, 0.5))
        .await
        .expect("dragged");
    let path = window
        .attribute(&pad, "data-path")
        .await
        .expect("asked")
        .expect("a path");
    assert!(
        path.contains("pointerdown pointermove") && path.ends_with("pointermove pointerup"),
        "{path}"
    );
    assert_eq!(
        window.attribute(&pad, "data-at").await.expect("asked").as_deref(),
        Some("180,50")
    );

    let picture = desktop.home().join("screen.png");
    desktop.screenshot(&picture).expect("pictured");
    let size = desktop
        .run("identify", &["-format", "%wx%h", picture.to_str().expect("text")])
        .expect("a picture");
    assert_eq!(size, "1280x900");

    window.close().await.expect("asked");
    window.wait_for_exit(SOON).await.expect("ends");
    assert!(!window.is_running());
    window.click(&pad).await.expect_err("nothing is left to click");
}

#[tokio::test]
async fn a_program_that_hangs_on_is_told_and_then_made_to_end() {
    let desktop = Desktop::start().await.expect("a desktop");
    let window = Window::open(&desktop, "browser", Path::new(BROWSER), &["--automation"])
        .await
        .expect("a window");
    window.kill().expect("killed");
    window.wait_for_exit(SOON).await.expect("ends");
    window.kill().expect_err("it has ended already");

    let again = Window::open(&desktop, "browser", Path::new(BROWSER), &["--automation"])
        .await
        .expect("a window");
    again.terminate().expect("asked");
    again.wait_for_exit(SOON).await.expect("ends");
}
