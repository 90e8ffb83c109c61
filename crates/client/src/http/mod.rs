//! The wire over HTTP: one request a call, and nothing believed that is not the contract's.
//!
//! **Invariant:** an answer that is not this contract's JSON is a network failure, never a refusal.

mod answer;
mod sign_in;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use eventsource_stream::Eventsource as _;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use lockstep_wire::{
    AcquireAnswer, AcquireRequest, AnnotationId, Answer, Api, ApiError, ChangePage, CreateAnnotation, Cursor,
    Heartbeat, HeartbeatRequest, ImageAnnotations, ImageId, ImagePage, Label, Lock, LockList, LoginRequest,
    Meta, Project, ProjectId, Release, ReleaseRequest, Removed, SaveContext, Saved, ServerEvent,
    UpdateAnnotation, User, Version, routes,
};
use reqwest::{Method, RequestBuilder, Response};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use url::Url;

use crate::ports::Keychain;
use answer::{network, read_bytes, read_json};
use sign_in::SignIn;

/// A server that is there accepts at once; a black hole must not cost a person's patience.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Lock calls are small and something waits for each.
const LOCK_TIMEOUT: Duration = Duration::from_secs(3);
/// Saves and lists.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// A large picture over a slow line.
const CONTENT_TIMEOUT: Duration = Duration::from_secs(120);
/// An event stream that has been silent this long may be a dead connection; asking again is cheap.
const EVENTS_SILENCE: Duration = Duration::from_secs(60);

/// [`Api`] over HTTP, with the sign-in of one person; clones share it.
#[derive(Clone)]
pub struct HttpApi {
    http: reqwest::Client,
    server: Url,
    sign_in: Arc<SignIn>,
}

