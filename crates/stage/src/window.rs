//! A real window of a real program, driven through WebDriver inside the webview and like any other window outside it.
//!
//! Each window has a WebKitWebDriver of its own, which starts the program and is its parent. When the program
//! ends, the WebDriver session ends with it; what is asked of the webview after that is an error.

use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use fantoccini::actions::{InputSource, KeyAction, KeyActions, MouseActions, PointerAction};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::process::{Process, children, is_running};
use crate::{Desktop, until};

/// From nothing to a window that answers; a debug build on a busy machine needs most of it.
const START: Duration = Duration::from_secs(60);

/// No single question to a webview takes this long unless the webview is stuck.
const ANSWER: Duration = Duration::from_secs(20);

/// How many moves a dragged pointer makes on its way: tools see a path, as from a hand.
const STEPS: u32 = 8;

/// The CSS selector of an element by its test id.
pub fn by_test_id(id: &str) -> String {
    format!("[data-testid={id:?}]")
}

/// A place inside an element: from 0, 0 at its top left to 1, 1 at its bottom right.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spot(pub f64, pub f64);

/// A program with one window on a [`Desktop`]. The program is killed when this goes, if it still runs.
pub struct Window<'a> {
    desktop: &'a Desktop,
    name: String,
    client: Client,
    app: Pid,
    // After `client`: ended last.
    driver: Process,
}

impl<'a> Window<'a> {
    /// Starts the program in a WebDriver session and waits until its webview answers.
    pub async fn open(desktop: &'a Desktop, name: &str, binary: &Path, arguments: &[&str]) -> Result<Self> {
        ensure!(
            binary.exists(),
            "{} does not exist: build it first",
            binary.display()
        );
        let (driver, port) = start_driver(desktop, name).await?;
        let session = json!({"webkitgtk:browserOptions": {"binary": binary, "args": arguments}});
        let Value::Object(capabilities) = session else {
            unreachable!("an object was written")
        };
        let connecting = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .clone();
        let client = tokio::time::timeout(START, connecting.connect(&format!("http://127.0.0.1:{port}")))
            .await
            .with_context(|| format!("{name}'s window did not answer within {START:?}"))?
            .with_context(|| format!("starting {name}'s window"))?;
        let [app] = children(driver.pid())?[..] else {
            bail!("the driver should have started just {name}'s app")
        };
        Ok(Self {
            desktop,
            name: name.to_owned(),
            client,
            app,
            driver,
        })
    }

    /// The program's process id.
    pub fn pid(&self) -> i32 {
        self.app.as_raw_nonzero().get()
    }

