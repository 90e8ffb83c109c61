//! The core of a Lockstep client: what must be true on an annotator's machine.
//!
//! Commands come down as calls on [`Client`]; facts go up as [`view::Event`]s on one channel.
//!
//! **Invariant:** nothing here knows a window toolkit, and every edit is durable before it is acknowledged.

mod client;
mod error;
pub mod http;
pub mod ports;
pub mod view;

pub use client::{Client, Config, Ports};
pub use error::Error;
pub use http::HttpApi;
