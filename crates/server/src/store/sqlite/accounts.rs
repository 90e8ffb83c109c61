//! Accounts, sessions and the server's own row.

use std::time::Duration;

use chrono::{DateTime, Utc};
use lockstep_wire::{ApiToken, TokenId, TokenScope, User, UserId};
use rusqlite::{
    Connection, OptionalExtension as _, Params, Row, Transaction, TransactionBehavior, named_params, params,
};

use super::clock::{Millis, now};
use crate::store::accounts::{USE_NOTED_EVERY, honours};
use crate::store::names::{from_name, to_name};
use crate::store::{
    Account, Added, Credential, GoodToken, Identity, NewApiToken, NewUser, SessionId, TokenHash,
};

/// Gives a new database its epoch and key.
pub(super) fn ensure_identity(connection: &mut Connection) -> anyhow::Result<()> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut signing_key = [0; 32];
    getrandom::fill(&mut signing_key)?;
    tx.execute(
        "INSERT INTO server (one, data_epoch, signing_key, alive_at) VALUES (1, ?1, ?2, ?3) ON CONFLICT DO NOTHING",
        params![uuid::Uuid::now_v7().to_string(), signing_key, Millis(now(&tx)?)],
    )?;
    Ok(tx.commit()?)
}

pub(super) fn identity(tx: &Transaction) -> anyhow::Result<Identity> {
    Ok(
        tx.query_row("SELECT data_epoch, signing_key FROM server", [], |row| {
            Ok(Identity {
                data_epoch: row.get(0)?,
                signing_key: row.get(1)?,
            })
        })?,
    )
}

pub(super) fn add_user(tx: &Transaction, user: &NewUser) -> anyhow::Result<Added<User>> {
    let added = tx.execute(
        "INSERT INTO users (email, name, password_hash, admin, created_at)
         VALUES (:email, :name, :hash, :admin, :now) ON CONFLICT (email) DO NOTHING",
        named_params! {
            ":email": user.email, ":name": user.name, ":hash": user.password_hash, ":admin": user.admin,
            ":now": Millis(now(tx)?),
        },
    )?;
    Ok(match added {
        0 => Added::Taken,
        _ => Added::New(User {
            id: UserId(tx.last_insert_rowid()),
            name: user.name.clone(),
            email: user.email.clone(),
        }),
    })
}

fn user_of(row: &Row) -> rusqlite::Result<User> {
    Ok(User {
        id: UserId(row.get("id")?),
        name: row.get("name")?,
        email: row.get("email")?,
    })
}

pub(super) fn account(tx: &Transaction, email: &str) -> anyhow::Result<Option<Account>> {
    let found = tx
        .prepare_cached("SELECT id, name, email, password_hash FROM users WHERE email = ?1")?
        .query_row([email], |row| {
            Ok(Account {
                user: user_of(row)?,
                password_hash: row.get("password_hash")?,
            })
        })
        .optional()?;
    Ok(found)
}

pub(super) fn user(tx: &Transaction, id: UserId) -> anyhow::Result<Option<User>> {
    Ok(tx
        .prepare_cached("SELECT id, name, email FROM users WHERE id = ?1")?
        .query_row([id.0], user_of)
        .optional()?)
}

pub(super) fn rehash_password(
    tx: &Transaction,
    user: UserId,
    before: &str,
    after: &str,
) -> anyhow::Result<()> {
    tx.execute(
        "UPDATE users SET password_hash = ?3 WHERE id = ?1 AND password_hash = ?2",
        params![user.0, before, after],
    )?;
    Ok(())
}

pub(super) fn set_password(
    tx: &Transaction,
    user: UserId,
    password_hash: &str,
    keep: Option<SessionId>,
) -> anyhow::Result<Vec<SessionId>> {
    tx.execute(
        "UPDATE users SET password_hash = ?2 WHERE id = ?1",
        params![user.0, password_hash],
    )?;
    end_sessions(
        tx,
        "user_id = ?2 AND id IS NOT ?3",
        params![Millis(now(tx)?), user.0, keep.map(|keep| keep.0)],
    )
}

