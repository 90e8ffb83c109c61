//! A consistent copy of a live database by PostgreSQL's own pg_dump, and its way back by pg_restore.
//!
//! **Invariant:** a database in use is never replaced, and what is replaced is moved aside as a schema of another name,
//! never deleted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio::process::Command;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::{Client, IsolationLevel, Transaction};

use super::{Address, migrations};
use crate::store::copy::{Copied, Facts, ImageBytes, Restored, generation_floor};

/// How schemas that were moved aside begin; they are in no copy.
const ASIDE: &str = "replaced_";

/// How long a server that was stopped may take to be gone from PostgreSQL's list.
const GONE_WITHIN: Duration = Duration::from_secs(3);

/// Copies the database into a new file in pg_dump's custom format, as of one instant.
pub(crate) async fn copy(
    address: &Address,
    into: &Path,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> anyhow::Result<Copied> {
    progress(0, 1);
    let mut client = address.connect().await?;
    // Its snapshot is what pg_dump copies and what is counted here; it stays open as long as that takes.
    let tx = client
        .build_transaction()
        .isolation_level(IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .await?;
    tx.batch_execute("SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL statement_timeout = 0")
        .await?;
    let snapshot: String = tx
        .query_one("SELECT pg_export_snapshot()", &[])
        .await?
        .try_get(0)?;
    let facts = facts(&tx).await?;
    let rows = tx
        .query(
            "SELECT content_hash, bool_or(deleted_at IS NULL) FROM images GROUP BY content_hash
             ORDER BY content_hash COLLATE \"C\"",
            &[],
        )
        .await?;
    let images = rows
        .iter()
        .map(|row| {
            Ok(ImageBytes {
                hash: row.try_get(0)?,
                live: row.try_get(1)?,
            })
        })
        .collect::<anyhow::Result<_>>()?;
    let mut dump = program("pg_dump", address)?;
    dump.args(["--format=custom", "--no-owner", "--no-privileges"])
        .arg(format!("--exclude-schema={ASIDE}*"))
        .arg(format!("--snapshot={snapshot}"))
        .arg("--file")
        .arg(into);
    run(dump, "pg_dump").await?;
    tx.commit().await?;
    progress(1, 1);
    Ok(Copied { facts, images })
}

async fn facts(tx: &Transaction<'_>) -> anyhow::Result<Facts> {
    let tables = tx
        .query(
            "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema() ORDER BY 1",
            &[],
        )
        .await?;
    let mut rows = BTreeMap::new();
    for table in tables {
        let table: String = table.try_get(0)?;
        let count: i64 = tx
            .query_one(&format!("SELECT count(*) FROM \"{table}\""), &[])
            .await?
            .try_get(0)?;
        rows.insert(table, count.unsigned_abs());
    }
    let server = tx.query_one("SELECT data_epoch FROM server", &[]).await;
    Ok(Facts {
        schema_steps: migrations::taken(tx)
            .await
            .context("the database is not Lockstep's")?,
        data_epoch: server?.try_get(0)?,
        rows,
    })
}

/// Makes a copy this database. One that is there is moved aside, if that is wanted.
pub(crate) async fn restore(
    address: &Address,
    copied: &Path,
    facts: &Facts,
    aside: Option<&str>,
) -> anyhow::Result<Restored> {
    let mut client = address.connect().await?;
    let row = client
        .query_one(
            "SELECT current_schema()::text, to_regclass('server') IS NOT NULL",
            &[],
        )
        .await?;
    let (schema, there): (Option<String>, bool) = (row.try_get(0)?, row.try_get(1)?);
    let schema = schema.context("the database has no schema to restore into")?;
    if !there {
        let restored = bring_in(address, &mut client, copied, facts, 0).await;
        if restored.is_err() {
            // Only what has just been brought in can be there.
            migrations::down(&mut client, usize::MAX).await?;
            client.batch_execute("DROP TABLE schema_steps").await?;
        }
        return Ok(Restored {
            data_epoch: restored?,
            aside: None,
        });
    }
    let Some(aside) = aside else {
        bail!("there is a database already");
    };
    expect_nobody_else(&client).await?;
    // An older one may not say; the time puts the new floor above it all the same.
    let known = highest_generation(&client).await.unwrap_or(0);
    let moved = format!("{ASIDE}{}", plain(aside));
    client
        .batch_execute(&format!(
            "BEGIN; ALTER SCHEMA \"{schema}\" RENAME TO {moved}; CREATE SCHEMA \"{schema}\"; COMMIT"
        ))
        .await
        .context("cannot move the database's schema aside")?;
    match bring_in(address, &mut client, copied, facts, known).await {
        Ok(data_epoch) => Ok(Restored {
            data_epoch,
            aside: Some(format!("the schema {moved}")),
        }),
        Err(fault) => {
            // Only what has just been brought in can be there.
            client
                .batch_execute(&format!(
                    "BEGIN; DROP SCHEMA \"{schema}\" CASCADE; ALTER SCHEMA {moved} RENAME TO \"{schema}\"; COMMIT"
                ))
                .await
                .with_context(|| format!("what was there before is still in the schema {moved}"))?;
            Err(fault)
        }
    }
}

/// A name that needs no quotes.
fn plain(name: &str) -> String {
    let name = name.strip_prefix("replaced-").unwrap_or(name).to_lowercase();
    name.replace(|letter: char| !letter.is_ascii_alphanumeric(), "_")
}

async fn bring_in(
    address: &Address,
    client: &mut Client,
    copied: &Path,
    facts: &Facts,
    known: i64,
) -> anyhow::Result<String> {
    let mut restore = program("pg_restore", address)?;
    restore
        .args([
            "--single-transaction",
            "--exit-on-error",
            "--no-owner",
            "--no-privileges",
        ])
        .args(["--dbname", address.config().get_dbname().unwrap_or_default()])
        .arg(copied);
    run(restore, "pg_restore").await?;
    let tx = client.transaction().await?;
    let found = self::facts(&tx).await?;
    ensure!(
        found == *facts,
        "the backup's database does not hold what its manifest says: {found:?} in place of {facts:?}"
    );
    tx.commit().await?;
    migrations::up(client).await?;
    let known = known.max(highest_generation(client).await?);
    begin_anew(client, known).await
}

async fn expect_nobody_else(client: &Client) -> anyhow::Result<()> {
    let began = std::time::Instant::now();
    loop {
        let others: i64 = client
            .query_one(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                 AND pid <> pg_backend_pid() AND backend_type = 'client backend'",
                &[],
            )
            .await?
            .try_get(0)?;
        if others == 0 {
            return Ok(());
        }
        ensure!(
            began.elapsed() < GONE_WITHIN,
            "the database is in use ({others} connections); stop its servers first"
        );
        tokio::time::sleep(GONE_WITHIN / 20).await;
    }
}

/// That the database knows of.
pub(super) const HIGHEST_GENERATION: &str =
    "SELECT greatest(generation_floor, (SELECT max(generation) FROM lock_counters)) FROM server";

async fn highest_generation(client: &Client) -> anyhow::Result<i64> {
    Ok(client.query_one(HIGHEST_GENERATION, &[]).await?.try_get(0)?)
}

/// As SQLite's, for the same reasons. Which history the epoch is of is found out anew.
async fn begin_anew(client: &mut Client, known: i64) -> anyhow::Result<String> {
    let tx = client.transaction().await?;
    let now: i64 = tx.query_one("SELECT now_ms()", &[]).await?.try_get(0)?;
    let data_epoch = uuid::Uuid::now_v7().to_string();
    let mut signing_key = [0_u8; 32];
    getrandom::fill(&mut signing_key)?;
    tx.execute(
        "UPDATE server SET data_epoch = $1, signing_key = $2, alive_at = $3, generation_floor = $4, history = NULL",
        &[&data_epoch, &signing_key.as_slice(), &now, &generation_floor(known, now)],
    )
    .await?;
    tx.batch_execute(
        "DELETE FROM sessions;
         DELETE FROM image_locks;
         UPDATE lock_grants SET ended_at = now_ms(), end_reason = 'expired' WHERE ended_at IS NULL;
         UPDATE lock_counters SET held_for = NULL, held_until = NULL",
    )
    .await?;
    tx.commit().await?;
    Ok(data_epoch)
}

/// One of PostgreSQL's programs, told where the database is. Its password is in no list of processes.
fn program(name: &str, address: &Address) -> anyhow::Result<Command> {
    let config = address.config();
    let mut command = Command::new(find(name)?);
    command.kill_on_drop(true).stdin(std::process::Stdio::null());
    let hosts: Vec<_> = config
        .get_hosts()
        .iter()
        .map(|host| match host {
            Host::Tcp(name) => name.clone(),
            #[cfg(unix)]
            Host::Unix(folder) => folder.display().to_string(),
        })
        .collect();
    let ports: Vec<_> = config.get_ports().iter().map(ToString::to_string).collect();
    let mut set = |variable: &str, value: Option<&str>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            command.env(variable, value);
        }
    };
    set("PGHOST", Some(&hosts.join(",")));
    set("PGPORT", Some(&ports.join(",")));
    set("PGUSER", config.get_user());
    set("PGDATABASE", config.get_dbname());
    set("PGSSLMODE", Some(address.libpq_ssl_mode()));
    let roots = address.roots().map(|roots| roots.display().to_string());
    set("PGSSLROOTCERT", roots.as_deref());
    if config.get_target_session_attrs() == TargetSessionAttrs::ReadWrite {
        set("PGTARGETSESSIONATTRS", Some("read-write"));
    }
    if let Some(password) = config.get_password() {
        command.env("PGPASSWORD", String::from_utf8_lossy(password).as_ref());
    }
    Ok(command)
}

