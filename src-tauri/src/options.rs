//! What the program is told on its command line.

use clap::Parser;

/// Lockstep: annotate images without ever overwriting each other.
#[derive(Debug, Clone, Parser)]
#[command(version)]
pub struct Options {
    /// Run beside other windows, with a cache and keychain entries of its own.
    #[arg(long, value_name = "NAME", default_value = Self::DEFAULT_PROFILE, value_parser = profile_name)]
    pub profile: String,

    /// Work with this server instead of the bundled one, e.g. http://127.0.0.1:8787
    #[arg(long, value_name = "URL", env = "LOCKSTEP_SERVER")]
    pub server: Option<String>,
}

impl Options {
    /// The profile of who does not ask for another.
    pub const DEFAULT_PROFILE: &str = "default";

    /// Of this process; explains itself and exits where they make no sense.
    pub fn from_args() -> Self {
        Self::parse()
    }
}

/// A profile names a folder and a D-Bus name, so it is kept to what both allow.
fn profile_name(text: &str) -> Result<String, String> {
    let fits = (1..=32).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    fits.then(|| text.to_owned())
        .ok_or_else(|| "a profile is 1 to 32 letters a–z and digits, a letter first".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_never_leaves_its_folder() {
        assert!(profile_name("bob2").is_ok());
        for wrong in ["", "../bob", "a/b", "Bob", "2bob", "bob.old"] {
            assert!(profile_name(wrong).is_err(), "{wrong}");
        }
    }
}
