//! Who may sign in, and what the server knows of itself.

use std::time::Duration;

use lockstep_wire::{TokenId, TokenScope, User, UserId};

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

/// SHA-256 of a token; the token itself is never stored.
pub type TokenHash = [u8; 32];

/// One sign-in, from the password to the sign-out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId(pub i64);

/// What shows who someone is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Credential {
    /// An access token of a session.
    Session(SessionId),
    /// A token made for a script.
    ApiToken(TokenId),
}

/// A token for a script, to be made.
#[derive(Clone)]
pub struct NewApiToken {
    /// Whose.
    pub user: UserId,
    /// Of the token.
    pub hash: TokenHash,
    /// What it is for.
    pub name: String,
    /// What it may be used for.
    pub scope: TokenScope,
    /// How long it is good for; for ever when there is none.
    pub lifetime: Option<Duration>,
}

/// A script's token that is good right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GoodToken {
    /// Which.
    pub id: TokenId,
    /// Whose.
    pub user: UserId,
    /// What it may be used for.
    pub scope: TokenScope,
    /// How long it will still be good, if not for ever.
    pub expires_in: Option<Duration>,
}

/// How long after its first use a refresh token is honoured once more: an answer may be lost, but a token that turns up
/// later than any retry would is a stolen one.
const REUSE_GRACE: Duration = Duration::from_secs(60);

/// Whether a refresh token is taken: the first time, unless what was given in its stead was used; and once more within the
/// grace, unless what it was exchanged for was used.
pub(crate) fn honours(first_used: Option<Duration>, uses: i64, overtaken: bool, rivalled: bool) -> bool {
    match first_used {
        None => !rivalled,
        Some(ago) => uses < 2 && ago <= REUSE_GRACE && !overtaken,
    }
}

/// How exactly a token's last use is known. Writing down every use would make every read a write.
pub(crate) const USE_NOTED_EVERY: Duration = Duration::from_secs(60);

/// How long ended sessions and deleted tokens are remembered: longer than any access token lives.
pub(crate) const ENDED_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_token_is_honoured_once_more_within_a_minute_while_its_successor_is_unused() {
        let ago = |seconds| Some(Duration::from_secs(seconds));
        assert!(honours(None, 0, false, false), "the first time");
        assert!(honours(ago(60), 1, false, false), "the answer may have been lost");
        assert!(!honours(ago(61), 1, false, false), "no retry comes so late");
        assert!(!honours(ago(1), 2, false, false), "once more, not twice");
        assert!(!honours(ago(1), 1, true, false), "the answer was not lost");
        assert!(!honours(None, 0, false, true), "two go on from one token");
    }
}
