//! The service's outcomes as HTTP answers.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lockstep_wire::{ApiError, Refusal, RefusalBody, RefusalDetail};
use serde::Serialize;

use super::entry::Refused;

/// Why a request has no answer of the kind it asked for.
pub(super) struct Failed(ApiError);

/// What a handler returns.
pub(super) type Answered<T = Response> = Result<T, Failed>;

impl From<ApiError> for Failed {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl From<RefusalDetail> for Failed {
    fn from(refusal: RefusalDetail) -> Self {
        Self(refusal.into())
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        match self.0 {
            ApiError::Refused(refusal) => refused(refusal),
            ApiError::Later { retry_after } => later(
                Refusal::Unavailable.because("The server is busy; please try again."),
                retry_after.as_secs(),
            ),
            // Only a client has a network to fail.
            ApiError::Network(_) => refused(Refusal::Internal.because("Something went wrong on the server.")),
        }
    }
}

/// A JSON body with 201.
pub(super) struct Created<T>(pub(super) T);

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, Json(self.0)).into_response()
    }
}

/// A refusal under its status.
pub(super) fn refused(detail: RefusalDetail) -> Response {
    match detail.refusal {
        Refusal::TooManyRequests { retry_after } => later(detail, retry_after),
        Refusal::Unavailable => later(detail, 1),
        _ => bare(detail),
    }
}

fn later(detail: RefusalDetail, seconds: u64) -> Response {
    let mut response = bare(detail);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    response
}

fn bare(detail: RefusalDetail) -> Response {
    let status = StatusCode::from_u16(detail.refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let left = Refused {
        error: detail.refusal.code(),
        fault: status.is_server_error().then(|| detail.clone()),
    };
    let mut response = (status, Json(RefusalBody { detail })).into_response();
    response.extensions_mut().insert(left);
    response
}
