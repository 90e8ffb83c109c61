//! Who someone is, and the tokens that show it.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::UserId;

/// A person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
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

/// `POST /auth/refresh` and `POST /auth/logout`.
#[derive(Clone, Serialize, Deserialize)]
pub struct RefreshRequest {
    /// The newest one this session was given.
    pub refresh_token: String,
}

/// What a sign-in or a refresh is answered with.
#[derive(Clone, Serialize, Deserialize)]
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
