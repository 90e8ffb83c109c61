//! Accounts, sessions and the server's own row.

use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use deadpool_postgres::Pool;
use lockstep_wire::{ApiToken, TokenId, User, UserId};
use tokio_postgres::Row;

use super::clock::Millis;
use super::connection::{Connection, Params, Transaction};
use crate::store::accounts::{USE_NOTED_EVERY, honours};
use crate::store::names::{from_name, to_name};
use crate::store::{
    Account, Added, Credential, GoodToken, Identity, NewApiToken, NewUser, SessionId, TokenHash,
};

/// Gives a new database its epoch and key.
pub(super) async fn ensure_identity(pool: &Pool) -> anyhow::Result<()> {
    let mut signing_key = [0_u8; 32];
    getrandom::fill(&mut signing_key)?;
    let db = Connection::of(pool).await?;
    db.execute(
        "INSERT INTO server (one, data_epoch, signing_key, alive_at) VALUES (1, $1, $2, now_ms()) ON CONFLICT DO NOTHING",
        &[&uuid::Uuid::now_v7().to_string(), &signing_key.as_slice()],
    )
    .await?;
    Ok(())
}

pub(super) async fn identity(pool: &Pool) -> anyhow::Result<Identity> {
    let db = Connection::of(pool).await?;
    let row = db
        .query_one("SELECT data_epoch, signing_key FROM server", &[])
        .await?;
    Ok(Identity {
        data_epoch: row.try_get(0)?,
        signing_key: row.try_get(1)?,
    })
}

