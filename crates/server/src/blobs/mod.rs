//! The bytes of images, each under its SHA-256, and a thumbnail beside it: in a folder, or in an S3-compatible bucket.
//!
//! **Invariant:** what is under a hash never changes, so it may be cached for ever and written twice without harm; and it
//! appears there whole or not at all.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::client::ClientConfigKey;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::prefix::PrefixStore;
use object_store::{
    BackoffConfig, GetOptions, GetRange, ObjectStore, ObjectStoreExt as _, PutPayload, RetryConfig,
};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use crate::metrics::Depth;

mod picture;
mod source;
#[cfg(test)]
mod tests;

pub use picture::{Fault, Picture};
pub use source::{Source, Spool};

use crate::settings::PictureLimits;

/// Bytes of one part of an upload to a bucket, all of which but the last have at least 5 MiB there.
const PART: usize = 8 << 20;

const MIB: u64 = 1 << 20;

/// Why bytes could not be kept or given.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// They are nowhere.
    #[error("the bytes are missing")]
    Missing,
    /// Bucket or folder did not do as asked; it may later.
    #[error("the images cannot be reached")]
    Unreachable(#[source] object_store::Error),
    /// What was to be added cannot be read.
    #[error("the file cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// What should not happen.
    #[error("the images failed")]
    Failed(#[source] anyhow::Error),
}

impl From<object_store::Error> for Trouble {
    fn from(error: object_store::Error) -> Self {
        match error {
            object_store::Error::NotFound { .. } => Self::Missing,
            error => Self::Unreachable(error),
        }
    }
}

/// Some bytes on their way.
pub struct Stretch {
    /// Of the whole.
    pub size: u64,
    /// Which of them these are.
    pub range: Range<u64>,
    /// As they come.
    pub stream: BoxStream<'static, Result<Bytes, Trouble>>,
}

/// A place for the bytes of images.
#[derive(Clone)]
pub struct Blobs {
    store: Arc<dyn ObjectStore>,
    /// Where they are, unless they are elsewhere.
    folder: Option<PathBuf>,
    limits: PictureLimits,
    decoders: Arc<Decoders>,
    /// Thumbnails being made: whoever wants the same one waits for it.
    making: Arc<Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>>,
}

/// Who may decode now: as many as there are cores, and no more than the memory is for.
struct Decoders {
    cores: Arc<Semaphore>,
    mib: Arc<Semaphore>,
    /// Pictures decoded since the start.
    decoded: AtomicU64,
    waiting: Depth,
}

impl Decoders {
    fn new(limits: &PictureLimits) -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self {
            cores: Arc::new(Semaphore::new(cores)),
            mib: Arc::new(Semaphore::new((limits.memory / MIB) as usize)),
            decoded: AtomicU64::new(0),
            waiting: Depth::default(),
        }
    }
}

impl Blobs {
    /// By its address: `s3://BUCKET/PREFIX`, or a folder, which is made where needed.
    pub fn open(place: &str) -> anyhow::Result<Self> {
        match place.split_once("://") {
            Some(("s3", bucket_and_prefix)) => Self::bucket(bucket_and_prefix),
            Some((scheme, _)) => {
                bail!("images are kept in a folder or in s3://BUCKET/PREFIX, not in {scheme}://")
            }
            None => Self::folder(Path::new(place)),
        }
    }

    /// In a folder, which is made where needed.
    pub fn folder(folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let store = LocalFileSystem::new_with_prefix(folder)?.with_fsync(true);
        Ok(Self::new(Arc::new(store), Some(folder.to_owned())))
    }

    /// Region, endpoint, keys and whether plain HTTP will do come from the usual `AWS_…` variables.
    fn bucket(bucket_and_prefix: &str) -> anyhow::Result<Self> {
        Self::bucket_by(AmazonS3Builder::from_env(), bucket_and_prefix)
    }

