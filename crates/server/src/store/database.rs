//! Which database a server works on, and where its schema stands.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context as _, ensure};

use super::Store;
use super::copy::{Copied, Facts, Restored};
use super::postgres::{self, PostgresStore};
use super::sqlite::{self, SqliteStore, migrations};
use crate::backup::Kind;

/// A database, by its URL: `sqlite:FILE` or `postgres://…`.
#[derive(Debug, Clone, PartialEq)]
pub enum Database {
    /// A file.
    Sqlite(PathBuf),
    /// A server's.
    Postgres(Box<postgres::Address>),
}

/// Where a database's schema stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Steps taken.
    pub taken: usize,
    /// Steps this program knows.
    pub known: usize,
}

impl FromStr for Database {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, String> {
        match url.split_once(':') {
            Some(("sqlite", file)) => Ok(Self::Sqlite(file.strip_prefix("//").unwrap_or(file).into())),
            Some(("postgres" | "postgresql", _)) => match url.parse() {
                Ok(address) => Ok(Self::Postgres(Box::new(address))),
                Err(fault) => Err(format!("{fault:#}")),
            },
            _ => Err("a database is sqlite:FILE or postgres://USER@HOST/DATABASE".into()),
        }
    }
}

impl Database {
    /// Opens it, making it or bringing its schema up to date where needed.
    pub async fn open(&self) -> anyhow::Result<Arc<dyn Store>> {
        match self {
            Self::Sqlite(file) => {
                make_folder_of(file)?;
                Ok(Arc::new(SqliteStore::open(file)?))
            }
            Self::Postgres(address) => Ok(Arc::new(PostgresStore::open(address).await?)),
        }
    }

    /// Which kind it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Sqlite(_) => Kind::Sqlite,
            Self::Postgres(_) => Kind::Postgres,
        }
    }

    /// Steps of the schema that this program knows.
    pub(crate) fn known_steps(&self) -> usize {
        match self {
            Self::Sqlite(_) => migrations::KNOWN,
            Self::Postgres(_) => postgres::KNOWN_STEPS,
        }
    }

    /// Copies it whole, as of one instant, into a new file, beside whoever works on it.
    pub(crate) async fn copy(
        &self,
        into: &Path,
        progress: &(dyn Fn(u64, u64) + Sync),
    ) -> anyhow::Result<Copied> {
        match self {
            Self::Sqlite(file) => {
                expect_file(file)?;
                tokio::task::block_in_place(|| sqlite::copy::copy(file, into, progress))
            }
            Self::Postgres(address) => postgres::copy::copy(address, into, progress).await,
        }
    }

    /// Makes a copy this database. One that is there is moved aside under this ending, or nothing is done.
    pub(crate) async fn restore(
        &self,
        copied: &Path,
        facts: &Facts,
        aside: Option<&str>,
    ) -> anyhow::Result<Restored> {
        match self {
            Self::Sqlite(file) => {
                make_folder_of(file)?;
                tokio::task::block_in_place(|| sqlite::copy::restore(file, copied, facts, aside))
            }
            Self::Postgres(address) => postgres::copy::restore(address, copied, facts, aside).await,
        }
    }

    /// Takes every step that is left.
    pub async fn migrate_up(&self) -> anyhow::Result<Standing> {
        match self {
            Self::Sqlite(file) => {
                make_folder_of(file)?;
                migrations::migrate_up(file)
            }
            Self::Postgres(address) => postgres::migrate_up(address).await,
        }
    }

    /// Takes the last `steps` back.
    pub async fn migrate_down(&self, steps: usize) -> anyhow::Result<Standing> {
        match self {
            Self::Sqlite(file) => {
                expect_file(file)?;
                migrations::migrate_down(file, steps)
            }
            Self::Postgres(address) => postgres::migrate_down(address, steps).await,
        }
    }

    /// Where its schema stands.
    pub async fn status(&self) -> anyhow::Result<Standing> {
        match self {
            Self::Sqlite(file) => {
                expect_file(file)?;
                migrations::status(file)
            }
            Self::Postgres(address) => postgres::status(address).await,
        }
    }
}

fn make_folder_of(file: &Path) -> anyhow::Result<()> {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
        }
        _ => Ok(()),
    }
}

fn expect_file(file: &Path) -> anyhow::Result<()> {
    ensure!(file.exists(), "there is no database {}", file.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_named_by_its_url() {
        let file = |path: &str| Ok(Database::Sqlite(path.into()));
        assert_eq!("sqlite:///var/lib/l.sqlite".parse(), file("/var/lib/l.sqlite"));
        assert_eq!("sqlite:l.sqlite".parse(), file("l.sqlite"));
        assert!(matches!("postgres://host/db".parse(), Ok(Database::Postgres(_))));
        assert!("mysql://host/db".parse::<Database>().is_err());
    }
}
