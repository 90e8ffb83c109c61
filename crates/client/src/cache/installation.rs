//! What this installation is and who used it last: a small file beside the databases.
//!
//! **Invariant:** no token is ever in it.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use lockstep_wire::{ClientId, User};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::Error;

/// Kept in `installation.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Installation {
    /// What this window's locks belong to, over restarts.
    pub client_id: ClientId,
    /// Who was signed in, and at which server.
    pub account: Option<Account>,
}

/// Someone at some server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Account {
    pub server: String,
    pub user: User,
}

impl Installation {
    /// Reads the file, or makes a new installation.
    pub(crate) fn load(data_dir: &Path) -> Result<Self, Error> {
        let path = data_dir.join("installation.json");
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| Error::Storage(error.to_string())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let client_id = ClientId(uuid::Uuid::new_v4().to_string());
                let new = Self {
                    client_id,
                    account: None,
                };
                new.store(data_dir)?;
                Ok(new)
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn store(&self, data_dir: &Path) -> Result<(), Error> {
        let bytes = serde_json::to_vec_pretty(self).map_err(|error| Error::Storage(error.to_string()))?;
        write_atomically(&data_dir.join("installation.json"), &bytes)
    }
}

impl Account {
    /// Where this person's work of this server is kept.
    pub(crate) fn cache_path(&self, data_dir: &Path) -> PathBuf {
        let digest = Sha256::digest(format!("{}\n{}", self.server, self.user.id));
        let name: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        data_dir.join("accounts").join(format!("{name}.sqlite"))
    }
}

/// Either the old content or the new, also after a power cut.
pub(super) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let folder = path
        .parent()
        .ok_or_else(|| Error::Storage("a file without a folder".to_owned()))?;
    std::fs::create_dir_all(folder)?;
    let unfinished = path.with_extension(format!("{}.part", uuid::Uuid::new_v4()));
    let mut file = std::fs::File::create(&unfinished)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::rename(&unfinished, path));
    if let Err(error) = written {
        // The error that matters is the one above; what is left is only an unfinished file.
        drop(std::fs::remove_file(&unfinished));
        return Err(error.into());
    }
    #[cfg(unix)]
    std::fs::File::open(folder)?.sync_all()?;
    Ok(())
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Storage(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockstep_wire::UserId;

    #[test]
    fn an_installation_stays_the_same_one() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut first = Installation::load(dir.path()).expect("an installation");
        let user = User {
            id: UserId(1),
            name: "Alice".to_owned(),
            email: "a@example.org".to_owned(),
        };
        first.account = Some(Account {
            server: "http://localhost".to_owned(),
            user,
        });
        first.store(dir.path()).expect("stored");
        assert_eq!(Installation::load(dir.path()).expect("an installation"), first);
    }

    #[test]
    fn two_people_and_two_servers_have_a_cache_each() {
        let path = |server: &str, id| {
            let user = User {
                id: UserId(id),
                name: String::new(),
                email: String::new(),
            };
            Account {
                server: server.to_owned(),
                user,
            }
            .cache_path(Path::new("/d"))
        };
        assert_ne!(path("http://a", 1), path("http://a", 2));
        assert_ne!(path("http://a", 1), path("http://b", 1));
        assert_eq!(path("http://a", 1), path("http://a", 1));
    }
}
