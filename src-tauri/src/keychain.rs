//! The desktop's keychain, for the core.
//!
//! **Invariant:** a secret goes from the core to the keychain and back, and nowhere else.

use keyring::{Entry, Error};
use lockstep_client::ports::Keychain;

/// The platform's secret store, under one service name per profile.
pub(crate) struct DesktopKeychain {
    service: String,
}

impl DesktopKeychain {
    pub(crate) fn new(profile: &str) -> Self {
        Self {
            service: format!("app.lockstep.{profile}"),
        }
    }

    fn entry(&self, account: &str) -> Result<Entry, String> {
        if let Err(reason) = Entry::store_status() {
            return Err(in_words(reason));
        }
        Entry::new(&self.service, account).map_err(|error| in_words(&error))
    }
}

impl Keychain for DesktopKeychain {
    fn read(&self, account: &str) -> Result<Option<String>, String> {
        match self.entry(account)?.get_password() {
            Ok(secret) => Ok(Some(secret)),
            Err(Error::NoEntry) => Ok(None),
            Err(error) => Err(in_words(&error)),
        }
    }

    fn write(&self, account: &str, secret: &str) -> Result<(), String> {
        self.entry(account)?
            .set_password(secret)
            .map_err(|error| in_words(&error))
    }

    fn delete(&self, account: &str) -> Result<(), String> {
        match self.entry(account)?.delete_credential() {
            Ok(()) | Err(Error::NoEntry) => Ok(()),
            Err(error) => Err(in_words(&error)),
        }
    }
}

fn in_words(error: &Error) -> String {
    tracing::warn!(%error, "the keychain refused");
    match error {
        Error::NoStorageAccess(_) => "this computer's keychain is locked or did not answer".into(),
        _ => "this computer has no usable keychain".into(),
    }
}
