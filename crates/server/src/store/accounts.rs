//! Who may sign in, and what the server knows of itself.

use chrono::Duration;
use lockstep_wire::User;

/// What a database is told apart from all others by.
#[derive(Clone)]
pub struct Identity {
    /// Changes when the data came back from a backup.
    pub data_epoch: String,
    /// Signs access tokens; shared by every server on this database.
    pub signing_key: Vec<u8>,
}

/// An account to be made.
#[derive(Clone)]
pub struct NewUser {
    /// What one signs in with.
    pub email: String,
    /// As colleagues see it.
    pub name: String,
    /// argon2id, as a PHC string.
    pub password_hash: String,
    /// May administer the server.
    pub admin: bool,
}

/// An account as sign-in needs it.
#[derive(Clone)]
pub struct Account {
    /// Whose it is.
    pub user: User,
    /// argon2id, as a PHC string.
    pub password_hash: String,
}

/// SHA-256 of a refresh token; the token itself is never stored.
pub type TokenHash = [u8; 32];

/// How long after its first use a refresh token is honoured once more: an answer may be lost, but a token that turns up
/// later than any retry would is a stolen one.
pub(crate) const REUSE_GRACE: Duration = Duration::seconds(60);
