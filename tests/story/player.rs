//! A person at a window: does what people do, and looks until it shows.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lockstep_server::demo::Person;
use lockstep_stage::dialogs::{self, Dialog};
use lockstep_stage::{Desktop, Spot, Window, by_test_id, until};

use crate::world::{LEAVING, SCREEN, SOON, World, app_binary};

/// Which half of the screen a window takes.
#[derive(Clone, Copy)]
pub(crate) enum Side {
    Left,
    Right,
}

/// Somebody with a window of the app.
pub(crate) struct Player<'a> {
    person: &'static Person,
    pub(crate) window: Window<'a>,
}

impl<'a> Player<'a> {
    /// Starts the app as this person's profile, on this server or the one the app brings.
    pub(crate) async fn starts_the_app(
        person: &'static Person,
        desktop: &'a Desktop,
        server: Option<&str>,
        side: Side,
    ) -> Result<Self> {
        let profile = person.name.to_lowercase();
        let mut arguments = vec!["--profile", &profile];
        arguments.extend(server.into_iter().flat_map(|address| ["--server", address]));
        let window = Window::open(desktop, &profile, app_binary(), &arguments).await?;
        let half = SCREEN.0 / 2;
        let left = match side {
            Side::Left => 0,
            Side::Right => half,
        };
        window.place(left, 0, half - 4, SCREEN.1 - 30).await?;
        Ok(Self { person, window })
    }

    /// Starts the app and signs in.
    pub(crate) async fn arrives(
        person: &'static Person,
        desktop: &'a Desktop,
        server: &str,
        side: Side,
    ) -> Result<Self> {
        let player = Self::starts_the_app(person, desktop, Some(server), side).await?;
        player.signs_in().await?;
        Ok(player)
    }

    pub(crate) async fn signs_in(&self) -> Result<()> {
        self.sees(&by_test_id("sign-in-email")).await?;
        self.window
            .fill(&by_test_id("sign-in-email"), self.person.email)
            .await?;
        self.window
            .fill(&by_test_id("sign-in-password"), self.person.password)
            .await?;
        self.clicks("sign-in-submit").await?;
        self.sees_the_images().await
    }

    /// The image list, with its thumbnails painted.
    pub(crate) async fn sees_the_images(&self) -> Result<()> {
        self.sees(&by_test_id("image-row")).await?;
        until(
            format_args!("{}'s thumbnails", self.person.name),
            SOON,
            async || {
                let script = "const all = [...document.querySelectorAll('[data-testid=image-row] img')];
                          return all.length > 0 && all.every(img => img.complete && img.naturalWidth > 0)";
                Ok((self.window.evaluate(script, &[]).await? == true).then_some(()))
            },
        )
        .await
    }

    pub(crate) async fn sees_lock(&self, image: &str, state: &str, deadline: Duration) -> Result<()> {
        let icon = format!("{} {}", row(image), by_test_id("lock-icon"));
        self.window
            .wait_for_attribute(&icon, "data-lock", state, deadline)
            .await
    }

    /// Chooses the image in the list.
    pub(crate) async fn chooses(&self, image: &str) -> Result<()> {
        self.sees(&row(image)).await?;
        self.window.click(&row(image)).await
    }

    /// Chooses the image and waits until it may be edited.
    pub(crate) async fn opens(&self, image: &str) -> Result<()> {
        self.chooses(image).await?;
        self.may("editing").await?;
        self.sees_the_picture().await
    }

    /// The open image, painted.
    pub(crate) async fn sees_the_picture(&self) -> Result<()> {
        self.window
            .wait_for_attribute(&by_test_id("canvas"), "data-picture", "shown", SOON)
            .await?;
        let two_frames =
            "return new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))";
        self.window.evaluate(two_frames, &[]).await.map(drop)
    }

    /// Waits until the banner says that the open image is in this state.
    pub(crate) async fn may(&self, access: &str) -> Result<()> {
        self.window
            .wait_for_attribute(&by_test_id("lock-banner"), "data-access", access, SOON)
            .await
    }

    pub(crate) async fn reads_banner(&self, part: &str) -> Result<String> {
        self.window
            .wait_for_text(&by_test_id("lock-banner"), part, SOON)
            .await
    }

    pub(crate) async fn closes_the_image(&self) -> Result<()> {
        self.clicks("close-image").await?;
        self.window.wait_until_gone(&by_test_id("canvas"), SOON).await
    }

    /// Draws a box, gives it a label, and leaves it selected.
    pub(crate) async fn draws_box(&self, from: Spot, to: Spot, label: &str) -> Result<()> {
        let before = self.shapes().await?;
        self.clicks("tool-box").await?;
        self.window.drag(&by_test_id("canvas"), from, to).await?;
        self.has_shapes(before + 1).await?;
        self.gives_label(label).await
    }

    /// Draws a polygon, gives it a label, and leaves it selected.
    pub(crate) async fn draws_polygon(&self, corners: &[Spot], label: &str) -> Result<()> {
        let before = self.shapes().await?;
        self.clicks("tool-polygon").await?;
        for &corner in corners {
            self.window.click_at(&by_test_id("canvas"), corner).await?;
        }
        self.window.press("Enter").await?;
        self.has_shapes(before + 1).await?;
        self.gives_label(label).await
    }

