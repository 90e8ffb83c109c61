//! The core of a Lockstep client: what must be true on an annotator's machine.
//!
//! Commands come down as calls on [`Client`]; facts go up as [`view::Event`]s on one channel.
//!
//! **Invariant:** nothing here knows a window toolkit, and every edit is durable before it is acknowledged.

mod board;
mod cache;
mod client;
mod desk;
mod error;
mod follow;
pub mod http;
mod link;
mod place;
pub mod ports;
mod session;
mod station;
mod sync;
pub mod view;
mod watchdog;

pub use client::{Client, Config, Ports};
pub use error::Error;
pub use http::HttpApi;
use place::Place;
