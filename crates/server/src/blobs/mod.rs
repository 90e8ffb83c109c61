//! The bytes of images, each under its SHA-256, and a thumbnail beside it.
//!
//! **Invariant:** what is under a hash never changes, so it may be cached for ever and written twice without harm.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

mod picture;

pub use picture::{Fault, Picture};

/// Pictures decoded at one time. Each may take hundreds of megabytes and a whole core.
const DECODERS: usize = 2;

/// A place for the bytes of images.
#[derive(Clone)]
pub struct Blobs {
    store: Arc<dyn ObjectStore>,
    /// Where they are, when that is on this machine.
    folder: Option<PathBuf>,
    decoders: Arc<Semaphore>,
}

impl Blobs {
    /// In a folder, which is made where needed.
    pub fn folder(folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let store = LocalFileSystem::new_with_prefix(folder)?.with_fsync(true);
        Ok(Self {
            store: Arc::new(store),
            folder: Some(folder.to_owned()),
            decoders: Arc::new(Semaphore::new(DECODERS)),
        })
    }

    /// Whether they can be reached at all.
    pub async fn reach(&self) -> anyhow::Result<()> {
        // A missing folder would only look empty.
        if let Some(folder) = &self.folder {
            let opened = tokio::fs::read_dir(folder).await;
            drop(opened.with_context(|| format!("cannot read {}", folder.display()))?);
        }
        match self.store.head(&content_key("0")).await {
            Ok(_) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(fault) => Err(fault).context("cannot reach the images"),
        }
    }

    /// Looks at an image and stores it, with its thumbnail. Says under which hash, or why it is no image.
    pub async fn add(&self, content: Bytes) -> anyhow::Result<Result<(String, Picture), Fault>> {
        let hash = hex(&Sha256::digest(&content));
        let (picture, thumbnail) = match self.decode(content.clone()).await? {
            Ok(decoded) => decoded,
            Err(fault) => return Ok(Err(fault)),
        };
        self.store
            .put(&content_key(&hash), PutPayload::from(content))
            .await?;
        self.store
            .put(&thumbnail_key(&hash), PutPayload::from(thumbnail))
            .await?;
        Ok(Ok((hash, picture)))
    }

    /// An image's bytes, if they are there.
    pub async fn find(&self, hash: &str) -> anyhow::Result<Option<Bytes>> {
        match self.store.get(&content_key(hash)).await {
            Ok(found) => Ok(Some(found.bytes().await?)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(fault) => Err(fault.into()),
        }
    }

    /// Whether an image's bytes are there.
    pub async fn holds(&self, hash: &str) -> anyhow::Result<bool> {
        match self.store.head(&content_key(hash)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(fault) => Err(fault.into()),
        }
    }

    /// The bytes of an image that was looked at before. Its thumbnail is made when somebody wants it.
    pub async fn put_back(&self, hash: &str, content: Bytes) -> anyhow::Result<()> {
        self.store
            .put(&content_key(hash), PutPayload::from(content))
            .await?;
        Ok(())
    }

    /// An image's bytes.
    pub async fn content(&self, hash: &str) -> anyhow::Result<Bytes> {
        Ok(self.store.get(&content_key(hash)).await?.bytes().await?)
    }

    /// A small upright JPEG of an image; made again if it went missing.
    pub async fn thumbnail(&self, hash: &str) -> anyhow::Result<Bytes> {
        match self.store.get(&thumbnail_key(hash)).await {
            Ok(found) => Ok(found.bytes().await?),
            Err(object_store::Error::NotFound { .. }) => {
                let (_, thumbnail) = self.decode(self.content(hash).await?).await??;
                let thumbnail = Bytes::from(thumbnail);
                self.store
                    .put(&thumbnail_key(hash), PutPayload::from(thumbnail.clone()))
                    .await?;
                Ok(thumbnail)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn decode(&self, content: Bytes) -> anyhow::Result<Result<(Picture, Vec<u8>), Fault>> {
        let permit = Arc::clone(&self.decoders).acquire_owned().await?;
        let decoded = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            picture::decode(&content)
        });
        Ok(decoded.await?)
    }
}

fn content_key(hash: &str) -> Key {
    key("images", hash, "")
}

fn thumbnail_key(hash: &str) -> Key {
    key("thumbnails", hash, ".jpg")
}

/// A folder for each first byte: no folder grows too large to list.
fn key(kind: &str, hash: &str, ending: &str) -> Key {
    let first_byte = hash.get(..2).unwrap_or(hash);
    Key::from(format!("{kind}/{first_byte}/{hash}{ending}"))
}

/// Bytes as people and URLs write them.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a string cannot fail");
            text
        })
}