pub(super) async fn add_user(pool: &Pool, user: &NewUser) -> anyhow::Result<Added<User>> {
    let db = Connection::of(pool).await?;
    let added = db
        .query_opt(
            "INSERT INTO users (email, name, password_hash, admin, created_at) VALUES ($1, $2, $3, $4, now_ms())
             ON CONFLICT (lower(email COLLATE \"C\")) DO NOTHING RETURNING id, name, email",
            &[&user.email, &user.name, &user.password_hash, &user.admin],
        )
        .await?;
    match added {
        Some(row) => Ok(Added::New(user_of(&row)?)),
        None => Ok(Added::Taken),
    }
}

/// From the columns id, name and email, which come first.
pub(super) fn user_of(row: &Row) -> anyhow::Result<User> {
    Ok(User {
        id: UserId(row.try_get(0)?),
        name: row.try_get(1)?,
        email: row.try_get(2)?,
    })
}

pub(super) async fn account(pool: &Pool, email: &str) -> anyhow::Result<Option<Account>> {
    let db = Connection::of(pool).await?;
    let found = db
        .query_opt(
            "SELECT id, name, email, password_hash FROM users WHERE lower(email COLLATE \"C\") = lower($1 COLLATE \"C\")",
            &[&email],
        )
        .await?;
    let account = |row: Row| {
        anyhow::Ok(Account {
            user: user_of(&row)?,
            password_hash: row.try_get(3)?,
        })
    };
    found.map(account).transpose()
}

pub(super) async fn user(pool: &Pool, id: UserId) -> anyhow::Result<Option<User>> {
    let db = Connection::of(pool).await?;
    let found = db
        .query_opt("SELECT id, name, email FROM users WHERE id = $1", &[&id.0])
        .await?;
    found.as_ref().map(user_of).transpose()
}

pub(super) async fn rehash_password(
    pool: &Pool,
    user: UserId,
    before: &str,
    after: &str,
) -> anyhow::Result<()> {
    let db = Connection::of(pool).await?;
    db.execute(
        "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2",
        &[&user.0, &before, &after],
    )
    .await?;
    Ok(())
}

pub(super) async fn set_password(
    pool: &Pool,
    user: UserId,
    password_hash: &str,
    keep: Option<SessionId>,
) -> anyhow::Result<Vec<SessionId>> {
    let tx = Transaction::begin(pool).await?;
    tx.execute(
        "UPDATE users SET password_hash = $2 WHERE id = $1",
        &[&user.0, &password_hash],
    )
    .await?;
    let ended = end_sessions(
        &tx,
        "user_id = $1 AND id IS DISTINCT FROM $2",
        &[&user.0, &keep.map(|keep| keep.0)],
    )
    .await?;
    tx.commit().await?;
    Ok(ended)
}

fn millis(length: Duration) -> anyhow::Result<i64> {
    i64::try_from(length.as_millis()).context("a length beyond all times")
}

pub(super) async fn begin_session(
    pool: &Pool,
    user: UserId,
    token: &TokenHash,
    lifetime: Duration,
) -> anyhow::Result<SessionId> {
    let db = Connection::of(pool).await?;
    let row = db
        .query_one(
            "WITH session AS (INSERT INTO sessions (user_id, expires_at) VALUES ($1, now_ms() + $2) RETURNING id)
             INSERT INTO refresh_tokens (hash, session_id) SELECT $3, id FROM session RETURNING session_id",
            &[&user.0, &millis(lifetime)?, &token.as_slice()],
        )
        .await?;
    Ok(SessionId(row.try_get(0)?))
}

pub(super) async fn continue_session(
    pool: &Pool,
    token: &TokenHash,
    next: &TokenHash,
    lifetime: Duration,
) -> anyhow::Result<Option<(SessionId, User)>> {
    let tx = Transaction::begin(pool).await?;
    // The session's row is what two exchanges of its tokens take turns by; what they have done is looked at after that.
    tx.query_opt(
        "SELECT 1 FROM sessions WHERE id = (SELECT session_id FROM refresh_tokens WHERE hash = $1) FOR UPDATE",
        &[&token.as_slice()],
    )
    .await?;
    let found = tx
        .query_opt(
            "SELECT users.id, name, email, session_id, now_ms(), used_at, uses,
                    EXISTS (SELECT FROM refresh_tokens AS successors
                            WHERE successors.parent = one.hash AND successors.used_at IS NOT NULL),
                    EXISTS (SELECT FROM refresh_tokens AS siblings
                            WHERE siblings.parent = one.parent AND siblings.hash <> one.hash
                              AND siblings.used_at IS NOT NULL)
             FROM refresh_tokens AS one JOIN sessions ON sessions.id = session_id JOIN users ON users.id = user_id
             WHERE hash = $1 AND expires_at > now_ms() AND ended_at IS NULL",
            &[&token.as_slice()],
        )
        .await?;
    let Some(row) = found else {
        tx.commit().await?;
        return Ok(None);
    };
    let (session, now): (i64, Millis) = (row.try_get(3)?, row.try_get(4)?);
    let used_at: Option<Millis> = row.try_get(5)?;
    let used = used_at.map(|used_at| (now.0 - used_at.0).to_std().unwrap_or_default());
    if !honours(used, row.try_get(6)?, row.try_get(7)?, row.try_get(8)?) {
        end_sessions(&tx, "id = $1", &[&session]).await?;
        tx.commit().await?;
        return Ok(None);
    }
    tx.execute(
        "UPDATE refresh_tokens SET used_at = coalesce(used_at, $2), uses = uses + 1 WHERE hash = $1",
        &[&token.as_slice(), &now],
    )
    .await?;
    tx.execute(
        "INSERT INTO refresh_tokens (hash, session_id, parent) VALUES ($1, $2, $3)",
        &[&next.as_slice(), &session, &token.as_slice()],
    )
    .await?;
    tx.execute(
        "UPDATE sessions SET expires_at = $2 WHERE id = $1",
        &[&session, &Millis(now.0 + lifetime)],
    )
    .await?;
    tx.commit().await?;
    Ok(Some((SessionId(session), user_of(&row)?)))
}

pub(super) async fn end_session(
    pool: &Pool,
    token: &TokenHash,
    everywhere: bool,
) -> anyhow::Result<Vec<SessionId>> {
    let db = Connection::of(pool).await?;
    let mine = "(SELECT session_id FROM refresh_tokens WHERE hash = $1)";
    let which = if everywhere {
        format!("user_id = (SELECT user_id FROM sessions WHERE id = {mine})")
    } else {
        format!("id = {mine}")
    };
    end_sessions(&db, &which, &[&token.as_slice()]).await
}

async fn end_sessions(db: &Connection, which: &str, params: Params<'_>) -> anyhow::Result<Vec<SessionId>> {
    let sql =
        format!("UPDATE sessions SET ended_at = now_ms() WHERE ended_at IS NULL AND {which} RETURNING id");
    let ended = db.query(&sql, params).await?;
    ended.iter().map(|row| Ok(SessionId(row.try_get(0)?))).collect()
}

const TOKEN: &str = "id, name, scope, created_at, expires_at, last_used_at";

fn token_of(row: &Row) -> anyhow::Result<ApiToken> {
    let at = |column: usize| -> anyhow::Result<Option<DateTime<Utc>>> {
        Ok(row.try_get::<_, Option<Millis>>(column)?.map(|at| at.0))
    };
    Ok(ApiToken {
        id: TokenId(row.try_get(0)?),
        name: row.try_get(1)?,
        scope: from_name(row.try_get(2)?)?,
        created_at: row.try_get::<_, Millis>(3)?.0,
        expires_at: at(4)?,
        last_used_at: at(5)?,
    })
}

pub(super) async fn add_api_token(pool: &Pool, token: &NewApiToken) -> anyhow::Result<ApiToken> {
    let db = Connection::of(pool).await?;
    let sql = format!(
        "INSERT INTO api_tokens (user_id, hash, name, scope, created_at, expires_at)
         SELECT $1, $2, $3, $4, now, now + $5 FROM (SELECT now_ms() AS now OFFSET 0) AS clock RETURNING {TOKEN}"
    );
    let lifetime = token.lifetime.map(millis).transpose()?;
    let made = db
        .query_one(
            &sql,
            &[
                &token.user.0,
                &token.hash.as_slice(),
                &token.name,
                &to_name(token.scope)?,
                &lifetime,
            ],
        )
        .await?;
    token_of(&made)
}

pub(super) async fn api_tokens(pool: &Pool, user: UserId) -> anyhow::Result<Vec<ApiToken>> {
    let db = Connection::of(pool).await?;
    let sql = format!("SELECT {TOKEN} FROM api_tokens WHERE user_id = $1 AND deleted_at IS NULL ORDER BY id");
    db.query(&sql, &[&user.0]).await?.iter().map(token_of).collect()
}

pub(super) async fn delete_api_token(pool: &Pool, user: UserId, id: TokenId) -> anyhow::Result<bool> {
    let db = Connection::of(pool).await?;
    let deleted = db
        .execute(
            "UPDATE api_tokens SET deleted_at = now_ms() WHERE user_id = $1 AND id = $2 AND deleted_at IS NULL",
            &[&user.0, &id.0],
        )
        .await?;
    Ok(deleted == 1)
}

pub(super) async fn use_api_token(pool: &Pool, token: &TokenHash) -> anyhow::Result<Option<GoodToken>> {
    let db = Connection::of(pool).await?;
    let found = db
        .query_opt(
            "SELECT id, user_id, scope, expires_at - now_ms(), now_ms() - last_used_at FROM api_tokens
             WHERE hash = $1 AND deleted_at IS NULL AND (expires_at IS NULL OR expires_at > now_ms())",
            &[&token.as_slice()],
        )
        .await?;
    let Some(row) = found else {
        return Ok(None);
    };
    let (left, unused): (Option<i64>, Option<i64>) = (row.try_get(3)?, row.try_get(4)?);
    let token = GoodToken {
        id: TokenId(row.try_get(0)?),
        user: UserId(row.try_get(1)?),
        scope: from_name(row.try_get(2)?)?,
        expires_in: left.map(|left| Duration::from_millis(u64::try_from(left).unwrap_or_default())),
    };
    let noted_every = millis(USE_NOTED_EVERY)?;
    if unused.is_none_or(|unused| unused >= noted_every) {
        db.execute(
            "UPDATE api_tokens SET last_used_at = now_ms() WHERE id = $1",
            &[&token.id.0],
        )
        .await?;
    }
    Ok(Some(token))
}

pub(super) async fn ended_credentials(pool: &Pool, within: Duration) -> anyhow::Result<Vec<Credential>> {
    let db = Connection::of(pool).await?;
    let ended = db
        .query(
            "WITH since AS MATERIALIZED (SELECT now_ms() - $1 AS since)
             SELECT true, id FROM sessions, since WHERE ended_at >= since
             UNION ALL SELECT false, id FROM api_tokens, since WHERE deleted_at >= since",
            &[&millis(within)?],
        )
        .await?;
    let credential = |row: &Row| {
        let id = row.try_get(1)?;
        Ok(match row.try_get(0)? {
            true => Credential::Session(SessionId(id)),
            false => Credential::ApiToken(TokenId(id)),
        })
    };
    ended.iter().map(credential).collect()
}