    /// The desktop it is on.
    pub fn desktop(&self) -> &'a Desktop {
        self.desktop
    }

    /// Clicks the middle of an element.
    pub async fn click(&self, selector: &str) -> Result<()> {
        let clicking = async { self.client.find(Locator::Css(selector)).await?.click().await };
        self.answer(&format!("a click on {selector}"), clicking).await
    }

    /// Clicks the button with this accessible name.
    pub async fn click_button(&self, name: &str) -> Result<()> {
        let path =
            format!("//button[normalize-space(.)={name:?} or @aria-label={name:?} or @title={name:?}]");
        let clicking = async { self.client.find(Locator::XPath(&path)).await?.click().await };
        self.answer(&format!("a click on the button {name:?}"), clicking)
            .await
    }

    /// Types into a field, in place of what is there.
    pub async fn fill(&self, selector: &str, text: &str) -> Result<()> {
        let typing = async {
            let field = self.client.find(Locator::Css(selector)).await?;
            field.clear().await?;
            field.send_keys(text).await
        };
        self.answer(&format!("typing into {selector}"), typing).await
    }

    /// Presses keys together, such as `Control+z` or `Escape`.
    pub async fn press(&self, keys: &str) -> Result<()> {
        let keys = keys.split('+').map(key).collect::<Result<Vec<_>>>()?;
        let mut pressing = KeyActions::new("keyboard".to_owned());
        for &value in &keys {
            pressing = pressing.then(KeyAction::Down { value });
        }
        for &value in keys.iter().rev() {
            pressing = pressing.then(KeyAction::Up { value });
        }
        self.answer("pressing keys", self.client.perform_actions(pressing))
            .await
    }

    /// Clicks a spot of an element.
    pub async fn click_at(&self, selector: &str, spot: Spot) -> Result<()> {
        self.point(selector, &[spot], true).await
    }

    /// Double-clicks a spot of an element.
    pub async fn double_click_at(&self, selector: &str, spot: Spot) -> Result<()> {
        let [(x, y)] = self.places(selector, &[spot]).await?[..] else {
            bail!("{selector} has no place")
        };
        let mut twice = MouseActions::new("mouse".to_owned()).then(move_to(x, y));
        for _ in 0..2 {
            twice = twice
                .then(PointerAction::Down { button: LEFT })
                .then(PointerAction::Up { button: LEFT });
        }
        self.answer("a double click", self.client.perform_actions(twice))
            .await
    }

    /// Drags the pointer from one spot of an element to another, button down.
    pub async fn drag(&self, selector: &str, from: Spot, to: Spot) -> Result<()> {
        self.point(selector, &[from, to], true).await
    }

    /// Moves the pointer over a spot of an element.
    pub async fn hover(&self, selector: &str, spot: Spot) -> Result<()> {
        self.point(selector, &[spot], false).await
    }

    /// How many elements there are.
    pub async fn count(&self, selector: &str) -> Result<usize> {
        let count = self
            .evaluate(
                "return document.querySelectorAll(arguments[0]).length",
                &[selector.into()],
            )
            .await?;
        Ok(count.as_u64().context("a length is a number")?.try_into()?)
    }

    /// An element's text as shown; nothing when there is no such element.
    pub async fn text(&self, selector: &str) -> Result<Option<String>> {
        let script = "return document.querySelector(arguments[0])?.innerText ?? null";
        Ok(self
            .evaluate(script, &[selector.into()])
            .await?
            .as_str()
            .map(str::to_owned))
    }

    /// An element's attribute; nothing when there is no such element or it has none.
    pub async fn attribute(&self, selector: &str, attribute: &str) -> Result<Option<String>> {
        let script = "return document.querySelector(arguments[0])?.getAttribute(arguments[1]) ?? null";
        let value = self
            .evaluate(script, &[selector.into(), attribute.into()])
            .await?;
        Ok(value.as_str().map(str::to_owned))
    }

    /// One attribute of every matching element, in document order.
    pub async fn attributes(&self, selector: &str, attribute: &str) -> Result<Vec<String>> {
        let script =
            "return [...document.querySelectorAll(arguments[0])].map(e => e.getAttribute(arguments[1]))";
        let values = self
            .evaluate(script, &[selector.into(), attribute.into()])
            .await?;
        let values = values.as_array().context("a list")?;
        Ok(values
            .iter()
            .filter_map(|value| value.as_str().map(str::to_owned))
            .collect())
    }

    /// Runs JavaScript in the page and gives what it returns.
    pub async fn evaluate(&self, script: &str, arguments: &[Value]) -> Result<Value> {
        self.answer(
            "an answer from the page",
            self.client.execute(script, arguments.to_vec()),
        )
        .await
    }

    /// Goes to an address: for windows that show pages of the web rather than an app.
    pub async fn go_to(&self, address: &str) -> Result<()> {
        self.answer("the page", self.client.goto(address)).await
    }

    /// Waits until there is such an element on the page.
    pub async fn wait_for(&self, selector: &str, deadline: Duration) -> Result<()> {
        let look = async || Ok((self.count(selector).await? > 0).then_some(()));
        self.wait(selector.to_owned(), deadline, look).await
    }

    /// Waits until there is no such element on the page.
    pub async fn wait_until_gone(&self, selector: &str, deadline: Duration) -> Result<()> {
        let look = async || Ok((self.count(selector).await? == 0).then_some(()));
        self.wait(format!("{selector} to go"), deadline, look).await
    }

    /// Waits until an element's text contains `part`, and gives the whole text.
    pub async fn wait_for_text(&self, selector: &str, part: &str, deadline: Duration) -> Result<String> {
        let look = async || Ok(self.text(selector).await?.filter(|text| text.contains(part)));
        match self
            .wait(format!("{selector} to say {part:?}"), deadline, look)
            .await
        {
            Ok(text) => Ok(text),
            Err(error) => Err(error.context(format!("it says {:?}", self.text(selector).await?))),
        }
    }

    /// Waits until an element's attribute has this value.
    pub async fn wait_for_attribute(
        &self,
        selector: &str,
        name: &str,
        value: &str,
        deadline: Duration,
    ) -> Result<()> {
        let look = async || {
            let now = self.attribute(selector, name).await?;
            Ok((now.as_deref() == Some(value)).then_some(()))
        };
        match self
            .wait(format!("{selector} to have {name}={value:?}"), deadline, look)
            .await
        {
            Ok(()) => Ok(()),
            Err(error) => Err(error.context(format!("it has {:?}", self.attribute(selector, name).await?))),
        }
    }

    /// Waits as [`until`] does; a failure says where the picture of what was seen instead is.
    async fn wait<T>(
        &self,
        what: String,
        deadline: Duration,
        look: impl AsyncFnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        let waited = until(format_args!("{what} in {}'s window", self.name), deadline, look).await;
        waited.map_err(|error| match self.desktop.picture_of_failure(&self.name) {
            Some(picture) => error.context(format!("the screen then: {}", picture.display())),
            None => error,
        })
    }

    /// Puts the window where it is to be on the screen, in front of the others.
    pub async fn place(&self, x: i32, y: i32, width: i32, height: i32) -> Result<()> {
        let id = self.window_id().await?;
        // A maximised window would not move.
        self.desktop.run(
            "wmctrl",
            &["-i", "-r", &id, "-b", "remove,maximized_vert,maximized_horz"],
        )?;
        self.desktop.run(
            "wmctrl",
            &["-i", "-r", &id, "-e", &format!("0,{x},{y},{width},{height}")],
        )?;
        self.to_front().await
    }

    /// Brings the window before the others.
    pub async fn to_front(&self) -> Result<()> {
        let id = self.window_id().await?;
        self.desktop.run("wmctrl", &["-i", "-a", &id]).map(drop)
    }

    /// Closes the window as its close button does.
    pub async fn close(&self) -> Result<()> {
        let id = self.window_id().await?;
        self.desktop.run("wmctrl", &["-i", "-c", &id]).map(drop)
    }

    /// Asks the program to end (SIGTERM).
    pub fn terminate(&self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    /// Ends the program as a crash does (SIGKILL).
    pub fn kill(&self) -> Result<()> {
        self.signal(Signal::KILL)
    }

    /// The program has not ended.
    pub fn is_running(&self) -> bool {
        is_running(self.app)
    }

    /// Waits until the program has ended, and tells how long that took.
    pub async fn wait_for_exit(&self, deadline: Duration) -> Result<Duration> {
        let asked = Instant::now();
        let what = format!("{}'s app to end", self.name);
        until(what, deadline, async || {
            Ok((!self.is_running()).then(|| asked.elapsed()))
        })
        .await
    }

    /// The app's top window, by the window manager's list: `ID DESKTOP PID HOST TITLE`.
    /// Is it the one that keys go to, in front of the others?
    pub async fn is_in_front(&self) -> Result<bool> {
        let active = self.desktop.run("xdotool", &["getactivewindow"])?;
        let mine = self.window_id().await?;
        // One program writes the number plainly, the other in hexadecimal.
        let mine = u64::from_str_radix(mine.trim_start_matches("0x"), 16)?;
        Ok(active.trim().parse::<u64>()? == mine)
    }

    async fn window_id(&self) -> Result<String> {
        let pid = self.pid().to_string();
        until(
            format_args!("{}'s window on the screen", self.name),
            ANSWER,
            async || {
                let list = self.desktop.run("wmctrl", &["-l", "-p"]).unwrap_or_default();
                let mut windows = list
                    .lines()
                    .map(|line| line.split_whitespace().collect::<Vec<_>>());
                Ok(windows
                    .find(|columns| columns.get(2) == Some(&pid.as_str()))
                    .map(|columns| columns[0].to_owned()))
            },
        )
        .await
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        ensure!(self.is_running(), "{}'s app has ended already", self.name);
        Ok(kill_process(self.app, signal)?)
    }

    /// Moves the pointer along the spots; with the button down from the first to the last if it presses.
    async fn point(&self, selector: &str, spots: &[Spot], presses: bool) -> Result<()> {
        let places = self.places(selector, spots).await?;
        let (&(mut x, mut y), rest) = places.split_first().context("a spot")?;
        let mut moving = MouseActions::new("mouse".to_owned()).then(move_to(x, y));
        if presses {
            moving = moving.then(PointerAction::Down { button: LEFT });
        }
        for &(to_x, to_y) in rest {
            for step in 1..=STEPS {
                let part = f64::from(step) / f64::from(STEPS);
                moving = moving.then(move_to(x + (to_x - x) * part, y + (to_y - y) * part));
            }
            (x, y) = (to_x, to_y);
        }
        if presses {
            moving = moving.then(PointerAction::Up { button: LEFT });
        }
        self.answer("a pointer's move", self.client.perform_actions(moving))
            .await
    }

    /// Where on the page the spots of an element are.
    async fn places(&self, selector: &str, spots: &[Spot]) -> Result<Vec<(f64, f64)>> {
        let script = "const box = document.querySelector(arguments[0])?.getBoundingClientRect();
                      return box ? [box.x, box.y, box.width, box.height] : null";
        let found = self.evaluate(script, &[selector.into()]).await?;
        let found: [f64; 4] =
            serde_json::from_value(found).with_context(|| format!("{selector} is not there"))?;
        let [left, top, width, height] = found;
        Ok(spots
            .iter()
            .map(|&Spot(x, y)| (left + x * width, top + y * height))
            .collect())
    }

    async fn answer<T, E>(&self, what: &str, asking: impl Future<Output = Result<T, E>>) -> Result<T>
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        tokio::time::timeout(ANSWER, asking)
            .await
            .with_context(|| {
                format!(
                    "{}'s window is stuck: no end of {what} after {ANSWER:?}",
                    self.name
                )
            })?
            .with_context(|| format!("{what} in {}'s window", self.name))
    }
}