impl HttpApi {
    /// For the server at `server`; `remembered` is the email of an earlier run's sign-in, whose token the
    /// keychain may still have.
    pub fn new(
        server: Url,
        keychain: Arc<dyn Keychain>,
        remembered: Option<&str>,
    ) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            // A redirect is a portal's doing: the contract has none.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("lockstep/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let sign_in = Arc::new(SignIn::new(&server, keychain, remembered));
        Ok(Self {
            http,
            server,
            sign_in,
        })
    }

    /// Why the sign-in lasts for this run only; `None` while it is remembered.
    pub fn this_run_only(&self) -> watch::Receiver<Option<String>> {
        self.sign_in.this_run_only()
    }

    fn url(&self, path: &str, query: &[(&str, String)]) -> Url {
        let mut url = self.server.clone();
        let base = self.server.path().trim_end_matches('/');
        url.set_path("");
        // `set_path` would encode the per cent signs again.
        let mut url = Url::parse(&format!("{}{base}{path}", url.as_str().trim_end_matches('/')))
            .expect("a server's address with a route's path is an address");
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    fn request(
        &self,
        method: Method,
        route: &str,
        parts: &[&str],
        query: &[(&str, String)],
    ) -> RequestBuilder {
        self.http
            .request(method, self.url(&routes::path(route, parts), query))
            .timeout(CALL_TIMEOUT)
    }

    fn get(&self, route: &str, parts: &[&str]) -> RequestBuilder {
        self.request(Method::GET, route, parts, &[])
    }

    /// Sends with the access token; when the server does not take it, renews it once and sends again.
    async fn send(&self, request: RequestBuilder) -> Answer<Response> {
        let again = request
            .try_clone()
            .expect("no request of this contract has a streaming body");
        let token = self.sign_in.access(self).await?;
        let response = request.bearer_auth(&token).send().await.map_err(network)?;
        if response.status() != reqwest::StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        // A portal may answer 401 as well; only the contract's own is worth a refresh token.
        match read_json::<serde_json::Value>(response).await {
            Err(ApiError::Refused(_)) => {}
            Err(other) => return Err(other),
            Ok(_) => return Err(ApiError::Network("a success with status 401".to_owned())),
        }
        let token = self.sign_in.renew(self, Some(token)).await?;
        again.bearer_auth(&token).send().await.map_err(network)
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Answer<T> {
        read_json(self.send(request).await?).await
    }
}

/// The headers a write carries.
fn with_context(request: RequestBuilder, context: &SaveContext) -> RequestBuilder {
    let mut request = request;
    if let Some(key) = &context.key {
        request = request.header(routes::IDEMPOTENCY_KEY, key.as_str());
    }
    if let Some(generation) = context.generation {
        request = request.header(routes::LOCK_GENERATION, generation.0);
    }
    if let Some(client_id) = &context.client_id {
        request = request.header(routes::CLIENT_ID, client_id.as_str());
    }
    request
}

impl Api for HttpApi {
    async fn meta(&self) -> Answer<Meta> {
        let request = self.get(routes::META, &[]).timeout(LOCK_TIMEOUT);
        let meta: Meta = read_json(request.send().await.map_err(network)?).await?;
        if meta.name != Meta::NAME || meta.protocol != Meta::PROTOCOL {
            return Err(ApiError::Network(format!(
                "{} speaks {} {}",
                self.server, meta.name, meta.protocol
            )));
        }
        Ok(meta)
    }

    async fn login(&self, request: LoginRequest) -> Answer<User> {
        self.sign_in.login(self, request).await
    }

    async fn logout(&self) -> Answer<()> {
        self.sign_in.logout(self).await
    }

    async fn me(&self) -> Answer<User> {
        self.json(self.get(routes::ME, &[])).await
    }

    async fn projects(&self) -> Answer<Vec<Project>> {
        self.json(self.get(routes::PROJECTS, &[])).await
    }

    async fn labels(&self, project: &ProjectId) -> Answer<Vec<Label>> {
        self.json(self.get(routes::LABELS, &[project.as_str()])).await
    }

    async fn images(&self, project: &ProjectId, after: Option<&str>) -> Answer<ImagePage> {
        let query: Vec<_> = after
            .map(|after| ("after", after.to_owned()))
            .into_iter()
            .collect();
        self.json(self.request(Method::GET, routes::IMAGES, &[project.as_str()], &query))
            .await
    }

    async fn content(&self, project: &ProjectId, image: &ImageId) -> Answer<Bytes> {
        let request = self
            .get(routes::CONTENT, &[project.as_str(), image.as_str()])
            .timeout(CONTENT_TIMEOUT);
        read_bytes(self.send(request).await?).await
    }

    async fn thumbnail(&self, project: &ProjectId, image: &ImageId) -> Answer<Bytes> {
        let request = self.get(routes::THUMBNAIL, &[project.as_str(), image.as_str()]);
        read_bytes(self.send(request).await?).await
    }

    async fn annotations(&self, project: &ProjectId, image: &ImageId) -> Answer<ImageAnnotations> {
        self.json(self.get(routes::IMAGE_ANNOTATIONS, &[project.as_str(), image.as_str()]))
            .await
    }

    async fn acquire(&self, request: AcquireRequest) -> Answer<AcquireAnswer> {
        let call = self
            .request(Method::POST, routes::ACQUIRE, &[], &[])
            .timeout(LOCK_TIMEOUT)
            .json(&request);
        self.json(call).await
    }

    async fn heartbeat(
        &self,
        project: &ProjectId,
        image: &ImageId,
        request: HeartbeatRequest,
    ) -> Answer<Heartbeat> {
        let parts = [project.as_str(), image.as_str()];
        let call = self
            .request(Method::POST, routes::HEARTBEAT, &parts, &[])
            .timeout(LOCK_TIMEOUT)
            .json(&request);
        self.json(call).await
    }

    async fn release(
        &self,
        project: &ProjectId,
        image: &ImageId,
        request: ReleaseRequest,
    ) -> Answer<Release> {
        let mut query = Vec::new();
        query.extend(
            request
                .generation
                .map(|generation| ("generation", generation.to_string())),
        );
        query.extend(request.client_id.map(|client_id| ("client_id", client_id.0)));
        let call = self.request(
            Method::DELETE,
            routes::LOCK,
            &[project.as_str(), image.as_str()],
            &query,
        );
        self.json(call.timeout(LOCK_TIMEOUT)).await
    }

    async fn force_release(&self, project: &ProjectId, image: &ImageId) -> Answer<Release> {
        let call = self.request(
            Method::DELETE,
            routes::FORCE_RELEASE,
            &[project.as_str(), image.as_str()],
            &[],
        );
        self.json(call.timeout(LOCK_TIMEOUT)).await
    }

    async fn locks(&self, project: &ProjectId) -> Answer<LockList> {
        self.json(self.get(routes::LOCKS, &[project.as_str()]).timeout(LOCK_TIMEOUT))
            .await
    }

    async fn lock_status(&self, project: &ProjectId, image: &ImageId) -> Answer<Option<Lock>> {
        let call = self.get(routes::LOCK_STATUS, &[project.as_str(), image.as_str()]);
        self.json(call.timeout(LOCK_TIMEOUT)).await
    }

    async fn create(&self, request: CreateAnnotation, context: SaveContext) -> Answer<Saved> {
        let call = self
            .request(Method::POST, routes::ANNOTATIONS, &[], &[])
            .json(&request);
        self.json(with_context(call, &context)).await
    }

    async fn update(
        &self,
        id: &AnnotationId,
        request: UpdateAnnotation,
        context: SaveContext,
    ) -> Answer<Saved> {
        let call = self
            .request(Method::PUT, routes::ANNOTATION, &[id.as_str()], &[])
            .json(&request);
        self.json(with_context(call, &context)).await
    }

    async fn delete(&self, id: &AnnotationId, version: Version, context: SaveContext) -> Answer<Removed> {
        let query = [("version", version.to_string())];
        let call = self.request(Method::DELETE, routes::ANNOTATION, &[id.as_str()], &query);
        self.json(with_context(call, &context)).await
    }

    async fn changes(&self, project: &ProjectId, since: Cursor, limit: u32) -> Answer<ChangePage> {
        let query = [("since", since.to_string()), ("limit", limit.to_string())];
        self.json(self.request(Method::GET, routes::CHANGES, &[project.as_str()], &query))
            .await
    }

    async fn events(&self, project: &ProjectId) -> Answer<BoxStream<'static, ServerEvent>> {
        let url = self.url(&routes::path(routes::EVENTS, &[project.as_str()]), &[]);
        // No time limit on the whole: the answer is meant to last. Its head is waited for below.
        let request = self.http.get(url).header("accept", "text/event-stream");
        let response = tokio::time::timeout(CALL_TIMEOUT, self.send(request))
            .await
            .map_err(|_| ApiError::Network("no event stream in time".to_owned()))??;
        let is_stream = response
            .headers()
            .get("content-type")
            .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        if !response.status().is_success() || !is_stream {
            return match read_json::<serde_json::Value>(response).await {
                Err(error) => Err(error),
                Ok(_) => Err(ApiError::Network("no event stream".to_owned())),
            };
        }
        let parts = response.bytes_stream().eventsource();
        let parts = futures::stream::unfold(Box::pin(parts), async |mut parts| {
            let next = tokio::time::timeout(EVENTS_SILENCE, parts.next()).await.ok()??;
            Some((next.ok()?, parts))
        });
        Ok(parts
            .filter_map(async |event| read_event(&event.event, &event.data))
            .boxed())
    }
}

