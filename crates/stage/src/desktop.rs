//! A desktop of its own: display, window manager, session bus, accessibility, notifications, keyring.
//!
//! **Invariant:** nothing of the person's or the machine's own desktop is read, written or talked to. The home
//! folder, the buses and the display are this value's and go with it.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::process::{Process, leashed, output_of};
use crate::until;

/// Generous: on a loaded machine a bus may take a second or two to answer.
const START: Duration = Duration::from_secs(20);

/// Shows one notification at a time at the top right, keeps it until clicked, and records every one as it comes.
const DUNSTRC: &str = include_str!("dunstrc");

/// A session bus on which only what this stage started answers.
const SESSION_CONF: &str = include_str!("session.conf");

const KEYRING: &str = "keyring";

/// A running desktop. Programs started with [`Desktop::command`] appear on it.
pub struct Desktop {
    environment: Vec<(&'static str, OsString)>,
    /// In the order they were started; ended in the reverse.
    running: Vec<Process>,
    folder: TempDir,
    failures: Option<PathBuf>,
}

impl Desktop {
    /// A desktop of 1280 × 900 pixels.
    pub async fn start() -> Result<Self> {
        Self::start_sized(1280, 900).await
    }

    /// Starts everything, in order, each once the one before it answers.
    pub async fn start_sized(width: u32, height: u32) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("lockstep-stage-").tempdir()?;
        let home = folder.path().join("home");
        let run = folder.path().join("run");
        for path in [&home, &run, &folder.path().join("logs")] {
            fs::create_dir(path)?;
        }
        fs::set_permissions(&run, Permissions::from_mode(0o700))?;

        let mut desktop = Self {
            environment: private_environment(&home, &run),
            running: Vec::new(),
            folder,
            failures: None,
        };
        desktop.start_display(width, height).await?;
        desktop.start_bus().await?;
        desktop.start_accessibility().await?;
        desktop.start_notifications(&home).await?;
        desktop.start_keyring().await?;
        Ok(desktop)
    }