    fn bucket_by(builder: AmazonS3Builder, bucket_and_prefix: &str) -> anyhow::Result<Self> {
        let (bucket, prefix) = bucket_and_prefix
            .split_once('/')
            .unwrap_or((bucket_and_prefix, ""));
        ensure!(!bucket.is_empty(), "the bucket has no name: s3://BUCKET/PREFIX");
        let client = |key, seconds: &str| (AmazonS3ConfigKey::Client(key), seconds.to_owned());
        let patience = [
            client(ClientConfigKey::ConnectTimeout, "5 seconds"),
            // Of one read: a large picture may take its time as a whole.
            client(ClientConfigKey::ReadTimeout, "30 seconds"),
            client(ClientConfigKey::Timeout, "10 minutes"),
        ];
        let builder = patience
            .into_iter()
            .fold(builder, |builder, (key, value)| builder.with_config(key, value));
        // Whoever waits is told to come again before his own patience ends.
        let retry = RetryConfig {
            max_retries: 3,
            retry_timeout: Duration::from_secs(10),
            backoff: BackoffConfig {
                max_backoff: Duration::from_secs(1),
                ..BackoffConfig::default()
            },
        };
        let store = builder
            .with_bucket_name(bucket)
            .with_retry(retry)
            .build()
            .with_context(|| format!("the bucket {bucket} cannot be used"))?;
        let prefix = Key::parse(prefix).with_context(|| format!("{prefix} cannot be a prefix"))?;
        Ok(Self::new(Arc::new(PrefixStore::new(store, prefix)), None))
    }

    fn new(store: Arc<dyn ObjectStore>, folder: Option<PathBuf>) -> Self {
        let limits = PictureLimits::default();
        Self {
            store,
            folder,
            decoders: Arc::new(Decoders::new(&limits)),
            limits,
            making: Arc::default(),
        }
    }

