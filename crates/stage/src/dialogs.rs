//! Native dialogs, seen and pressed through the accessibility bus as a screen reader does.

use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::{Desktop, until};

const SCRIPT: &str = include_str!("dialogs.py");

/// Debian's own: the accessibility bindings are installed for this one.
const PYTHON: &str = "/usr/bin/python3";

/// An open dialog.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Dialog {
    /// As accessibility names it; a message box goes by its kind (`Information`, `Warning`, `Question`).
    pub title: String,
    /// Every label's, a line each.
    pub text: String,
    /// Their names, in the toolkit's order.
    pub buttons: Vec<String>,
}

/// The dialogs that the program `pid` has open.
pub fn open(desktop: &Desktop, pid: i32) -> Result<Vec<Dialog>> {
    let answer = desktop.run(PYTHON, &["-c", SCRIPT, "list", &pid.to_string()])?;
    serde_json::from_str(&answer).with_context(|| format!("the dialogs were listed as {answer:?}"))
}

/// Waits until the program `pid` has a dialog with `text` in it.
pub async fn wait_for(desktop: &Desktop, pid: i32, text: &str, deadline: Duration) -> Result<Dialog> {
    until(
        format_args!("a dialog that says {text:?}"),
        deadline,
        async || {
            Ok(open(desktop, pid)?
                .into_iter()
                .find(|dialog| dialog.text.contains(text) || dialog.title.contains(text)))
        },
    )
    .await
}

/// Presses a button of an open dialog of the program `pid`.
pub fn press(desktop: &Desktop, pid: i32, button: &str) -> Result<()> {
    desktop
        .run(PYTHON, &["-c", SCRIPT, "press", &pid.to_string(), button])
        .map(drop)
}

/// Waits until the program `pid` has no dialog open.
pub async fn wait_until_gone(desktop: &Desktop, pid: i32, deadline: Duration) -> Result<()> {
    until("the dialog to go", deadline, async || {
        Ok(open(desktop, pid)?.is_empty().then_some(()))
    })
    .await
}
