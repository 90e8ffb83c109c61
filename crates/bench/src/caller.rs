//! One caller: a connection that is kept alive, and requests on it one after the other.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use lockstep_wire::{Generation, SaveContext, routes};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

pub(crate) struct Caller {
    connection: SendRequest<Full<Bytes>>,
    host: String,
    token: String,
    /// How long each answer took.
    pub(crate) latencies: Vec<Duration>,
}

/// A request as a scenario writes it.
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Bytes,
    pub(crate) context: SaveContext,
}

impl Ask {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            body: Bytes::new(),
            context: SaveContext::default(),
        }
    }

    pub(crate) fn json(method: Method, path: String, body: &impl Serialize) -> Result<Self> {
        let body = serde_json::to_vec(body)?.into();
        Ok(Self {
            method,
            body,
            ..Self::get(path)
        })
    }
}

impl Caller {
    pub(crate) async fn connect(to: SocketAddr, token: &str) -> Result<Self> {
        let stream = TcpStream::connect(to).await.context("connecting")?;
        stream.set_nodelay(true)?;
        let (connection, driver) = handshake(TokioIo::new(stream)).await?;
        tokio::task::spawn_local(driver);
        Ok(Self {
            connection,
            host: to.to_string(),
            token: format!("Bearer {token}"),
            latencies: Vec::new(),
        })
    }

    /// Whatever is answered.
    pub(crate) async fn answer(&mut self, ask: Ask) -> Result<(StatusCode, Bytes)> {
        let mut request = Request::builder()
            .method(ask.method)
            .uri(ask.path)
            .header(HOST, &self.host)
            .header(AUTHORIZATION, &self.token);
        if !ask.body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let SaveContext {
            key,
            generation,
            client_id,
        } = ask.context;
        if let Some(key) = key {
            request = request.header(routes::IDEMPOTENCY_KEY, key.0);
        }
        if let Some(Generation(generation)) = generation {
            request = request.header(routes::LOCK_GENERATION, generation);
        }
        if let Some(client) = client_id {
            request = request.header(routes::CLIENT_ID, client.0);
        }
        let request = request.body(Full::new(ask.body))?;
        self.connection.ready().await?;
        let sent = Instant::now();
        let response = self.connection.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        self.latencies.push(sent.elapsed());
        Ok((status, body))
    }

    /// What is answered with a status of success.
    pub(crate) async fn bytes(&mut self, ask: Ask) -> Result<Bytes> {
        let (status, body) = self.answer(ask).await?;
        ensure!(
            status.is_success(),
            "{status}: {}",
            String::from_utf8_lossy(&body)
        );
        Ok(body)
    }

    pub(crate) async fn ask<T: DeserializeOwned>(&mut self, ask: Ask) -> Result<T> {
        Ok(serde_json::from_slice(&self.bytes(ask).await?)?)
    }
}
