//! What a request says, or the contract's refusal when it cannot be read.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use axum::body::Bytes;
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use lockstep_wire::ids::IdFault;
use lockstep_wire::{
    ClientId, Cursor, Generation, IdempotencyKey, Refusal, RefusalDetail, SaveContext, UserId, routes,
};
use serde::de::DeserializeOwned;

use super::Server;
use super::answer::Failed;
use super::entry::note_user;
use crate::service::{Bearer, Intent, SessionId};

/// Larger than any annotation drawn by hand; masks of huge images are the largest.
pub(super) const JSON_LIMIT: usize = 16 << 20;

/// Readers of JSON give up at 128 levels, and an answer wraps what was sent in a few of its own: one deeper annotation
/// would keep everyone from reading its image.
const DEEPEST: usize = 64;

fn invalid(message: impl Into<String>) -> RefusalDetail {
    Refusal::Invalid.because(message)
}

async fn bearer(parts: &Parts, server: &Server) -> Result<Bearer, Failed> {
    let header = parts
        .headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let token = header.and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    });
    let token = token.ok_or_else(|| Refusal::Unauthorized.because("Please sign in."))?;
    let intent = match parts.method {
        Method::GET | Method::HEAD => Intent::Look,
        _ => Intent::Change,
    };
    let bearer = server.service.authenticate(token, intent).await?;
    note_user(bearer.user);
    Ok(bearer)
}

/// Whoever the token was given to.
pub(super) struct Caller(pub(super) UserId);

impl FromRequestParts<Server> for Caller {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Self, Failed> {
        Ok(Self(bearer(parts, server).await?.user))
    }
}

/// A caller who stays: with the token, which may end before he goes.
pub(super) struct Listener(pub(super) Bearer);

impl FromRequestParts<Server> for Listener {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Self, Failed> {
        bearer(parts, server).await.map(Self)
    }
}

/// A caller who signed in himself, at his own account: a script's token does not open it.
pub(super) struct AtHome(pub(super) UserId, pub(super) SessionId);

impl FromRequestParts<Server> for AtHome {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Self, Failed> {
        let bearer = bearer(parts, server).await?;
        Ok(Self(bearer.user, bearer.session()?))
    }
}

/// Where a request comes from, as far as that can be known.
pub(super) struct ClientAddress(pub(super) Option<IpAddr>);

impl FromRequestParts<Server> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let said = parts.headers.get_all("x-forwarded-for").iter();
        let said: Vec<&str> = said.filter_map(|value| value.to_str().ok()).collect();
        let trusted = &server.service.settings().trusted_proxies;
        Ok(Self(peer.map(|peer| {
            client_address(peer.0.ip(), &said.join(","), trusted)
        })))
    }
}

/// Each proxy writes behind the last comma whom it was asked by; only what a trusted one wrote is believed.
fn client_address(peer: IpAddr, forwarded_for: &str, trusted: &[IpAddr]) -> IpAddr {
    let mut address = peer.to_canonical();
    let mut said = forwarded_for.rsplit(',');
    while trusted.contains(&address) {
        let Some(before) = said.next().and_then(|text| read_address(text.trim())) else {
            break;
        };
        address = before.to_canonical();
    }
    address
}

/// With a port or without.
fn read_address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let alone = bare.unwrap_or(text).parse();
    alone
        .or_else(|_| text.parse().map(|with_port: SocketAddr| with_port.ip()))
        .ok()
}

/// A JSON body.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Server> for Body<T> {
    type Rejection = Failed;

    async fn from_request(request: Request, server: &Server) -> Result<Self, Failed> {
        parse(&bytes(request, server).await?).map(Self)
    }
}

/// A JSON body that may be left out.
pub(super) struct OptionalBody<T>(pub(super) T);

impl<T: DeserializeOwned + Default> FromRequest<Server> for OptionalBody<T> {
    type Rejection = Failed;

    async fn from_request(request: Request, server: &Server) -> Result<Self, Failed> {
        let bytes = bytes(request, server).await?;
        if bytes.trim_ascii().is_empty() {
            return Ok(Self(T::default()));
        }
        parse(&bytes).map(Self)
    }
}

async fn bytes(request: Request, server: &Server) -> Result<Bytes, Failed> {
    Ok(Bytes::from_request(request, server)
        .await
        .map_err(|rejection| unreadable(rejection.status(), rejection.body_text()))?)
}

/// Of a body that did not arrive whole.
pub(super) fn unreadable(status: StatusCode, why: String) -> RefusalDetail {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Refusal::TooLarge.because("The request is larger than this server takes.")
        }
        _ => invalid(why),
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failed> {
    // serde would take a list of a struct's fields in their order for the struct.
    if bytes
        .trim_ascii_start()
        .first()
        .is_some_and(|first| *first != b'{')
    {
        return Err(invalid("The request cannot be read: it is no JSON object.").into());
    }
    if has_nul(bytes) {
        return Err(invalid("The request has a text with a NUL in it.").into());
    }
    if depth(bytes) > DEEPEST {
        let message = format!("The request is nested deeper than {DEEPEST} levels.");
        return Err(invalid(message).into());
    }
    Ok(serde_json::from_slice(bytes)
        .map_err(|fault| invalid(format!("The request cannot be read: {fault}.")))?)
}

