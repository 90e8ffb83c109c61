//! The floor: the server's own HTTP stack answering what it was given, so that a comparison shows what the server adds.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse as _;
use axum::routing::{MethodRouter, any};
use axum::serve::ListenerExt as _;
use bytes::Bytes;
use tokio::net::TcpListener;

/// As long as a lock's answer.
const CONSTANT: &[u8] = &[b'x'; 400];

/// Serves `/constant`, and each file at `/bytes/` and its place in the list.
pub(crate) async fn serve(files: &[PathBuf]) -> Result<()> {
    let mut router = Router::new().route("/constant", answering(Bytes::from_static(CONSTANT)));
    for (number, file) in files.iter().enumerate() {
        let bytes = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
        router = router.route(&format!("/bytes/{number}"), answering(bytes.into()));
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let listener = listener.tap_io(|connection| {
        let _ = connection.set_nodelay(true);
    });
    Ok(axum::serve(listener, router).await?)
}

/// A request's body is read, as the server would.
fn answering(body: Bytes) -> MethodRouter {
    any(async move |_: Bytes| ([(CONTENT_TYPE, "application/json")], body).into_response())
}
