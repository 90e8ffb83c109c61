//! Accounts, sessions and the server's own row.

use std::time::Duration;

use lockstep_wire::{User, UserId};
use rusqlite::{
    Connection, OptionalExtension as _, Row, Transaction, TransactionBehavior, named_params, params,
};

use super::clock::{Millis, now};
use crate::store::accounts::REUSE_GRACE;
use crate::store::{Account, Added, Identity, NewUser, TokenHash};

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

pub(super) fn begin_session(
    tx: &Transaction,
    user: UserId,
    token: &TokenHash,
    lifetime: Duration,
) -> anyhow::Result<()> {
    let now = now(tx)?;
    tx.execute(
        "INSERT INTO sessions (user_id, expires_at) VALUES (?1, ?2)",
        params![user.0, Millis(now + lifetime)],
    )?;
    let session = tx.last_insert_rowid();
    tx.execute(
        "INSERT INTO refresh_tokens (hash, session_id) VALUES (?1, ?2)",
        params![token, session],
    )?;
    Ok(())
}

pub(super) fn continue_session(
    tx: &Transaction,
    token: &TokenHash,
    next: &TokenHash,
    lifetime: Duration,
) -> anyhow::Result<Option<User>> {
    let now = now(tx)?;
    let found = tx
        .query_row(
            "SELECT session_id, used_at, uses, user_id AS id, name, email
             FROM refresh_tokens JOIN sessions ON sessions.id = session_id JOIN users ON users.id = user_id
             WHERE hash = ?1 AND expires_at > ?2",
            params![token, Millis(now)],
            |row| {
                let used_at: Option<Millis> = row.get("used_at")?;
                Ok((
                    row.get::<_, i64>("session_id")?,
                    used_at,
                    row.get::<_, i64>("uses")?,
                    user_of(row)?,
                ))
            },
        )
        .optional()?;
    let Some((session, used_at, uses, user)) = found else {
        return Ok(None);
    };
    let honoured = used_at.is_none_or(|used_at| uses < 2 && now - used_at.0 <= REUSE_GRACE);
    if !honoured {
        tx.execute("DELETE FROM sessions WHERE id = ?1", [session])?;
        return Ok(None);
    }
    tx.execute(
        "UPDATE refresh_tokens SET used_at = coalesce(used_at, ?2), uses = uses + 1 WHERE hash = ?1",
        params![token, Millis(now)],
    )?;
    tx.execute(
        "INSERT INTO refresh_tokens (hash, session_id) VALUES (?1, ?2)",
        params![next, session],
    )?;
    tx.execute(
        "UPDATE sessions SET expires_at = ?2 WHERE id = ?1",
        params![session, Millis(now + lifetime)],
    )?;
    Ok(Some(user))
}

pub(super) fn end_session(tx: &Transaction, token: &TokenHash) -> anyhow::Result<()> {
    tx.execute(
        "DELETE FROM sessions WHERE id = (SELECT session_id FROM refresh_tokens WHERE hash = ?1)",
        [token],
    )?;
    Ok(())
}
