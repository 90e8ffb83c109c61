//! A backup beside a live server.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use chrono::Utc;
use sha2::{Digest as _, Sha256};

use super::{FORMAT, IMAGE_LIST, ImageTotals, MANIFEST, Manifest, Progress, image_path, part, sync_folder};
use crate::blobs::{Blobs, hex};
use crate::store::Database;
use crate::store::copy::ImageBytes;

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Where it is.
    pub folder: PathBuf,
    /// Images it needs, and how many of them were not in the folder yet.
    pub images: Option<(u64, u64)>,
}

/// Adds a backup to the ones in `out`, which is made where needed. Without `images` it is of the database alone.
pub async fn make(
    database: &Database,
    images: Option<&Blobs>,
    out: &Path,
    progress: Progress<'_>,
) -> anyhow::Result<Made> {
    let made_at = Utc::now();
    let name = made_at.format("%Y%m%dT%H%M%S%.3fZ").to_string();
    fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let mut builder = tempfile::Builder::new();
    // Hashes of passwords are in there.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
    let temporary = builder
        .prefix(&format!(".{name}-"))
        .tempdir_in(out)
        .with_context(|| format!("cannot write to {}", out.display()))?;
    let folder = temporary.path();

    // The database first: an image is stored before any row speaks of it.
    let kind = database.kind();
    let copied = database
        .copy(&folder.join(kind.file_name()), &|done, total| {
            progress("database", done, total);
        })
        .await?;
    let mut parts = vec![part(folder, kind.file_name())?];
    let mut totals = None;
    let mut new = 0;
    if let Some(blobs) = images {
        let taken = take_images(blobs, &copied.images, out, progress).await?;
        let list: Vec<_> = taken.hashes.iter().map(|hash| format!("{hash}\n")).collect();
        fs::write(folder.join(IMAGE_LIST), list.concat())?;
        parts.push(part(folder, IMAGE_LIST)?);
        totals = Some(ImageTotals {
            count: list.len() as u64,
            bytes: taken.bytes,
        });
        new = taken.new;
    }
    let manifest = Manifest {
        format: FORMAT,
        made_at,
        server_version: env!("CARGO_PKG_VERSION").into(),
        database: kind,
        facts: copied.facts,
        parts,
        images: totals,
    };
    fs::write(folder.join(MANIFEST), serde_json::to_string_pretty(&manifest)?)?;
    for file in fs::read_dir(folder)? {
        File::open(file?.path())?.sync_all()?;
    }
    sync_folder(folder)?;
    let done = out.join(name);
    fs::rename(folder, &done).with_context(|| format!("cannot make {}", done.display()))?;
    let _ = temporary.keep();
    sync_folder(out)?;
    Ok(Made {
        folder: done,
        images: totals.map(|totals| (totals.count, new)),
    })
}

struct Taken {
    hashes: BTreeSet<String>,
    bytes: u64,
    new: u64,
}

async fn take_images(
    blobs: &Blobs,
    images: &[ImageBytes],
    out: &Path,
    progress: Progress<'_>,
) -> anyhow::Result<Taken> {
    let mut taken = Taken {
        hashes: BTreeSet::new(),
        bytes: 0,
        new: 0,
    };
    let mut missing = Vec::new();
    for (done, ImageBytes { hash, live }) in images.iter().enumerate() {
        progress("images", done as u64, images.len() as u64);
        let path = image_path(out, hash);
        if let Ok(there) = fs::metadata(&path) {
            taken.bytes += there.len();
            taken.hashes.insert(hash.clone());
            continue;
        }
        let Some(content) = blobs.find(hash).await? else {
            // What was deleted need not be kept.
            if *live {
                missing.push(hash.as_str());
            }
            continue;
        };
        if hex(&Sha256::digest(&content)) != *hash {
            bail!(
                "the image {hash} is damaged in the server's own place; put a good copy there, or delete it"
            );
        }
        write_whole(&path, &content).with_context(|| format!("cannot write {}", path.display()))?;
        taken.bytes += content.len() as u64;
        taken.new += 1;
        taken.hashes.insert(hash.clone());
    }
    if let [first, ..] = missing[..] {
        bail!(
            "{} images are missing from the server's own place, {first} among them",
            missing.len()
        );
    }
    Ok(taken)
}

/// Under its name only once it is on the disk.
fn write_whole(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let folder = path.parent().context("an image is in a folder")?;
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}