impl Address {
    fn libpq_ssl_mode(&self) -> &'static str {
        match (self.config().get_ssl_mode(), self.verifies()) {
            (SslMode::Disable, _) => "disable",
            (_, true) => "verify-full",
            (SslMode::Require, false) => "require",
            _ => "prefer",
        }
    }
}

/// On the path, or where Debian has each version's.
fn find(name: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join(name));
    if let Some(found) = on_path.into_iter().find(|file| file.is_file()) {
        return Ok(found);
    }
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let newest = versions
        .filter_map(|entry| {
            let version: u32 = entry.file_name().to_str()?.parse().ok()?;
            let file = entry.path().join("bin").join(name);
            file.is_file().then_some((version, file))
        })
        .max();
    newest.map(|(_, file)| file).with_context(|| {
        format!("{name} is not on this machine: a PostgreSQL database is backed up and restored by PostgreSQL's own programs (Debian: postgresql-client)")
    })
}

async fn run(mut command: Command, name: &str) -> anyhow::Result<()> {
    let output = command
        .output()
        .await
        .with_context(|| format!("cannot run {name}"))?;
    if !output.status.success() {
        bail!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_moved_aside_has_a_name_that_no_copy_takes_along() {
        assert_eq!(plain("replaced-20261124T120000.000Z"), "20261124t120000_000z");
    }

    #[test]
    fn a_missing_program_is_named_with_where_to_get_it() {
        let fault = find("pg_that_nobody_has").expect_err("no such program");
        assert!(format!("{fault:#}").contains("postgresql-client"), "{fault:#}");
    }
}
