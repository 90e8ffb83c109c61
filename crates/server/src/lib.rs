//! The shared truth: one place where locks are granted and saves are stored.
//!
//! `routes` speaks HTTP, `service` decides, `store` and `blobs` remember. The listener and the word to stop come from
//! outside, so the program, the desktop app and every test run the same server.

use std::future::Future;
use std::sync::Arc;

use tokio::net::TcpListener;

pub mod backup;
pub mod blobs;
pub mod demo;
pub mod embedded;
pub mod export;
mod metrics;
mod routes;
pub mod service;
mod serving;
mod settings;
pub mod store;
mod tls;

pub use blobs::Blobs;
pub use service::Service;
pub use serving::{Front, serve_service};
pub use settings::{Attempts, PasswordWork, Settings};
pub use store::Store;
pub use tls::Tls;

/// The contract as an OpenAPI document, as this server keeps it.
pub fn openapi() -> &'static str {
    routes::openapi()
}

/// Serves until `shutdown` comes, then lets what is in flight finish.
pub async fn serve(
    listener: TcpListener,
    store: Arc<dyn Store>,
    blobs: Blobs,
    settings: Settings,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let service = Service::open(store, blobs, settings).await?;
    serve_service(listener, service, shutdown).await
}
