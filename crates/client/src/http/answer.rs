//! Reading an answer: the value, the contract's refusal, or a network failure. There is no fourth.

use std::time::Duration;

use bytes::Bytes;
use lockstep_wire::{Answer, ApiError, Refusal, RefusalBody};
use reqwest::{Response, StatusCode};
use serde::de::DeserializeOwned;

/// When the server says "later" without saying when.
const LATER_DEFAULT: Duration = Duration::from_secs(5);
/// No one waits longer because a header said so.
const LATER_MOST: Duration = Duration::from_secs(600);

/// A failed request, without its address: that may hold what people typed.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(super) fn network(error: reqwest::Error) -> ApiError {
    let what = if error.is_timeout() {
        "timed out"
    } else if error.is_connect() {
        "cannot connect"
    } else {
        "connection failed"
    };
    ApiError::Network(what.to_owned())
}

/// A JSON answer of the contract.
pub(super) async fn read_json<T: DeserializeOwned>(response: Response) -> Answer<T> {
    let status = response.status();
    let later = retry_after(&response);
    let body = response.bytes().await.map_err(network)?;
    if status.is_success() {
        serde_json::from_slice(&body).map_err(|_| not_ours(status))
    } else {
        Err(decide_failure(status, later, &body))
    }
}

/// A picture's bytes.
pub(super) async fn read_bytes(response: Response) -> Answer<Bytes> {
    let status = response.status();
    let later = retry_after(&response);
    let is_page = response
        .headers()
        .get("content-type")
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/"));
    let body = response.bytes().await.map_err(network)?;
    if status == StatusCode::OK && !is_page {
        Ok(body)
    } else if status.is_success() {
        Err(not_ours(status))
    } else {
        Err(decide_failure(status, later, &body))
    }
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response
        .headers()
        .get("retry-after")?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds).min(LATER_MOST))
}

/// What an answer without success means.
fn decide_failure(status: StatusCode, later: Option<Duration>, body: &[u8]) -> ApiError {
    let refusal = serde_json::from_slice::<RefusalBody>(body)
        .ok()
        .map(|body| body.detail);
    let refusal = refusal.filter(|detail| detail.refusal.status() == status.as_u16());
    let is_busy = matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    );
    match (refusal, later) {
        // A proxy before the server may say "later" in its own words; the header is the contract's.
        (_, Some(retry_after)) if is_busy => ApiError::Later { retry_after },
        (Some(detail), _) => match detail.refusal {
            Refusal::TooManyRequests { .. } | Refusal::Unavailable => ApiError::Later {
                retry_after: LATER_DEFAULT,
            },
            // The server's own fault says nothing about the request: it may be sent again.
            Refusal::Internal => ApiError::Network("the server failed".to_owned()),
            _ => ApiError::Refused(detail),
        },
        (None, _) => not_ours(status),
    }
}

fn not_ours(status: StatusCode) -> ApiError {
    ApiError::Network(format!(
        "an answer of status {} that is not this contract's",
        status.as_u16()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(status: u16, later: Option<u64>, body: &str) -> ApiError {
        decide_failure(
            StatusCode::from_u16(status).expect("a status"),
            later.map(Duration::from_secs),
            body.as_bytes(),
        )
    }

    #[test]
    fn e32_what_is_not_the_contracts_is_a_network_failure() {
        for (status, body) in [
            (401, "<html>Please pay</html>"),
            (403, r#"{"detail": "Forbidden"}"#),
            (
                409,
                r#"{"detail": {"error": "forbidden", "message": "another status"}}"#,
            ),
            (302, ""),
            (502, "Bad gateway"),
        ] {
            assert!(
                matches!(failure(status, None, body), ApiError::Network(_)),
                "{status} {body}"
            );
        }
    }

    #[test]
    fn a_refusal_with_its_own_status_is_one() {
        let refused = failure(
            403,
            None,
            r#"{"detail": {"error": "forbidden", "message": "No."}}"#,
        );
        assert_eq!(refused, ApiError::Refused(Refusal::Forbidden.because("No.")));
    }

    #[test]
    fn e33_later_is_read_from_the_header() {
        assert_eq!(
            failure(503, Some(7), ""),
            ApiError::Later {
                retry_after: Duration::from_secs(7)
            }
        );
        let body = r#"{"detail": {"error": "too_many_requests", "message": "Slow down."}}"#;
        assert_eq!(
            failure(429, None, body),
            ApiError::Later {
                retry_after: LATER_DEFAULT
            }
        );
        assert!(matches!(failure(503, None, "<html>"), ApiError::Network(_)));
    }
}
