//! What the window may ask for: a file a noun, each command one call on the core.

#![expect(
    clippy::needless_pass_by_value,
    reason = "commands are handed what they ask for by value"
)]

mod account;
mod annotations;
mod conflicts;
mod images;
mod locks;

use lockstep_client::Error;
use tauri::ipc::Invoke;
use tauri::{State, Wry};

use crate::Desk;

/// The core and the server, as commands get them.
type AtDesk<'a> = State<'a, Desk>;

/// An answer for the window, or a code and a sentence.
type Answer<T> = Result<T, Error>;

/// Every command there is.
pub(crate) fn handler() -> impl Fn(Invoke<Wry>) -> bool + Send + Sync + 'static {
    tauri::generate_handler![
        account::account,
        account::connection,
        account::demo_people,
        account::sign_in,
        account::sign_out,
        account::quit,
        annotations::edit,
        annotations::undo,
        annotations::redo,
        annotations::kept,
        annotations::restore,
        annotations::save,
        annotations::sync_now,
        conflicts::conflicts,
        conflicts::ask_conflict,
        images::projects,
        images::open_project,
        images::images,
        images::labels,
        images::open_image,
        images::open_read_only,
        images::close_image,
        locks::take_back,
        locks::force_release,
        locks::watch,
        locks::unwatch,
    ]
}
