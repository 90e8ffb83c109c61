//! What the core needs of the machine it runs on. The shell gives the real ones, tests their own.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// Where the refresh token lives between runs. Calls may block; the core makes them off its async threads.
pub trait Keychain: Send + Sync + 'static {
    /// What was stored for `account` (server and user), or nothing. `Err` is a sentence: why there is no
    /// usable keychain.
    fn read(&self, account: &str) -> Result<Option<String>, String>;
    /// Stores.
    fn write(&self, account: &str, secret: &str) -> Result<(), String>;
    /// Forgets; nothing stored is no error.
    fn delete(&self, account: &str) -> Result<(), String>;
}

/// Time as an argument: the only place the core reads it from.
pub trait Clock: Send + Sync + 'static {
    /// For display and stamps; may jump.
    fn wall(&self) -> DateTime<Utc>;
    /// For deadlines; never jumps back and counts time spent suspended.
    fn steady(&self) -> Duration;
}
