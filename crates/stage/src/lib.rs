//! A private desktop with real windows in it: what the story and the tour are played on.
//!
//! A [`Desktop`] brings its own display, window manager, buses, notification daemon and keyring; a [`Server`]
//! can be stopped, killed and started again on the same port and data; a [`Window`] is the real program driven
//! through WebDriver, and can be closed, asked to end or killed like any other; [`dialogs`] and
//! [`notifications`] see and press what the desktop shows outside the webview.
//!
//! **Invariant:** nothing here knows Lockstep's rules, nothing sleeps and hopes (see [`until`]), and every
//! program started here is ended by its own id when the value that stands for it goes away.

mod desktop;
pub mod dialogs;
pub mod notifications;
mod process;
mod server;
mod wait;
mod window;

pub use desktop::Desktop;
pub use server::Server;
pub use wait::until;
pub use window::{Spot, Window, by_test_id};