impl Drop for Window<'_> {
    fn drop(&mut self) {
        // The driver still runs and has not collected its child, so the id is still the app's.
        if is_running(self.driver.pid()) && is_running(self.app) {
            let _ = kill_process(self.app, Signal::KILL);
        }
    }
}

const LEFT: u64 = 0;

fn move_to(x: f64, y: f64) -> PointerAction {
    PointerAction::MoveTo { duration: None, x, y }
}

/// A key by its name in `KeyboardEvent.key`, as WebDriver writes it.
fn key(name: &str) -> Result<char> {
    Ok(match name {
        "Control" => '\u{e009}',
        "Shift" => '\u{e008}',
        "Alt" => '\u{e00a}',
        "Meta" => '\u{e03d}',
        "Enter" => '\u{e007}',
        "Escape" => '\u{e00c}',
        "Delete" => '\u{e017}',
        "Backspace" => '\u{e003}',
        "Tab" => '\u{e004}',
        "Space" => ' ',
        "ArrowLeft" => '\u{e012}',
        "ArrowUp" => '\u{e013}',
        "ArrowRight" => '\u{e014}',
        "ArrowDown" => '\u{e015}',
        other => {
            let mut characters = other.chars();
            match (characters.next(), characters.next()) {
                (Some(one), None) => one,
                _ => bail!("there is no key called {other:?}"),
            }
        }
    })
}

/// Starts a WebKitWebDriver on a free port. Between finding the port and using it another program may take it;
/// then the driver ends at once, and another port is tried.
async fn start_driver(desktop: &Desktop, name: &str) -> Result<(Process, u16)> {
    let mut tries = 0;
    loop {
        tries += 1;
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let mut command = desktop.command("WebKitWebDriver");
        command.arg("--host=127.0.0.1").arg(format!("--port={port}"));
        let mut driver = Process::start(&format!("driver-{name}-{port}"), command, &desktop.logs())?;
        let accepts = until("the driver to accept connections", START, async || {
            driver.must_run()?;
            Ok(tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .ok()
                .map(drop))
        });
        match accepts.await {
            Ok(()) => return Ok((driver, port)),
            Err(error) if tries == 3 => return Err(error),
            Err(_) => {}
        }
    }
}
