//! Leaving: close button, quit, log-out and signals all come here. The only place that delays an exit.
//!
//! **Invariant:** leaving takes [`EXIT_MS`] at the most, whatever the network does; what could not be given
//! back by then is given back at the next start, or lapses with its lease.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tauri::{AppHandle, Manager, RunEvent, Window, WindowEvent};

use crate::Desk;

/// From the wish to leave to the end of the process.
const EXIT_MS: u64 = 1500;

/// What of it the core may use to give the lock back.
const RELEASE_MS: u64 = 1100;

const _: () = assert!(
    RELEASE_MS + 300 < EXIT_MS,
    "the bundled server needs the rest to finish what is in flight"
);

/// Set once somebody wants to leave, so that a second wish does not start a second farewell.
#[derive(Default)]
pub(crate) struct Leaving(AtomicBool);

/// Gives the lock back, then ends the program.
pub(crate) fn leave(app: &AppHandle) {
    if app.state::<Leaving>().0.swap(true, Ordering::SeqCst) {
        return;
    }
    let app = app.clone();
    tauri::async_runtime::spawn(async move {
        let farewell = async {
            let desk = app.state::<Desk>();
            desk.client.shutdown(Duration::from_millis(RELEASE_MS)).await;
            desk.server.stop().await;
        };
        if tokio::time::timeout(Duration::from_millis(EXIT_MS), farewell)
            .await
            .is_err()
        {
            tracing::warn!("left before everything was given back");
        }
        app.exit(0);
    });
}

/// The close button.
pub(crate) fn on_window_event(window: &Window, event: &WindowEvent) {
    if let WindowEvent::CloseRequested { api, .. } = event {
        api.prevent_close();
        leave(window.app_handle());
    }
}

/// The desktop's or the toolkit's wish to end; an exit code means that it is [`leave`]'s own.
pub(crate) fn on_run_event(app: &AppHandle, event: &RunEvent) {
    if let RunEvent::ExitRequested { api, code: None, .. } = event {
        api.prevent_exit();
        leave(app);
    }
}

/// Leaves when the system asks, as a shutdown or a `kill` does.
#[cfg(unix)]
pub(crate) async fn leave_on_signals(app: AppHandle) {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut interrupt, mut hangup) = match (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
        signal(SignalKind::hangup()),
    ) {
        (Ok(term), Ok(interrupt), Ok(hangup)) => (term, interrupt, hangup),
        _ => {
            tracing::warn!("signals cannot be heard; an open image is given back when its lease ends");
            return;
        }
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
        _ = hangup.recv() => {}
    }
    leave(&app);
}

/// Leaves on Ctrl+C in the console.
#[cfg(not(unix))]
pub(crate) async fn leave_on_signals(app: AppHandle) {
    if tokio::signal::ctrl_c().await.is_ok() {
        leave(&app);
    }
}
