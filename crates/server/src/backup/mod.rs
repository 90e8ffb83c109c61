//! Backups: a folder that holds any number of them, each a copy of the database with a manifest, and the images of all,
//! each image once.
//!
//! ```text
//! OUT/images/ab/abcd…                     every image's bytes under their SHA-256, as in the server's own place
//! OUT/20261124T120000.000Z/manifest.json  what belongs to this backup, with the SHA-256 of each part
//! OUT/20261124T120000.000Z/database.…     the database of that instant
//! OUT/20261124T120000.000Z/images.txt     the hash of each image it needs
//! ```
//!
//! **Invariant:** a backup is whole or not there: it is written under a temporary name and renamed when all of it is on the
//! disk. Nothing in a backup is changed afterwards.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::blobs::hex;
use crate::store::copy::Facts;

mod make;
mod restore;

pub use make::{Made, make};
pub use restore::{Brought, restore};

/// Of a backup's folder.
const FORMAT: u32 = 1;

const MANIFEST: &str = "manifest.json";
const IMAGES: &str = "images";
const IMAGE_LIST: &str = "images.txt";

/// Which database a copy is of. It comes back into the same kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A file.
    Sqlite,
    /// A server's.
    Postgres,
}

impl Kind {
    fn file_name(self) -> &'static str {
        match self {
            Self::Sqlite => "database.sqlite",
            Self::Postgres => "database.pgdump",
        }
    }
}

/// What is said while it takes its time: of what, how much is done, of how much.
pub type Progress<'a> = &'a (dyn Fn(&'static str, u64, u64) + Sync);

/// What belongs to a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Manifest {
    format: u32,
    made_at: DateTime<Utc>,
    server_version: String,
    database: Kind,
    #[serde(flatten)]
    facts: Facts,
    parts: Vec<Part>,
    /// Without them, they are kept elsewhere.
    images: Option<ImageTotals>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Part {
    file: String,
    bytes: u64,
    sha256: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct ImageTotals {
    count: u64,
    bytes: u64,
}

fn part(folder: &Path, file: &str) -> anyhow::Result<Part> {
    let path = folder.join(file);
    let (sha256, bytes) = hash_of(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Part {
        file: file.to_owned(),
        bytes,
        sha256,
    })
}

/// A file's SHA-256 and length, however long it is.
fn hash_of(path: &Path) -> std::io::Result<(String, u64)> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    let mut bytes = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((hex(&hash.finalize()), bytes));
        }
        hash.update(&buffer[..read]);
        bytes += read as u64;
    }
}

/// Where a backup's folder has an image.
fn image_path(root: &Path, hash: &str) -> PathBuf {
    root.join(IMAGES).join(hash.get(..2).unwrap_or(hash)).join(hash)
}

/// The backup that `from` is, or the newest in it, and the folder of its images.
fn find(from: &Path) -> anyhow::Result<(PathBuf, PathBuf)> {
    if from.join(MANIFEST).is_file() {
        let from = std::fs::canonicalize(from)?;
        let root = from.parent().context("a backup is in a folder")?.to_owned();
        return Ok((from, root));
    }
    let entries = std::fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))?;
    let mut backups = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.join(MANIFEST).is_file() && !is_temporary(&path) {
            backups.push(path);
        }
    }
    // Their names are their times.
    match backups.into_iter().max() {
        Some(newest) => Ok((newest, from.to_owned())),
        None => bail!("{} holds no backup", from.display()),
    }
}

fn is_temporary(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

fn read_manifest(folder: &Path) -> anyhow::Result<Manifest> {
    let path = folder.join(MANIFEST);
    let shown = path.display();
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {shown}"))?;
    let value: serde_json::Value =
        serde_json::from_str(&text).with_context(|| format!("{shown} is damaged"))?;
    ensure!(
        value["format"] == FORMAT,
        "{shown} is of another kind than this program knows; use the program that made the backup, or a newer one"
    );
    serde_json::from_value(value).with_context(|| format!("{shown} is damaged"))
}

/// On the disk, with its name.
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    // Windows neither needs nor allows it.
    if cfg!(unix) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}
