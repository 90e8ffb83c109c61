//! A line to the server that does what lines do: lose answers, hang, or lead to a hotel's sign-in page.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use url::Url;

/// What the line does to a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    /// It arrives and takes effect; its answer does not come back.
    LoseAnswer,
    /// It arrives and takes effect; its answer comes back only after this.
    Delay(Duration),
    /// It never arrives, and nobody says so.
    Hang,
    /// A hotel answers.
    Portal,
    /// The server has no time.
    Busy(u32),
}

struct Rule {
    what: String,
    times: usize,
    fault: Fault,
}

#[derive(Default)]
struct Plan {
    rules: Vec<Rule>,
    log: Vec<(Instant, String)>,
}

/// A reverse proxy with a plan.
pub struct Line {
    addr: SocketAddr,
    plan: Arc<Mutex<Plan>>,
    serving: tokio::task::JoinHandle<()>,
}

#[derive(Clone)]
struct Through {
    server: Url,
    plan: Arc<Mutex<Plan>>,
    http: reqwest::Client,
}

impl Line {
    pub async fn to(server: Url) -> Self {
        let plan = Arc::<Mutex<Plan>>::default();
        let through = Through {
            server,
            plan: Arc::clone(&plan),
            http: reqwest::Client::new(),
        };
        let router = Router::new().fallback(pass).with_state(through);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let addr = listener.local_addr().expect("an address");
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.expect("served") });
        Self { addr, plan, serving }
    }

    pub fn url(&self) -> Url {
        Url::parse(&format!("http://{}", self.addr)).expect("an address")
    }

    /// The next `times` requests whose `METHOD path` contains `what`.
    pub fn plan(&self, what: &str, times: usize, fault: Fault) {
        let rule = Rule {
            what: what.to_owned(),
            times,
            fault,
        };
        self.plan.lock().expect("not poisoned").rules.push(rule);
    }

    /// From now on the line is good.
    pub fn heal(&self) {
        self.plan.lock().expect("not poisoned").rules.clear();
    }

    /// When the requests came whose `METHOD path` contains `what`.
    pub fn log(&self, what: &str) -> Vec<Instant> {
        let plan = self.plan.lock().expect("not poisoned");
        plan.log
            .iter()
            .filter(|(_, line)| line.contains(what))
            .map(|(at, _)| *at)
            .collect()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Through {
    fn fault(&self, line: &str) -> Option<Fault> {
        let mut plan = self.plan.lock().expect("not poisoned");
        plan.log.push((Instant::now(), line.to_owned()));
        let rule = plan
            .rules
            .iter_mut()
            .find(|rule| rule.times > 0 && line.contains(&rule.what))?;
        rule.times -= 1;
        Some(rule.fault)
    }
}

async fn pass(State(through): State<Through>, request: Request) -> Response {
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str())
        .to_owned();
    let fault = through.fault(&format!("{} {path}", request.method()));
    match fault {
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Portal) => {
            return (
                [("content-type", "text/html")],
                "<html>Welcome to the hotel</html>",
            )
                .into_response();
        }
        Some(Fault::Busy(seconds)) => {
            return (
                StatusCode::SERVICE_UNAVAILABLE,
                [("retry-after", seconds.to_string())],
            )
                .into_response();
        }
        Some(Fault::LoseAnswer | Fault::Delay(_)) | None => {}
    }
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("a body");
    let url = format!("{}{path}", through.server.as_str().trim_end_matches('/'));
    let sent = through
        .http
        .request(parts.method, url)
        .headers(parts.headers)
        .body(body)
        .send()
        .await;
    match fault {
        Some(Fault::LoseAnswer) => return (StatusCode::BAD_GATEWAY, "lost").into_response(),
        Some(Fault::Delay(delay)) => tokio::time::sleep(delay).await,
        _ => {}
    }
    let Ok(answer) = sent else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = answer.status();
    *response.headers_mut() = answer.headers().clone();
    response.headers_mut().remove("transfer-encoding");
    *response.body_mut() = Body::from_stream(answer.bytes_stream());
    response
}