pub(super) fn begin_session(
    tx: &Transaction,
    user: UserId,
    token: &TokenHash,
    lifetime: Duration,
) -> anyhow::Result<SessionId> {
    let now = now(tx)?;
    tx.execute(
        "INSERT INTO sessions (user_id, expires_at) VALUES (?1, ?2)",
        params![user.0, Millis(now + lifetime)],
    )?;
    let session = SessionId(tx.last_insert_rowid());
    tx.execute(
        "INSERT INTO refresh_tokens (hash, session_id) VALUES (?1, ?2)",
        params![token, session.0],
    )?;
    Ok(session)
}

pub(super) fn continue_session(
    tx: &Transaction,
    token: &TokenHash,
    next: &TokenHash,
    lifetime: Duration,
) -> anyhow::Result<Option<(SessionId, User)>> {
    let now = now(tx)?;
    let found = tx
        .query_row(
            "SELECT session_id, used_at, uses, user_id AS id, name, email,
                    EXISTS (SELECT 1 FROM refresh_tokens AS successors
                            WHERE successors.parent = one.hash AND successors.used_at IS NOT NULL) AS overtaken,
                    EXISTS (SELECT 1 FROM refresh_tokens AS siblings
                            WHERE siblings.parent = one.parent AND siblings.hash <> one.hash
                              AND siblings.used_at IS NOT NULL) AS rivalled
             FROM refresh_tokens AS one JOIN sessions ON sessions.id = session_id JOIN users ON users.id = user_id
             WHERE hash = ?1 AND expires_at > ?2 AND ended_at IS NULL",
            params![token, Millis(now)],
            |row| {
                let used_at: Option<Millis> = row.get("used_at")?;
                let past = (used_at, row.get("uses")?, row.get("overtaken")?, row.get("rivalled")?);
                Ok((SessionId(row.get("session_id")?), past, user_of(row)?))
            },
        )
        .optional()?;
    let Some((session, (used_at, uses, overtaken, rivalled), user)) = found else {
        return Ok(None);
    };
    let used = used_at.map(|used_at| (now - used_at.0).to_std().unwrap_or_default());
    if !honours(used, uses, overtaken, rivalled) {
        end_sessions(tx, "id = ?2", params![Millis(now), session.0])?;
        return Ok(None);
    }
    tx.execute(
        "UPDATE refresh_tokens SET used_at = coalesce(used_at, ?2), uses = uses + 1 WHERE hash = ?1",
        params![token, Millis(now)],
    )?;
    tx.execute(
        "INSERT INTO refresh_tokens (hash, session_id, parent) VALUES (?1, ?2, ?3)",
        params![next, session.0, token],
    )?;
    tx.execute(
        "UPDATE sessions SET expires_at = ?2 WHERE id = ?1",
        params![session.0, Millis(now + lifetime)],
    )?;
    Ok(Some((session, user)))
}

pub(super) fn end_session(
    tx: &Transaction,
    token: &TokenHash,
    everywhere: bool,
) -> anyhow::Result<Vec<SessionId>> {
    let mine = "(SELECT session_id FROM refresh_tokens WHERE hash = ?2)";
    let which = if everywhere {
        format!("user_id = (SELECT user_id FROM sessions WHERE id = {mine})")
    } else {
        format!("id = {mine}")
    };
    end_sessions(tx, &which, params![Millis(now(tx)?), token])
}

/// Parameter 1 is the instant.
fn end_sessions(tx: &Transaction, which: &str, params: impl Params) -> anyhow::Result<Vec<SessionId>> {
    let sql = format!("UPDATE sessions SET ended_at = ?1 WHERE ended_at IS NULL AND {which} RETURNING id");
    let ended = tx
        .prepare_cached(&sql)?
        .query_map(params, |row| row.get(0).map(SessionId))?
        .collect::<Result<_, _>>()?;
    Ok(ended)
}

const TOKEN: &str = "id, name, scope, created_at, expires_at, last_used_at";

fn token_of(row: &Row) -> rusqlite::Result<(ApiToken, String)> {
    let scope: String = row.get("scope")?;
    let at = |column: &str| -> rusqlite::Result<Option<DateTime<Utc>>> {
        Ok(row.get::<_, Option<Millis>>(column)?.map(|at| at.0))
    };
    let token = ApiToken {
        id: TokenId(row.get("id")?),
        name: row.get("name")?,
        scope: TokenScope::ReadOnly,
        created_at: row.get::<_, Millis>("created_at")?.0,
        expires_at: at("expires_at")?,
        last_used_at: at("last_used_at")?,
    };
    Ok((token, scope))
}