    /// The same place, for pictures within these limits.
    pub(crate) fn limited(self, limits: PictureLimits) -> Self {
        Self {
            decoders: Arc::new(Decoders::new(&limits)),
            limits,
            ..self
        }
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

    /// Under which hash an image is, or would be; or that it is too large to be taken.
    pub async fn hash(&self, source: &Source) -> Result<Result<(String, u64), Fault>, Trouble> {
        let (source, most) = (source.clone(), self.limits.bytes);
        let (hash, length) = blocking(move || source.hash(most)).await??;
        Ok(hash.map(|hash| (hash, length)).ok_or(Fault::TooManyBytes(most)))
    }

    /// Looks at an image and stores it under its hash, with its thumbnail; or says why it is no image.
    pub async fn add(
        &self,
        source: &Source,
        hash: &str,
        length: u64,
    ) -> Result<Result<Picture, Fault>, Trouble> {
        let (picture, thumbnail) = match self.decode(source, length).await? {
            Ok(decoded) => decoded,
            Err(fault) => return Ok(Err(fault)),
        };
        self.put(source, hash, length).await?;
        self.store
            .put(&thumbnail_key(hash), PutPayload::from(thumbnail))
            .await?;
        Ok(Ok(picture))
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

    async fn put(&self, source: &Source, hash: &str, length: u64) -> Result<(), Trouble> {
        let key = content_key(hash);
        match self.store.head(&key).await {
            Ok(there) if there.size == length => return Ok(()),
            Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let mut parts = source.parts(PART).await?;
        let (first, mut next) = (parts.next().await?, parts.next().await?);
        if next.is_empty() {
            expect_hash(&Sha256::digest(&first), hash)?;
            self.store.put(&key, PutPayload::from(first)).await?;
            return Ok(());
        }
        let mut hashed = Sha256::new_with_prefix(&first);
        let mut upload = self.store.put_multipart(&key).await?;
        let uploaded = async {
            upload.put_part(first.into()).await?;
            while !next.is_empty() {
                hashed.update(&next);
                upload.put_part(std::mem::take(&mut next).into()).await?;
                next = parts.next().await?;
            }
            expect_hash(&hashed.finalize(), hash)?;
            upload.complete().await?;
            Ok(())
        };
        let uploaded = uploaded.await;
        if uploaded.is_err() {
            // Nothing half written stays, as far as that can still be seen to.
            let _ = upload.abort().await;
        }
        uploaded
    }

    /// An image's bytes, or those of a range of them that is within.
    pub async fn content(&self, hash: &str, range: Option<Range<u64>>) -> Result<Stretch, Trouble> {
        let options = GetOptions::new().with_range(range.map(GetRange::Bounded));
        let found = self.store.get_opts(&content_key(hash), options).await?;
        Ok(Stretch {
            size: found.meta.size,
            range: found.range.clone(),
            stream: found.into_stream().map(|part| Ok(part?)).boxed(),
        })
    }

    /// How many bytes an image has.
    pub async fn size(&self, hash: &str) -> Result<u64, Trouble> {
        Ok(self.store.head(&content_key(hash)).await?.size)
    }

    /// A small upright JPEG of an image; made again if it went missing, once for all who ask meanwhile.
    pub async fn thumbnail(&self, hash: &str) -> Result<Bytes, Trouble> {
        if let Some(found) = self.stored_thumbnail(hash).await? {
            return Ok(found);
        }
        let turn = self.turn_to_make(hash);
        let _mine = turn.lock().await;
        if let Some(found) = self.stored_thumbnail(hash).await? {
            return Ok(found);
        }
        let mut spool = Spool::new().await?;
        let mut content = self.content(hash, None).await?;
        while let Some(part) = content.stream.next().await {
            spool.write(&part?).await?;
        }
        let source = spool.finish().await?;
        let decoded = self.decode(&source, content.size).await?;
        let (_, thumbnail) = decoded.map_err(|fault| Trouble::Failed(fault.into()))?;
        let thumbnail = Bytes::from(thumbnail);
        let payload = PutPayload::from(thumbnail.clone());
        self.store.put(&thumbnail_key(hash), payload).await?;
        Ok(thumbnail)
    }

    async fn stored_thumbnail(&self, hash: &str) -> Result<Option<Bytes>, Trouble> {
        match self.store.get(&thumbnail_key(hash)).await {
            Ok(found) => Ok(Some(found.bytes().await?)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn turn_to_make(&self, hash: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut making = self
            .making
            .lock()
            .expect("nothing panics while it holds this map");
        making.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = making.get(hash).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::default();
        making.insert(hash.to_owned(), Arc::downgrade(&turn));
        turn
    }

    /// Pictures that are being decoded or wait for it.
    pub(crate) fn decoders_waiting(&self) -> usize {
        self.decoders.waiting.get()
    }

    /// Off the threads that serve requests, and only once there is memory for what the header announces.
    async fn decode(
        &self,
        source: &Source,
        length: u64,
    ) -> Result<Result<(Picture, Vec<u8>), Fault>, Trouble> {
        let _inside = self.decoders.waiting.enter();
        // Some decoders read the whole file before they know its header.
        let look = {
            let (source, limits) = (source.clone(), self.limits);
            move || picture::look(&source, &limits)
        };
        let needed = match self.in_turn(length, look).await?? {
            Ok(memory) => memory.saturating_add(length),
            Err(fault) => return Ok(Err(fault)),
        };
        if needed > self.limits.memory {
            return Ok(Err(Fault::TooLarge));
        }
        self.decoders.decoded.fetch_add(1, Ordering::Relaxed);
        let (source, limits) = (source.clone(), self.limits);
        Ok(self
            .in_turn(needed, move || picture::decode(&source, &limits))
            .await??)
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        memory: u64,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Trouble> {
        let most = self.limits.memory / MIB;
        let mib = (memory.div_ceil(MIB)).clamp(1, most.max(1)) as u32;
        let closed = |closed: tokio::sync::AcquireError| Trouble::Failed(closed.into());
        let room = Arc::clone(&self.decoders.mib).acquire_many_owned(mib).await;
        let room = room.map_err(closed)?;
        let core = Arc::clone(&self.decoders.cores).acquire_owned().await;
        let core = core.map_err(closed)?;
        blocking(move || {
            let _kept = (room, core);
            work()
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Trouble> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|panic| Trouble::Failed(panic.into()))
}

/// A file may be written while it is read.
fn expect_hash(found: &[u8], hash: &str) -> Result<(), Trouble> {
    match hex(found) == hash {
        true => Ok(()),
        false => Err(Trouble::Unreadable(std::io::Error::other(
            "it was changed while it was read",
        ))),
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
