//! Where things are, and the programs that work on them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// The app's feature that puts the built window into the program.
const EMBED_WINDOW: &str = "lockstep/custom-protocol";

/// This checkout.
pub(crate) struct Repository {
    root: PathBuf,
    target: PathBuf,
}

impl Repository {
    pub(crate) fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("xtask is in the repository")?;
        // This program is `TARGET/debug/xtask`, whatever named TARGET: a variable, a setting or nothing.
        let me = std::env::current_exe()?;
        let target = me.ancestors().nth(2).context("xtask runs from a target folder")?;
        Ok(Self {
            root: root.to_owned(),
            target: target.to_owned(),
        })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// What builds leave.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    pub(crate) fn ui(&self) -> PathBuf {
        self.root.join("ui")
    }

    /// Where the tour leaves its pictures.
    pub(crate) fn tour(&self) -> PathBuf {
        self.target.join("tour")
    }

    /// A program of this workspace's.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.target.join("debug").join(name)
    }

    /// The same, as it is released.
    pub(crate) fn released(&self, name: &str) -> PathBuf {
        self.target.join("release").join(name)
    }

    /// Where what is measured keeps its data: on the disk that the checkout is on.
    pub(crate) fn measured(&self) -> PathBuf {
        self.target.join("bench")
    }

    /// The cargo that started this program.
    pub(crate) fn cargo(&self, subcommand: &str) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command
            .arg(subcommand)
            .current_dir(&self.root)
            .env("CARGO_TARGET_DIR", &self.target);
        command
    }

    /// Cargo on all of the workspace with the window inside the app. Always all of it: with fewer packages cargo
    /// would choose fewer features for what they share, and build that a second time.
    pub(crate) fn cargo_all(&self, subcommand: &str) -> Command {
        let mut command = self.cargo(subcommand);
        command.args(["--workspace", "--features", EMBED_WINDOW]);
        command
    }

    /// A script of `ui/package.json`.
    pub(crate) fn npm_run(&self, script: &str) -> Command {
        let mut command = Command::new("npm");
        command.args(["run", "--silent", script]).current_dir(self.ui());
        command
    }
}