fn scoped((token, scope): (ApiToken, String)) -> anyhow::Result<ApiToken> {
    Ok(ApiToken {
        scope: from_name(scope)?,
        ..token
    })
}

pub(super) fn add_api_token(tx: &Transaction, token: &NewApiToken) -> anyhow::Result<ApiToken> {
    let now = now(tx)?;
    let sql = format!(
        "INSERT INTO api_tokens (user_id, hash, name, scope, created_at, expires_at)
         VALUES (:user, :hash, :name, :scope, :now, :expires_at) RETURNING {TOKEN}"
    );
    let made = tx.query_row(
        &sql,
        named_params! {
            ":user": token.user.0, ":hash": token.hash, ":name": token.name, ":scope": to_name(token.scope)?,
            ":now": Millis(now), ":expires_at": token.lifetime.map(|lifetime| Millis(now + lifetime)),
        },
        token_of,
    )?;
    scoped(made)
}

pub(super) fn api_tokens(tx: &Transaction, user: UserId) -> anyhow::Result<Vec<ApiToken>> {
    let sql = format!("SELECT {TOKEN} FROM api_tokens WHERE user_id = ?1 AND deleted_at IS NULL ORDER BY id");
    let mut ask = tx.prepare_cached(&sql)?;
    let rows = ask.query_map([user.0], token_of)?;
    rows.map(|token| scoped(token?)).collect()
}

pub(super) fn delete_api_token(tx: &Transaction, user: UserId, id: TokenId) -> anyhow::Result<bool> {
    let deleted = tx.execute(
        "UPDATE api_tokens SET deleted_at = ?3 WHERE user_id = ?1 AND id = ?2 AND deleted_at IS NULL",
        params![user.0, id.0, Millis(now(tx)?)],
    )?;
    Ok(deleted == 1)
}

/// A token that is good, and whether its use is news.
pub(super) fn good_token(tx: &Transaction, token: &TokenHash) -> anyhow::Result<Option<(GoodToken, bool)>> {
    let now = now(tx)?;
    let found = tx
        .prepare_cached(
            "SELECT id, user_id, scope, expires_at, last_used_at FROM api_tokens
             WHERE hash = ?1 AND deleted_at IS NULL AND (expires_at IS NULL OR expires_at > ?2)",
        )?
        .query_row(params![token, Millis(now)], |row| {
            Ok((
                TokenId(row.get("id")?),
                UserId(row.get("user_id")?),
                row.get::<_, String>("scope")?,
                row.get::<_, Option<Millis>>("expires_at")?,
                row.get::<_, Option<Millis>>("last_used_at")?,
            ))
        })
        .optional()?;
    let Some((id, user, scope, expires_at, last_used_at)) = found else {
        return Ok(None);
    };
    let expires_in = expires_at.map(|at| (at.0 - now).to_std().unwrap_or_default());
    let news = last_used_at.is_none_or(|at| at.0 <= now - USE_NOTED_EVERY);
    let token = GoodToken {
        id,
        user,
        scope: from_name(scope)?,
        expires_in,
    };
    Ok(Some((token, news)))
}

pub(super) fn note_use(tx: &Transaction, id: TokenId) -> anyhow::Result<()> {
    tx.execute(
        "UPDATE api_tokens SET last_used_at = ?2 WHERE id = ?1",
        params![id.0, Millis(now(tx)?)],
    )?;
    Ok(())
}

pub(super) fn ended_credentials(tx: &Transaction, within: Duration) -> anyhow::Result<Vec<Credential>> {
    let since = Millis(now(tx)? - within);
    let ended = tx
        .prepare_cached(
            "SELECT 0, id FROM sessions WHERE ended_at >= ?1
             UNION ALL SELECT 1, id FROM api_tokens WHERE deleted_at >= ?1",
        )?
        .query_map([since], |row| {
            let id = row.get(1)?;
            Ok(match row.get(0)? {
                0 => Credential::Session(SessionId(id)),
                _ => Credential::ApiToken(TokenId(id)),
            })
        })?
        .collect::<Result<_, _>>()?;
    Ok(ended)
}
