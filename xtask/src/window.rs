//! The window's packages and its build, each made anew only when what it is made of has changed.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result};

use crate::repository::Repository;
use crate::shell::{run, say};

/// What the built window is made of, in `ui/`.
const SOURCES: [&str; 7] = [
    "index.html",
    "package-lock.json",
    "public",
    "src",
    "svelte.config.js",
    "tsconfig.json",
    "vite.config.ts",
];

/// Installs what `package-lock.json` names.
pub(crate) fn install_packages(repository: &Repository) -> Result<()> {
    let ui = repository.ui();
    // npm writes this file last, so an installation that was broken off is done again.
    if is_newer(
        &ui.join("node_modules/.package-lock.json"),
        &[ui.join("package-lock.json")],
    )? {
        return Ok(());
    }
    say("installing the window's npm packages");
    run(Command::new("npm")
        .args(["ci", "--no-audit", "--no-fund"])
        .current_dir(ui))
}

/// Builds what the app carries inside: cargo needs it even to check the app.
pub(crate) fn build(repository: &Repository) -> Result<()> {
    let ui = repository.ui();
    if is_newer(&ui.join("dist/index.html"), &SOURCES.map(|name| ui.join(name)))? {
        return Ok(());
    }
    say("building the window");
    run(&mut repository.npm_run("build"))
}

/// Was `made` written after every one of its sources? Sources that are not there do not count.
fn is_newer(made: &Path, sources: &[impl AsRef<Path>]) -> Result<bool> {
    let Ok(made) = fs::metadata(made).and_then(|metadata| metadata.modified()) else {
        return Ok(false);
    };
    for source in sources {
        if last_change(source.as_ref())?.is_some_and(|change| change > made) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// When a file, or anything in a folder, was last written, added or removed.
fn last_change(path: &Path) -> Result<Option<SystemTime>> {
    if !path.exists() {
        return Ok(None);
    }
    let metadata = fs::metadata(path).with_context(|| format!("looking at {}", path.display()))?;
    let mut last = metadata.modified()?;
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            last = last.max(last_change(&entry?.path())?.unwrap_or(last));
        }
    }
    Ok(Some(last))
}