/// Whether a JSON text has a string with a NUL in it: no name has one, and PostgreSQL keeps none.
fn has_nul(json: &[u8]) -> bool {
    let mut escaped = false;
    json.iter().enumerate().any(|(place, byte)| {
        let found = escaped && json[place..].starts_with(b"u0000");
        escaped = !escaped && *byte == b'\\';
        found
    })
}

/// Of lists and objects within each other in a JSON text.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut quoted, mut escaped) = (false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// The placeholders of the route, in order.
pub(super) struct At<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Server> for At<T> {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Self, Failed> {
        let path = Path::<T>::from_request_parts(parts, server).await;
        let Path(path) = path.map_err(|rejection| invalid(rejection.body_text()))?;
        Ok(Self(path))
    }
}

/// What is behind the question mark.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Server> for Asked<T> {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Self, Failed> {
        if parts.uri.query().is_some_and(|query| query.contains("%00")) {
            return Err(invalid("The address has a text with a NUL in it.").into());
        }
        let query = Query::<T>::from_request_parts(parts, server).await;
        let Query(query) = query.map_err(|rejection| invalid(rejection.body_text()))?;
        Ok(Self(query))
    }
}

/// What a write carries in its headers.
pub(super) struct Context(pub(super) SaveContext);

impl FromRequestParts<Server> for Context {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, _: &Server) -> Result<Self, Failed> {
        let key = header(parts, routes::IDEMPOTENCY_KEY)?.map(IdempotencyKey::try_from);
        let client_id = header(parts, routes::CLIENT_ID)?.map(ClientId::try_from);
        let generation = match header(parts, routes::LOCK_GENERATION)? {
            None => None,
            Some(number) => {
                let fault = |_| {
                    invalid(format!(
                        "The header {} is not a whole number.",
                        routes::LOCK_GENERATION
                    ))
                };
                Some(Generation(number.parse().map_err(fault)?))
            }
        };
        let named =
            |name: &'static str| move |fault: IdFault| invalid(format!("The header {name}: {fault}."));
        Ok(Self(SaveContext {
            key: key.transpose().map_err(named(routes::IDEMPOTENCY_KEY))?,
            generation,
            client_id: client_id.transpose().map_err(named(routes::CLIENT_ID))?,
        }))
    }
}

fn header(parts: &Parts, name: &str) -> Result<Option<String>, RefusalDetail> {
    match parts.headers.get(name).map(|value| value.to_str()) {
        None => Ok(None),
        Some(Ok(text)) => Ok(Some(text.trim().to_owned())),
        Some(Err(_)) => Err(invalid(format!("The header {name} cannot be read."))),
    }
}

/// Of the last event that was heard. One that cannot be read is none: the stream then says where the feed is.
pub(super) struct LastHeard(pub(super) Option<Cursor>);

impl FromRequestParts<Server> for LastHeard {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Server) -> Result<Self, Infallible> {
        let id = parts.headers.get("last-event-id");
        Ok(Self(id.and_then(|id| id.to_str().ok()?.parse().ok()).map(Cursor)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_a_text_are_no_levels() {
        for (json, expected) in [
            ("1", 0),
            ("{}", 1),
            (r#"[[], {"a": [1]}]"#, 3),
            (r#"{"a": "[[[\"[[["}"#, 1),
            (r#"{"a\\": [[]]}"#, 3),
            ("]]][[", 2),
        ] {
            assert_eq!(depth(json.as_bytes()), expected, "{json}");
        }
    }

    #[test]
    fn an_address_is_believed_from_a_trusted_proxy_alone() {
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        let client = |peer: &str, said: &str, trusted: &[&str]| {
            let trusted: Vec<IpAddr> = trusted.iter().map(|one| address(one)).collect();
            client_address(address(peer), said, &trusted).to_string()
        };
        let (proxy, inner) = ("10.0.0.1", "10.0.0.2");
        assert_eq!(
            client("192.0.2.7", "203.0.113.5", &[]),
            "192.0.2.7",
            "anyone can write that"
        );
        assert_eq!(
            client("192.0.2.7", "203.0.113.5", &[proxy]),
            "192.0.2.7",
            "so can whoever goes round it"
        );
        assert_eq!(client(proxy, "203.0.113.5", &[proxy]), "203.0.113.5");
        assert_eq!(
            client(proxy, "198.51.100.1, 203.0.113.5", &[proxy]),
            "203.0.113.5",
            "what the client itself wrote is before the comma"
        );
        assert_eq!(
            client(inner, "203.0.113.5, 10.0.0.1", &[proxy, inner]),
            "203.0.113.5"
        );
        assert_eq!(client(proxy, "", &[proxy]), proxy);
        assert_eq!(client(proxy, "unknown", &[proxy]), proxy);
        assert_eq!(client(proxy, "203.0.113.5:4711", &[proxy]), "203.0.113.5");
        assert_eq!(client(proxy, "[2001:db8::1]:4711", &[proxy]), "2001:db8::1");
        assert_eq!(client(proxy, "[2001:db8::1]", &[proxy]), "2001:db8::1");
        assert_eq!(client("::ffff:10.0.0.1", "203.0.113.5", &[proxy]), "203.0.113.5");
    }
}
