//! Pictures as files, named by what is in them.
//!
//! **Invariant:** a file that is there is whole.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::installation::write_atomically;
use crate::Error;

/// Which of an image's pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// As it was imported.
    Picture,
    /// Small.
    Thumbnail,
}

/// The folders with the pictures.
#[derive(Debug, Clone)]
pub(crate) struct Pictures {
    data_dir: PathBuf,
}

impl Pictures {
    pub(crate) fn new(data_dir: &Path) -> Self {
        Self {
            data_dir: data_dir.to_owned(),
        }
    }

    /// `None` for a hash that is none: it comes from a server and becomes a file's name.
    fn path(&self, kind: Kind, content_hash: &str) -> Option<PathBuf> {
        let is_hash = content_hash.len() == 64 && content_hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        let folder = match kind {
            Kind::Picture => "pictures",
            Kind::Thumbnail => "thumbnails",
        };
        is_hash.then(|| self.data_dir.join(folder).join(content_hash))
    }

    pub(crate) async fn read(&self, kind: Kind, content_hash: &str) -> Result<Option<Bytes>, Error> {
        let Some(path) = self.path(kind, content_hash) else {
            return Ok(None);
        };
        match tokio::fs::read(path).await {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) async fn write(&self, kind: Kind, content_hash: &str, bytes: Bytes) -> Result<(), Error> {
        let Some(path) = self.path(kind, content_hash) else {
            return Ok(());
        };
        tokio::task::spawn_blocking(move || write_atomically(&path, &bytes))
            .await
            .map_err(|_| Error::Closing)?
    }
}

/// The bytes are the ones the hash was made of.
pub(crate) fn matches_hash(bytes: &[u8], content_hash: &str) -> bool {
    let hex: String = Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    hex.eq_ignore_ascii_case(content_hash)
}

/// What a picture is, by its first bytes.
pub(crate) fn sniff(bytes: &[u8]) -> &'static str {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        [0xff, 0xd8, ..] => "image/jpeg",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "image/webp",
        [b'G', b'I', b'F', b'8', ..] => "image/gif",
        [b'B', b'M', ..] => "image/bmp",
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => "image/tiff",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_picture_is_read_back_and_a_name_that_is_no_hash_touches_no_file() {
        let dir = tempfile::tempdir().expect("a folder");
        let pictures = Pictures::new(dir.path());
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert!(matches_hash(b"abc", hash));
        assert_eq!(pictures.read(Kind::Picture, hash).await, Ok(None));
        pictures
            .write(Kind::Picture, hash, Bytes::from_static(b"abc"))
            .await
            .expect("written");
        assert_eq!(
            pictures.read(Kind::Picture, hash).await,
            Ok(Some(Bytes::from_static(b"abc")))
        );
        assert_eq!(pictures.read(Kind::Thumbnail, hash).await, Ok(None));
        pictures
            .write(Kind::Picture, "../../evil", Bytes::from_static(b"abc"))
            .await
            .expect("passed over");
        assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 1);
    }
}