    /// Moves what is under `from` (a shape, or a vertex of the selected one).
    pub(crate) async fn drags(&self, from: Spot, to: Spot) -> Result<()> {
        self.clicks("tool-select").await?;
        self.window.drag(&by_test_id("canvas"), from, to).await
    }

    async fn gives_label(&self, label: &str) -> Result<()> {
        let button = format!("[data-testid=label][data-label-id={label:?}]");
        self.window.click(&button).await?;
        self.window
            .wait_for_attribute(&button, "aria-pressed", "true", SOON)
            .await
    }

    pub(crate) async fn shapes(&self) -> Result<usize> {
        let count = self
            .window
            .attribute(&by_test_id("canvas"), "data-annotation-count")
            .await?;
        Ok(count.context("a canvas that counts its shapes")?.parse()?)
    }

    pub(crate) async fn has_shapes(&self, count: usize) -> Result<()> {
        let canvas = by_test_id("canvas");
        self.window
            .wait_for_attribute(&canvas, "data-annotation-count", &count.to_string(), SOON)
            .await
    }

    /// Waits until the status bar is in this state, and gives what it says.
    pub(crate) async fn is_told(&self, state: &str) -> Result<String> {
        let status = by_test_id("save-state");
        self.window
            .wait_for_attribute(&status, "data-state", state, SOON)
            .await?;
        Ok(self.window.text(&status).await?.unwrap_or_default())
    }

    pub(crate) async fn reads_status(&self, part: &str) -> Result<String> {
        self.window
            .wait_for_text(&by_test_id("save-state"), part, SOON)
            .await
    }

    /// Waits for a native dialog with this sentence in it.
    pub(crate) async fn is_asked(&self, sentence: &str) -> Result<Dialog> {
        dialogs::wait_for(self.window.desktop(), self.window.pid(), sentence, SOON).await
    }

    /// Presses a button of the native dialog, and sees it go.
    pub(crate) async fn answers(&self, button: &str) -> Result<()> {
        dialogs::press(self.window.desktop(), self.window.pid(), button)?;
        dialogs::wait_until_gone(self.window.desktop(), self.window.pid(), SOON).await
    }

    /// Has the next conflict put as a native dialog.
    pub(crate) async fn resolves_a_conflict(&self) -> Result<Dialog> {
        self.sees(&format!("{}:enabled", by_test_id("resolve-conflict")))
            .await?;
        self.clicks("resolve-conflict").await?;
        self.is_asked("current version").await
    }

    /// Brings back the version of this window's own that lost.
    pub(crate) async fn restores_his_own(&self) -> Result<()> {
        let buttons = by_test_id("kept-restore");
        self.sees(&buttons).await?;
        let script =
            "const rows = [...document.querySelectorAll(arguments[0])].map(button => button.closest('li'));
                      return rows.findIndex(row => row.innerText.includes('yours'))";
        let at = self.window.evaluate(script, &[buttons.into()]).await?;
        let at = at
            .as_i64()
            .filter(|&at| at >= 0)
            .context("a version of one's own that was set aside")?;
        self.window
            .click(&format!(
                "li:nth-child({}) > {}",
                at + 1,
                by_test_id("kept-restore")
            ))
            .await
    }

    pub(crate) async fn clicks(&self, test_id: &str) -> Result<()> {
        self.window.click(&by_test_id(test_id)).await
    }

    pub(crate) async fn sees(&self, selector: &str) -> Result<()> {
        self.window.wait_for(selector, SOON).await
    }

    /// Quits by the menu.
    pub(crate) async fn chooses_quit(&self) -> Result<()> {
        self.clicks("account-menu").await?;
        self.sees(&by_test_id("quit")).await?;
        // The program may be gone before the driver has said that the click was made.
        let _ = self.clicks("quit").await;
        Ok(())
    }

    /// Leaves in some way, and is gone in time, the lock given back before that.
    pub(crate) async fn leaves(self, world: &World, way: WayOut, held: Option<&str>) -> Result<()> {
        let asked = Instant::now();
        match way {
            WayOut::Close => self.window.close().await?,
            WayOut::Quit => self.chooses_quit().await?,
            WayOut::Terminate => self.window.terminate()?,
        }
        self.window.wait_for_exit(LEAVING).await?;
        let took = asked.elapsed();
        if let Some(image) = held {
            let holder = world.truth.holder(image).await?;
            ensure!(
                holder.is_none(),
                "{way:?}: the app is gone, and {holder:?} still holds the image"
            );
        }
        println!("  {way:?} took {} ms", took.as_millis());
        ensure!(took <= LEAVING, "{way:?} took {took:?}");
        Ok(())
    }
}

/// The ways to leave that give the lock back.
#[derive(Debug, Clone, Copy)]
pub(crate) enum WayOut {
    /// The window's close button.
    Close,
    /// The menu.
    Quit,
    /// SIGTERM.
    Terminate,
}

fn row(image: &str) -> String {
    format!("[data-testid=image-row][data-image-id={image:?}]")
}
