//! What is checked and tested, in which order, and how long each part took.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::repository::Repository;
use crate::shell::{answer, run, say};

/// Runs one thing after another and remembers how long each took; the first that fails is the last.
pub(crate) struct Suites {
    took: Vec<(&'static str, Duration)>,
}

impl Suites {
    pub(crate) fn new() -> Self {
        Self { took: Vec::new() }
    }

    pub(crate) fn run(&mut self, name: &'static str, command: &mut Command) -> Result<()> {
        self.time(name, || run(command))
    }

    pub(crate) fn time(&mut self, name: &'static str, part: impl FnOnce() -> Result<()>) -> Result<()> {
        say(name);
        let started = Instant::now();
        let outcome = part();
        self.took.push((name, started.elapsed()));
        outcome.with_context(|| format!("in: {name}"))
    }
}

impl Drop for Suites {
    /// Told however it ends: where the time went matters most when something failed late.
    fn drop(&mut self) {
        say("time");
        for (name, took) in &self.took {
            eprintln!("  {:>7.1} s  {name}", took.as_secs_f64());
        }
    }
}

/// Everything that can be said without running the product. The window must have been built.
pub(crate) fn check(repository: &Repository, suites: &mut Suites) -> Result<()> {
    suites.run("the window: types and lints", &mut repository.npm_run("check"))?;
    suites.run(
        "Rust: formatting",
        repository.cargo("fmt").args(["--all", "--", "--check"]),
    )?;
    suites.run(
        "Rust: lints",
        repository
            .cargo_all("clippy")
            .args(["--all-targets", "--", "-D", "warnings"]),
    )?;
    if answer(Command::new("cargo-deny").arg("--version")).is_some() {
        // Advisories are left out: their database comes from another place than the packages do.
        suites.run(
            "dependencies: licences and sources",
            repository
                .cargo("deny")
                .args(["--log-level", "error", "check", "bans", "licenses", "sources"]),
        )?;
    }
    Ok(())
}

/// Every test of the window that needs no app around it.
pub(crate) fn test_window(repository: &Repository, suites: &mut Suites) -> Result<()> {
    suites.run("the window: unit tests", &mut repository.npm_run("test"))?;
    suites.run("the window: in a browser", &mut repository.npm_run("test:window"))
}

/// Every Rust test, or those whose name holds `filter`; the story with its real windows is one of them.
pub(crate) fn test_rust(repository: &Repository, suites: &mut Suites, filter: Option<&str>) -> Result<()> {
    suites.run(
        "Rust: build the app and the server",
        repository.cargo_all("build").arg("--bins"),
    )?;
    suites.run(
        "Rust: tests",
        repository.cargo_all("test").arg("--no-fail-fast").args(filter),
    )
}
