//! What the desktop's notification daemon was given to show, and clicks on it.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::{Desktop, until};

/// Tells the script beside dunst's configuration where to write.
pub(crate) const RECORD: &str = "LOCKSTEP_STAGE_NOTIFICATIONS";

/// A notification as the daemon got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// The daemon's number for it; a replaced notification keeps its number.
    pub id: u32,
    /// Who sent it.
    pub app: String,
    /// Its first line.
    pub summary: String,
    /// The rest.
    pub body: String,
}

/// Every notification shown since the desktop started, oldest first.
pub fn shown(desktop: &Desktop) -> Result<Vec<Notification>> {
    let file = desktop.notifications_file();
    if !file.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(file)?;
    // What follows the last separator is nothing, or a record still being written.
    let whole = text.rsplit_once('\u{1e}').map_or("", |(whole, _)| whole);
    whole
        .split_terminator('\u{1e}')
        .map(|record| parse(record).context("a record of dunst's script"))
        .collect()
}

fn parse(record: &str) -> Option<Notification> {
    let mut fields = record.split('\u{1f}').map(str::to_owned);
    Some(Notification {
        id: fields.next()?.parse().ok()?,
        app: fields.next()?,
        summary: fields.next()?,
        body: fields.next()?,
    })
}

/// Waits for a notification with `text` in its summary or body.
pub async fn wait_for(desktop: &Desktop, text: &str, deadline: Duration) -> Result<Notification> {
    until(
        format_args!("a notification that says {text:?}"),
        deadline,
        async || {
            Ok(shown(desktop)?
                .into_iter()
                .rev()
                .find(|one| one.summary.contains(text) || one.body.contains(text)))
        },
    )
    .await
}

/// How many are on the screen now.
pub fn displayed(desktop: &Desktop) -> Result<usize> {
    let answer = desktop.run("dunstctl", &["count", "displayed"])?;
    answer
        .trim()
        .parse()
        .with_context(|| format!("dunstctl counted {answer:?}"))
}

/// Clicks the topmost notification with the mouse, as a person does: its default action.
pub async fn click(desktop: &Desktop) -> Result<()> {
    let window = until("the notification's window", Duration::from_secs(5), async || {
        let found = desktop.run("xdotool", &["search", "--onlyvisible", "--class", "^Dunst$"]);
        Ok(found.ok().and_then(|ids| ids.lines().last().map(str::to_owned)))
    })
    .await?;
    desktop
        .run(
            "xdotool",
            &["mousemove", "--window", &window, "40", "20", "click", "1"],
        )
        .map(drop)
}

/// Takes every notification off the screen without answering it.
pub fn dismiss_all(desktop: &Desktop) -> Result<()> {
    desktop.run("dunstctl", &["close-all"]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_keeps_lines_and_empty_fields() {
        let parsed = parse("7\u{1f}Lockstep\u{1f}cat.jpg is free\u{1f}one\ntwo").expect("a record");
        assert_eq!(
            (parsed.id, parsed.app.as_str(), parsed.body.as_str()),
            (7, "Lockstep", "one\ntwo")
        );
        assert_eq!(parse("7\u{1f}\u{1f}s\u{1f}").expect("a record").body, "");
        assert_eq!(parse("seven"), None);
    }
}
