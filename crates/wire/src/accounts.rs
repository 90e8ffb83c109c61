//! Who someone is, and the tokens that show it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{TokenId, UserId};

/// A person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct User {
    /// The account.
    pub id: UserId,
    /// As colleagues see it.
    pub name: String,
    /// What one signs in with.
    pub email: String,
}

/// `POST /auth/login`.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LoginRequest {
    /// What one signs in with.
    pub email: String,
    /// Never stored, never logged.
    pub password: String,
}

impl std::fmt::Debug for LoginRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LoginRequest(…)")
    }
}

/// `POST /auth/refresh`.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RefreshRequest {
    /// The newest one this session was given.
    pub refresh_token: String,
}

/// `POST /auth/logout`.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogoutRequest {
    /// One that this session was given.
    pub refresh_token: String,
    /// Ends every session of the account, not this one alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub everywhere: bool,
}

/// `POST /auth/password`.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PasswordChange {
    /// As it is.
    pub old_password: String,
    /// As it shall be.
    pub new_password: String,
}

/// What a token may be used for; the user's own roles bound it as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum TokenScope {
    /// Looking.
    ReadOnly,
    /// Whatever its user may do in his projects.
    ReadWrite,
}

/// `POST /auth/tokens`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewToken {
    /// What it is for, as its owner will know it again.
    pub name: String,
    /// Looking alone, when left out.
    #[serde(default = "NewToken::least")]
    pub scope: TokenScope,
    /// Seconds until it lapses; never, when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u64>,
}

impl NewToken {
    fn least() -> TokenScope {
        TokenScope::ReadOnly
    }
}

/// A token made for a script, as it is listed: without the token itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApiToken {
    /// What it is deleted by.
    pub id: TokenId,
    /// What it is for.
    pub name: String,
    /// What it may be used for.
    pub scope: TokenScope,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it lapses, where it does.
    pub expires_at: Option<DateTime<Utc>>,
    /// To the minute; `null` as long as it was not used.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// What `POST /auth/tokens` is answered with.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MadeToken {
    /// For `Authorization: Bearer`. It is shown here and never again.
    pub token: String,
    /// What is known of it.
    #[serde(flatten)]
    pub about: ApiToken,
}

/// What a sign-in or a refresh is answered with.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Tokens {
    /// For `Authorization: Bearer`, for [`Tokens::expires_in`] seconds.
    pub access_token: String,
    /// For one refresh.
    pub refresh_token: String,
    /// Always `bearer`.
    pub token_type: String,
    /// Seconds.
    pub expires_in: u64,
    /// Whose they are.
    pub user: User,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokens(of user {})", self.user.id)
    }
}
