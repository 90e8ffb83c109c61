//! Where everything is. The server's router and the client's requests both read from here, so that a
//! misspelt endpoint does not compile.

/// Every route is below this.
pub const BASE: &str = "/api/v1";

/// Header: which write this is, however often it is sent.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Header: the generation of the lock the write was made under.
pub const LOCK_GENERATION: &str = "x-lock-generation";
/// Header: which window writes.
pub const CLIENT_ID: &str = "x-client-id";

/// `GET`: the server runs. Not below [`BASE`].
pub const HEALTHZ: &str = "/healthz";
/// `GET`: and its database answers. Not below [`BASE`].
pub const READYZ: &str = "/readyz";
/// `GET`: its numbers. Not below [`BASE`].
pub const METRICS: &str = "/metrics";

/// `GET`: all of this, for programs.
pub const OPENAPI: &str = "/openapi.json";
/// `GET`
pub const META: &str = "/meta";
/// `POST`
pub const LOGIN: &str = "/auth/login";
/// `POST`
pub const REFRESH: &str = "/auth/refresh";
/// `POST`
pub const LOGOUT: &str = "/auth/logout";
/// `GET`
pub const ME: &str = "/auth/me";
/// `POST`
pub const PASSWORD: &str = "/auth/password";
/// `GET`, `POST`
pub const TOKENS: &str = "/auth/tokens";
/// `DELETE`
pub const TOKEN: &str = "/auth/tokens/{tid}";
/// `POST`
pub const ACQUIRE: &str = "/image-locks/acquire";
/// `GET`
pub const LOCKS: &str = "/image-locks/{pid}";
/// `DELETE`
pub const LOCK: &str = "/image-locks/{pid}/{iid}";
/// `POST`
pub const HEARTBEAT: &str = "/image-locks/{pid}/{iid}/heartbeat";
/// `GET`
pub const LOCK_STATUS: &str = "/image-locks/{pid}/{iid}/status";
/// `DELETE`
pub const FORCE_RELEASE: &str = "/image-locks/{pid}/{iid}/force";
/// `GET`, `POST`
pub const PROJECTS: &str = "/projects";
/// `GET`, `POST`
pub const MEMBERS: &str = "/projects/{pid}/members";
/// `PATCH`, `DELETE`
pub const MEMBER: &str = "/projects/{pid}/members/{uid}";
/// `GET`, `POST`
pub const LABELS: &str = "/projects/{pid}/labels";
/// `PATCH`, `DELETE`
pub const LABEL: &str = "/projects/{pid}/labels/{lid}";
/// `GET`, `POST`
pub const IMAGES: &str = "/projects/{pid}/images";
/// `DELETE`
pub const IMAGE: &str = "/projects/{pid}/images/{iid}";
/// `GET`
pub const CONTENT: &str = "/projects/{pid}/images/{iid}/content";
/// `GET`
pub const THUMBNAIL: &str = "/projects/{pid}/images/{iid}/thumbnail";
/// `GET`
pub const IMAGE_ANNOTATIONS: &str = "/projects/{pid}/images/{iid}/annotations";
/// `POST`
pub const BATCH: &str = "/projects/{pid}/images/{iid}/annotations/batch";
/// `GET`
pub const CHANGES: &str = "/projects/{pid}/changes";
/// `GET`
pub const EVENTS: &str = "/projects/{pid}/events";
/// `POST`
pub const ANNOTATIONS: &str = "/annotations";
/// `PUT`, `DELETE`
pub const ANNOTATION: &str = "/annotations/{aid}";
/// `GET`
pub const HISTORY: &str = "/annotations/{aid}/history";

/// The path of `route`, its `{…}` filled in order and percent-encoded.
pub fn path(route: &str, parts: &[&str]) -> String {
    let mut filled = String::from(BASE);
    let mut parts = parts.iter();
    for segment in route.split('/').skip(1) {
        filled.push('/');
        if segment.starts_with('{') {
            encode_into(
                &mut filled,
                parts.next().expect("a part for each placeholder of the route"),
            );
        } else {
            filled.push_str(segment);
        }
    }
    filled
}

/// A text as a part of a path, or as a parameter of a header.
pub fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    encode_into(&mut encoded, text);
    encoded
}

/// RFC 3986: all but the unreserved characters.
fn encode_into(out: &mut String, part: &str) {
    use std::fmt::Write as _;
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte.into());
        } else {
            write!(out, "%{byte:02X}").expect("writing to a string cannot fail");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_images_id_may_hold_anything() {
        assert_eq!(
            path(LOCK, &["p", "a/b ü.jpg"]),
            "/api/v1/image-locks/p/a%2Fb%20%C3%BC.jpg"
        );
    }
}