    /// A program to run on this desktop and nowhere else; it also ends when the calling thread does.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = leashed(program);
        command
            .env_remove("WAYLAND_DISPLAY")
            .env_remove("XAUTHORITY")
            .stdin(Stdio::null());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a program on this desktop to its end and gives what it printed.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let mut command = self.command(program);
        command.args(arguments);
        output_of(command)
    }

    /// The home folder of the person at this desktop.
    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// Where what the programs print is kept while the desktop lives.
    pub fn logs(&self) -> PathBuf {
        self.folder.path().join("logs")
    }

    /// Takes a picture of the whole screen.
    pub fn screenshot(&self, file: &Path) -> Result<()> {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut command = self.command("import");
        command.args(["-window", "root"]).arg(file);
        output_of(command).map(drop)
    }

    /// From now on a window that waits in vain leaves a picture of the screen in this folder.
    pub fn keep_failures_in(&mut self, folder: PathBuf) {
        self.failures = Some(folder);
    }

    pub(crate) fn picture_of_failure(&self, name: &str) -> Option<PathBuf> {
        let file = self.failures.as_ref()?.join(format!("{name}.png"));
        self.screenshot(&file).is_ok().then_some(file)
    }

    /// Ends the keyring daemon, as on a machine that has none.
    pub fn take_keyring_away(&mut self) {
        self.running.retain(|process| process.name() != KEYRING);
    }

    async fn start_display(&mut self, width: u32, height: u32) -> Result<()> {
        let screen = format!("{width}x{height}x24");
        let mut xvfb = self.command("Xvfb");
        xvfb.args([
            "-displayfd",
            "1",
            "-screen",
            "0",
            &screen,
            "-nolisten",
            "tcp",
            "-noreset",
        ]);
        let mut xvfb = Process::start("xvfb", xvfb, &self.logs())?;
        let number: u32 = xvfb.wait_for_line(START, |line| line.trim().parse().ok()).await?;
        self.environment.push(("DISPLAY", format!(":{number}").into()));
        self.running.push(xvfb);

        self.start_program("openbox", self.command("openbox"))?;
        until("the window manager", START, async || {
            Ok(self.run("wmctrl", &["-m"]).ok())
        })
        .await
        .map(drop)
    }

    async fn start_bus(&mut self) -> Result<()> {
        let run = self.folder.path().join("run");
        let config = run.join("session.conf");
        fs::write(
            &config,
            SESSION_CONF.replace("SOCKET", &run.join("bus").display().to_string()),
        )?;
        let mut bus = self.command("dbus-daemon");
        bus.args(["--nofork", "--nopidfile", "--nosyslog", "--print-address=1"]);
        bus.arg(format!("--config-file={}", config.display()));
        let mut bus = Process::start("dbus", bus, &self.logs())?;
        let address = bus.wait_for_line(START, |line| Some(line.to_owned())).await?;
        self.environment
            .push(("DBUS_SESSION_BUS_ADDRESS", address.into()));
        self.running.push(bus);
        Ok(())
    }

    async fn start_accessibility(&mut self) -> Result<()> {
        let mut launcher = self.command("/usr/libexec/at-spi-bus-launcher");
        launcher.arg("--launch-immediately");
        self.start_program("at-spi", launcher)?;
        self.wait_for_service("org.a11y.Bus").await
    }

    async fn start_notifications(&mut self, home: &Path) -> Result<()> {
        let folder = home.join(".config/dunst");
        fs::create_dir_all(&folder)?;
        let record = folder.join("record.sh");
        fs::write(&record, include_str!("record.sh"))?;
        fs::set_permissions(&record, Permissions::from_mode(0o755))?;
        let config = DUNSTRC.replace(
            "RECORD",
            record.to_str().context("a folder name that is not text")?,
        );
        fs::write(folder.join("dunstrc"), config)?;

        let mut dunst = self.command("dunst");
        dunst.env(crate::notifications::RECORD, self.notifications_file());
        self.start_program("dunst", dunst)?;
        self.wait_for_service("org.freedesktop.Notifications").await
    }

    async fn start_keyring(&mut self) -> Result<()> {
        let password = self.folder.path().join("keyring-password");
        fs::write(&password, "for this stage only")?;
        let mut keyring = self.command("gnome-keyring-daemon");
        keyring
            .args(["--foreground", "--unlock", "--components=secrets"])
            .stdin(File::open(&password)?);
        self.start_program(KEYRING, keyring)?;
        self.wait_for_service("org.freedesktop.secrets").await
    }

    fn start_program(&mut self, name: &str, command: Command) -> Result<()> {
        let process = Process::start(name, command, &self.logs())?;
        self.running.push(process);
        Ok(())
    }

    async fn wait_for_service(&mut self, name: &str) -> Result<()> {
        until(format_args!("{name} on the session bus"), START, async || {
            self.running.iter_mut().try_for_each(Process::must_run)?;
            let question = [
                "--session",
                "--print-reply=literal",
                "--dest=org.freedesktop.DBus",
                "/org/freedesktop/DBus",
                "org.freedesktop.DBus.NameHasOwner",
                &format!("string:{name}"),
            ];
            Ok(self.run("dbus-send", &question)?.contains("true").then_some(()))
        })
        .await
    }

    pub(crate) fn notifications_file(&self) -> PathBuf {
        self.folder.path().join("notifications")
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        while let Some(last_started) = self.running.pop() {
            drop(last_started);
        }
    }
}

fn private_environment(home: &Path, run: &Path) -> Vec<(&'static str, OsString)> {
    vec![
        ("HOME", home.into()),
        ("XDG_RUNTIME_DIR", run.into()),
        ("XDG_CONFIG_HOME", home.join(".config").into()),
        ("XDG_DATA_HOME", home.join(".local/share").into()),
        ("XDG_STATE_HOME", home.join(".local/state").into()),
        ("XDG_CACHE_HOME", home.join(".cache").into()),
        ("XDG_CURRENT_DESKTOP", "openbox".into()),
        ("GDK_BACKEND", "x11".into()),
        ("GSETTINGS_BACKEND", "memory".into()),
        ("LANG", "C.UTF-8".into()),
        // The dialogs are found and pressed through accessibility.
        ("NO_AT_BRIDGE", "0".into()),
        // There is no graphics card here, and software compositing is several times slower than none.
        ("WEBKIT_DISABLE_COMPOSITING_MODE", "1".into()),
        ("LIBGL_ALWAYS_SOFTWARE", "1".into()),
        // Lets WebDriver into a Tauri window.
        ("TAURI_WEBVIEW_AUTOMATION", "true".into()),
        ("NO_PROXY", "127.0.0.1,localhost".into()),
        ("no_proxy", "127.0.0.1,localhost".into()),
    ]
}
