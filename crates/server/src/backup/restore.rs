//! A backup's way back.
//!
//! **Invariant:** all of a backup is verified before anything is written, and nothing that is there is overwritten.

use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use chrono::Utc;

use super::{IMAGE_LIST, Progress, find, hash_of, image_path, read_manifest};
use crate::blobs::Blobs;
use crate::store::Database;
use crate::store::copy::Restored;

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brought {
    /// The database.
    pub restored: Restored,
    /// When it was copied.
    pub made_at: chrono::DateTime<Utc>,
    /// Images that belong to it; `None` when the backup was made without them.
    pub images: Option<u64>,
}

/// Brings a backup back: `from`, or the newest in it. Without `replace` only where there is no database yet; with it, what
/// is there is moved aside.
pub async fn restore(
    database: &Database,
    blobs: &Blobs,
    from: &Path,
    replace: bool,
    progress: Progress<'_>,
) -> anyhow::Result<Brought> {
    let (folder, root) = find(from)?;
    let manifest = read_manifest(&folder)?;
    ensure!(
        manifest.database == database.kind(),
        "the backup is of another kind of database: it comes back into {:?} alone",
        manifest.database
    );
    let known = database.known_steps();
    ensure!(
        manifest.facts.schema_steps <= known,
        "the backup was made by a newer server ({}); this one is {}",
        manifest.server_version,
        env!("CARGO_PKG_VERSION")
    );
    for (done, part) in manifest.parts.iter().enumerate() {
        progress("verifying", done as u64, manifest.parts.len() as u64);
        check(&folder.join(&part.file), &part.sha256)?;
    }
    let hashes = match manifest.images {
        Some(_) => read_hashes(&folder.join(IMAGE_LIST))?,
        None => Vec::new(),
    };
    for (done, hash) in hashes.iter().enumerate() {
        progress("verifying images", done as u64, hashes.len() as u64);
        check(&image_path(&root, hash), hash)?;
    }

    for (done, hash) in hashes.iter().enumerate() {
        progress("images", done as u64, hashes.len() as u64);
        // What is under a hash never changes: the one that is there is the same.
        if !blobs.holds(hash).await? {
            let content = tokio::fs::read(image_path(&root, hash)).await?;
            blobs.put_back(hash, Bytes::from(content)).await?;
        }
    }
    progress("database", 0, 1);
    let aside = replace.then(|| Utc::now().format("replaced-%Y%m%dT%H%M%S%.3fZ").to_string());
    let copied = folder.join(manifest.database.file_name());
    let restored = database
        .restore(&copied, &manifest.facts, aside.as_deref())
        .await?;
    Ok(Brought {
        restored,
        made_at: manifest.made_at,
        images: manifest.images.map(|images| images.count),
    })
}

fn check(path: &Path, sha256: &str) -> anyhow::Result<()> {
    let shown = path.display();
    let (found, _) =
        hash_of(path).with_context(|| format!("the backup is not whole: cannot read {shown}"))?;
    if found != sha256 {
        bail!("the backup is damaged: {shown} is not what was written");
    }
    Ok(())
}

fn read_hashes(list: &Path) -> anyhow::Result<Vec<String>> {
    let text = std::fs::read_to_string(list).with_context(|| format!("cannot read {}", list.display()))?;
    Ok(text.lines().map(str::to_owned).collect())
}
