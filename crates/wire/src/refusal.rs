//! Every way the server says no, its status, and what a client may learn from it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{Annotation, Lock, LockLoss, User, UserId, Version};

/// Who saved the version that is in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Author {
    /// The account.
    pub user_id: UserId,
    /// As colleagues see it.
    pub user_name: String,
}

impl From<User> for Author {
    fn from(user: User) -> Self {
        Self {
            user_id: user.id,
            user_name: user.name,
        }
    }
}

/// A refusal by its code. A code exists only where someone branches on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "error", rename_all = "snake_case")]
pub enum Refusal {
    /// 409: the save was based on another version than the stored one.
    Conflict {
        /// The stored one's.
        current_version: Version,
        /// What the save named.
        your_version: Version,
        /// When the stored one was saved.
        last_updated_at: DateTime<Utc>,
        /// By whom.
        last_updated_by: Author,
        /// The stored one; `null` when it was deleted.
        current: Option<Box<Annotation>>,
        /// The stored one is a tombstone.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        deleted: bool,
    },
    /// 423: someone else's lock, or another window's.
    ImageLocked {
        /// The holder.
        locked_by: Box<Lock>,
    },
    /// 423: the caller's lock is no more.
    LockExpired {
        /// How it ended.
        reason: LockLoss,
        /// Who ended it, where someone did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Author>,
        /// When it ended, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<DateTime<Utc>>,
    },
    /// 410: it was deleted.
    Gone,
    /// 422: not a request of this contract.
    Invalid,
    /// 422: the idempotency key was used for something else.
    KeyReused,
    /// 401: sign in.
    Unauthorized,
    /// 403: not allowed.
    Forbidden,
    /// 404: no such thing, or not for the caller to know of.
    NotFound,
    /// 405: there is something at this address, but not to be had this way.
    MethodNotAllowed,
    /// 413: larger than the server takes.
    TooLarge,
    /// 416: the bytes end before the range begins.
    OutOfRange,
    /// 429: too often; see `Retry-After`.
    TooManyRequests {
        /// Seconds; the header says the same.
        #[serde(default)]
        retry_after: u64,
    },
    /// 503: not now; see `Retry-After`.
    Unavailable,
    /// 500: the server's own fault.
    Internal,
}

impl Refusal {
    /// The HTTP status this is sent with.
    pub fn status(&self) -> u16 {
        match self {
            Self::Conflict { .. } => 409,
            Self::ImageLocked { .. } | Self::LockExpired { .. } => 423,
            Self::Gone => 410,
            Self::Invalid | Self::KeyReused => 422,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::TooLarge => 413,
            Self::OutOfRange => 416,
            Self::TooManyRequests { .. } => 429,
            Self::Unavailable => 503,
            Self::Internal => 500,
        }
    }

    /// The code, as in the body's field `error`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Conflict { .. } => "conflict",
            Self::ImageLocked { .. } => "image_locked",
            Self::LockExpired { .. } => "lock_expired",
            Self::Gone => "gone",
            Self::Invalid => "invalid",
            Self::KeyReused => "key_reused",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::TooLarge => "too_large",
            Self::OutOfRange => "out_of_range",
            Self::TooManyRequests { .. } => "too_many_requests",
            Self::Unavailable { .. } => "unavailable",
            Self::Internal => "internal",
        }
    }

    /// With a sentence for a person.
    pub fn because(self, message: impl Into<String>) -> RefusalDetail {
        RefusalDetail {
            refusal: self,
            message: message.into(),
        }
    }
}

/// A refusal with its sentence for a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[error("{message}")]
pub struct RefusalDetail {
    /// What code branches on.
    #[serde(flatten)]
    pub refusal: Refusal,
    /// What people read.
    pub message: String,
}

/// The body of every error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RefusalBody {
    /// The refusal.
    pub detail: RefusalDetail,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_refusal_is_written_as_the_contract_says() {
        let body = RefusalBody {
            detail: Refusal::Forbidden.because("Only the owner may do this."),
        };
        let expected = json!({"detail": {"error": "forbidden", "message": "Only the owner may do this."}});
        assert_eq!(serde_json::to_value(&body).expect("JSON"), expected);
        assert_eq!(
            serde_json::from_value::<RefusalBody>(expected).expect("a refusal"),
            body
        );
    }

    #[test]
    fn a_refusals_code_is_what_its_body_says() {
        for code in [
            "lock_expired",
            "gone",
            "invalid",
            "key_reused",
            "unauthorized",
            "forbidden",
            "not_found",
            "method_not_allowed",
            "too_large",
            "too_many_requests",
            "unavailable",
            "internal",
        ] {
            let body = json!({"error": code, "reason": "forced", "retry_after": 1});
            let refusal: Refusal = serde_json::from_value(body).expect("a refusal");
            assert_eq!(refusal.code(), code);
        }
    }

    #[test]
    fn a_portals_page_is_no_refusal() {
        assert!(serde_json::from_str::<RefusalBody>("<html>").is_err());
        assert!(serde_json::from_str::<RefusalBody>(r#"{"detail": "Not Found"}"#).is_err());
    }
}
