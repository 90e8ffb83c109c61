//! Where an image's bytes come from before they are stored: memory, or a file, read as often as needed and never whole.

use std::io::{self, BufRead, BufReader, Cursor, Read as _, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use sha2::{Digest as _, Sha256};
use tempfile::{NamedTempFile, TempPath};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::hex;

/// Bytes that can be read more than once.
#[derive(Debug, Clone)]
pub enum Source {
    /// Here they are.
    Memory(Bytes),
    /// Someone else's file.
    File(PathBuf),
    /// What was received, until nobody needs it any more.
    Spooled(Arc<TempPath>),
}

pub(super) trait Reader: BufRead + Seek + Send {}

impl<T: BufRead + Seek + Send> Reader for T {}

impl Source {
    fn path(&self) -> Option<&Path> {
        match self {
            Self::Memory(_) => None,
            Self::File(path) => Some(path),
            Self::Spooled(path) => Some(path),
        }
    }

    /// From the beginning.
    pub(super) fn read(&self) -> io::Result<Box<dyn Reader>> {
        Ok(match self {
            Self::Memory(bytes) => Box::new(Cursor::new(bytes.clone())),
            Self::File(path) => Box::new(BufReader::new(std::fs::File::open(path)?)),
            Self::Spooled(path) => Box::new(BufReader::new(std::fs::File::open(&**path)?)),
        })
    }

    /// SHA-256 in hex, and the length; no hash where it is longer than `limit`.
    pub(super) fn hash(&self, limit: u64) -> io::Result<(Option<String>, u64)> {
        let mut reader = self.read()?.take(limit.saturating_add(1));
        let (mut hash, mut length) = (Sha256::new(), 0);
        loop {
            let chunk = reader.fill_buf()?;
            if chunk.is_empty() {
                break;
            }
            hash.update(chunk);
            let read = chunk.len();
            length += read as u64;
            reader.consume(read);
        }
        Ok(((length <= limit).then(|| hex(&hash.finalize())), length))
    }

    /// In parts of `size` bytes, the last of which may be smaller.
    pub(super) async fn parts(&self, size: usize) -> io::Result<Parts> {
        let rest = match self.path() {
            Some(path) => Rest::File(tokio::fs::File::open(path).await?),
            None => match self {
                Self::Memory(bytes) => Rest::Memory(bytes.clone()),
                _ => Rest::Memory(Bytes::new()),
            },
        };
        Ok(Parts { rest, size })
    }
}

enum Rest {
    Memory(Bytes),
    File(tokio::fs::File),
}

pub(super) struct Parts {
    rest: Rest,
    size: usize,
}

impl Parts {
    /// Empty at the end.
    pub(super) async fn next(&mut self) -> io::Result<Bytes> {
        match &mut self.rest {
            Rest::Memory(bytes) => Ok(bytes.split_to(self.size.min(bytes.len()))),
            Rest::File(file) => {
                let mut part = BytesMut::with_capacity(self.size);
                while part.len() < self.size {
                    let room = (self.size - part.len()) as u64;
                    if (&mut *file).take(room).read_buf(&mut part).await? == 0 {
                        break;
                    }
                }
                Ok(part.freeze())
            }
        }
    }
}

/// A file in the making, in the system's folder for temporary ones; it goes when it is dropped.
pub struct Spool {
    file: tokio::fs::File,
    path: TempPath,
}

impl Spool {
    /// An empty one.
    pub async fn new() -> io::Result<Self> {
        let made = tokio::task::spawn_blocking(NamedTempFile::new).await;
        let (file, path) = made.map_err(io::Error::other)??.into_parts();
        Ok(Self {
            file: file.into(),
            path,
        })
    }

    /// Adds to it.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes).await
    }

    /// All is there.
    pub async fn finish(mut self) -> io::Result<Source> {
        self.file.flush().await?;
        Ok(Source::Spooled(Arc::new(self.path)))
    }
}
