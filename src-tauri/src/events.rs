//! Carries the core's facts to the window. The only `emit`.

use lockstep_client::view::Event;
use tauri::{AppHandle, Emitter};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::notify;

/// The one event the window listens to.
const NAME: &str = "lockstep";

/// Tells the window.
pub(crate) fn emit(app: &AppHandle, event: &Event) {
    if let Err(error) = app.emit(NAME, event) {
        tracing::warn!(%error, "the window could not be told");
    }
}

/// Carries facts up until the core is gone.
pub(crate) async fn run(app: AppHandle, mut facts: UnboundedReceiver<Event>) {
    while let Some(fact) = facts.recv().await {
        if let Event::Notice(notice) = &fact {
            notify::show(&app, notice.clone());
        }
        emit(&app, &fact);
    }
}
