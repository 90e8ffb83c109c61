//! Running other programs, saying first what for.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Says what is being done, in a line that stands out from what programs print.
pub(crate) fn say(what: impl std::fmt::Display) {
    eprintln!("▸ {what}");
}

/// Runs a program to its end; an error if it fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("starting {}", written(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", written(command));
    }
    Ok(())
}

/// What a program prints; nothing if it is not installed or fails.
pub(crate) fn answer(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The command as one would type it.
fn written(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}