/// One server-sent event; `None` for what a newer server says and this client does not know.
fn read_event(name: &str, data: &str) -> Option<ServerEvent> {
    let data: serde_json::Value = serde_json::from_str(data).ok()?;
    serde_json::from_value(serde_json::json!({"event": name, "data": data})).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct NoKeychain;
    impl Keychain for NoKeychain {
        fn read(&self, _: &str) -> Result<Option<String>, String> {
            Ok(None)
        }
        fn write(&self, _: &str, _: &str) -> Result<(), String> {
            Ok(())
        }
        fn delete(&self, _: &str) -> Result<(), String> {
            Ok(())
        }
    }

    #[test]
    fn a_server_may_live_below_a_path_and_an_image_id_stays_encoded() {
        let server = Url::parse("http://localhost:8787/lockstep/").expect("an address");
        let api = HttpApi::new(server, Arc::new(NoKeychain), None).expect("a client");
        let url = api.url(
            &routes::path(routes::LOCK, &["p", "a/b ü"]),
            &[("generation", "3".to_owned())],
        );
        assert_eq!(
            url.as_str(),
            "http://localhost:8787/lockstep/api/v1/image-locks/p/a%2Fb%20%C3%BC?generation=3"
        );
    }

    #[test]
    fn an_event_is_read_by_its_name_and_an_unknown_one_is_passed_over() {
        assert_eq!(
            read_event("changes", r#"{"cursor": 7}"#),
            Some(ServerEvent::Changes { cursor: Cursor(7) })
        );
        assert_eq!(read_event("weather", "{}"), None);
    }
}
