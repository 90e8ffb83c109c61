//! Passwords: which ones will do, and their hashes.
//!
//! **Invariant:** a wrong password and an account that does not exist take the same work. No more passwords are hashed at
//! one time than there are cores, and no more wait than a sign-in has patience for, so that a flood of sign-ins takes
//! neither the server's memory nor its threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::available_parallelism;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use lockstep_wire::{Answer, ApiError, RefusalDetail};
use tokio::sync::Semaphore;

use super::{internal, invalid};
use crate::metrics::Depth;
use crate::settings::PasswordWork;

/// How long a sign-in waits for its turn before it is asked to come again.
const PATIENCE: Duration = Duration::from_secs(5);

/// Sign-ins that may wait for each core: what it hashes within the patience of whoever waits.
const WAITING_PER_CORE: usize = 16;

/// Length is what counts (NIST SP 800-63B). The longest is far above any sentence one would type.
const SHORTEST: usize = 8;
const LONGEST: usize = 256;

/// Of at least [`SHORTEST`] characters, the ones every list of leaked passwords begins with.
const WORN_OUT: [&str; 20] = [
    "12345678",
    "123456789",
    "1234567890",
    "password",
    "password1",
    "password123",
    "passw0rd",
    "qwertyui",
    "qwerty123",
    "qwertyuiop",
    "1q2w3e4r",
    "1qaz2wsx",
    "iloveyou",
    "sunshine",
    "princess",
    "football",
    "baseball",
    "superman",
    "welcome1",
    "lockstep",
];

/// Whether someone may choose this password; a sentence why not.
pub(super) fn check_password_rules(password: &str, email: &str) -> Result<(), RefusalDetail> {
    let length = password.chars().count();
    if length < SHORTEST {
        return Err(invalid(format!(
            "A password needs at least {SHORTEST} characters."
        )));
    }
    if length > LONGEST {
        return Err(invalid(format!("A password has at most {LONGEST} characters.")));
    }
    let plain = password.to_lowercase();
    let first = plain.chars().next();
    if WORN_OUT.contains(&plain.as_str()) || plain.chars().all(|one| Some(one) == first) {
        return Err(invalid("This password is among the first anyone would try."));
    }
    if plain == email.to_lowercase() {
        return Err(invalid("A password must be another text than the email address."));
    }
    Ok(())
}

/// Hashes and compares passwords, off the threads that serve requests and a few at a time.
pub(super) struct Passwords {
    argon: Argon2<'static>,
    /// Checked in place of an account's that does not exist.
    nobodys: String,
    turns: Arc<Semaphore>,
    places: Arc<Semaphore>,
    inside: Depth,
    /// KiB gone over since the start: what an answer cost, whatever the clock says.
    work_done: AtomicU64,
}

impl Passwords {
    pub(super) fn new(work: PasswordWork) -> anyhow::Result<Self> {
        let params = Params::new(work.memory_kib, work.passes, 1, None)
            .map_err(|error| anyhow::anyhow!("passwords cannot be hashed like this: {error}"))?;
        let cores = available_parallelism().map_or(1, usize::from);
        let (memory, passes) = (work.memory_kib, work.passes);
        // No password has this hash, and comparing with it takes the work of any other.
        let (salt, hash) = ("A".repeat(22), "A".repeat(43));
        Ok(Self {
            argon: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            nobodys: format!("$argon2id$v=19$m={memory},t={passes},p=1${salt}${hash}"),
            turns: Arc::new(Semaphore::new(cores)),
            places: Arc::new(Semaphore::new(cores * (1 + WAITING_PER_CORE))),
            inside: Depth::default(),
            work_done: AtomicU64::new(0),
        })
    }

    /// Passwords being hashed, and those that wait for it.
    pub(super) fn waiting(&self) -> usize {
        self.inside.get()
    }

    pub(super) async fn hash(&self, password: String) -> Answer<String> {
        let argon = self.argon.clone();
        let work = move || Ok(argon.hash_password(password.as_bytes())?.to_string());
        self.run(kib_gone_over(self.argon.params()), work).await
    }

    /// Against nothing, a password is wrong after as much work.
    pub(super) async fn verify(&self, password: String, hash: Option<&str>) -> Answer<bool> {
        let argon = self.argon.clone();
        let hash = hash.unwrap_or(&self.nobodys).to_owned();
        let cost = params_of(&hash).map_or(0, |params| kib_gone_over(&params));
        let work = move || {
            let hash = PasswordHash::new(&hash)?;
            Ok(argon.verify_password(password.as_bytes(), &hash).is_ok())
        };
        self.run(cost, work).await
    }

    /// Whether a hash was made with less, or other, work than is asked for today.
    pub(super) fn is_outdated(&self, hash: &str) -> bool {
        params_of(hash).is_none_or(|params| {
            let today = self.argon.params();
            (params.m_cost(), params.t_cost(), params.p_cost())
                != (today.m_cost(), today.t_cost(), today.p_cost())
        })
    }

    async fn run<T: Send + 'static>(
        &self,
        cost: u64,
        work: impl FnOnce() -> argon2::password_hash::Result<T> + Send + 'static,
    ) -> Answer<T> {
        let busy = || ApiError::Later {
            retry_after: PATIENCE,
        };
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| busy())?;
        let inside = self.inside.enter();
        let turn = tokio::time::timeout(PATIENCE, Arc::clone(&self.turns).acquire_owned())
            .await
            .map_err(|_| busy())?;
        let turn = turn.map_err(|closed| internal(&closed.into()))?;
        self.work_done.fetch_add(cost, Ordering::Relaxed);
        // The work goes on when whoever asked has hung up, so it is the work that keeps the turn.
        let work = move || {
            let _kept = (place, turn, inside);
            work()
        };
        let done = tokio::task::spawn_blocking(work)
            .await
            .map_err(|panic| internal(&panic.into()))?;
        done.map_err(|error| internal(&anyhow::anyhow!("a password could not be hashed: {error}")))
    }
}

fn params_of(hash: &str) -> Option<Params> {
    Params::try_from(&PasswordHash::new(hash).ok()?).ok()
}

fn kib_gone_over(params: &Params) -> u64 {
    u64::from(params.m_cost()) * u64::from(params.t_cost())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    #[tokio::test]
    async fn a_password_is_hashed_by_argon2id_over_64_mib_in_three_passes() {
        let passwords = Passwords::new(Settings::default().password_work).expect("a hasher");
        let hash = passwords.hash("correct horse".into()).await.expect("a hash");
        assert!(hash.starts_with("$argon2id$v=19$m=65536,t=3,p=1$"), "{hash}");
        assert!(!passwords.is_outdated(&hash));
        assert!(passwords.is_outdated("$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA"));
        let verify = async |password: &str| passwords.verify(password.into(), Some(&hash)).await;
        assert_eq!(verify("correct horse").await, Ok(true));
        assert_eq!(verify("correct house").await, Ok(false));
    }

    #[tokio::test]
    async fn a_password_checked_against_nobody_takes_the_work_of_any_other() {
        let passwords = Passwords::new(PasswordWork::LEAST).expect("a hasher");
        let hash = passwords.hash("correct horse".into()).await.expect("a hash");
        let work_of = async |hash| {
            let before = passwords.work_done.load(Ordering::Relaxed);
            let right = passwords.verify("guess".into(), hash).await.expect("an answer");
            (right, passwords.work_done.load(Ordering::Relaxed) - before)
        };
        let known = work_of(Some(hash.as_str())).await;
        assert_eq!(known, work_of(None).await);
        assert_eq!(known, (false, kib_gone_over(passwords.argon.params())));
    }

    #[tokio::test]
    async fn more_sign_ins_than_can_wait_are_asked_to_come_again() {
        let passwords = Passwords::new(PasswordWork::LEAST).expect("a hasher");
        let places = passwords.places.available_permits();
        let all = Arc::clone(&passwords.places)
            .try_acquire_many_owned(places as u32)
            .expect("nobody waits yet");
        let refused = passwords.verify("guess".into(), None).await;
        assert_eq!(
            refused,
            Err(ApiError::Later {
                retry_after: PATIENCE
            })
        );
        drop(all);
        assert_eq!(passwords.verify("guess".into(), None).await, Ok(false));
    }

    #[test]
    fn a_password_is_long_enough_and_not_the_first_anyone_would_try() {
        let check = |password: &str| check_password_rules(password, "ann@example.org");
        for will_do in ["correct horse", "åäö åäö!", &"x y".repeat(80)] {
            assert_eq!(check(will_do), Ok(()), "{will_do}");
        }
        for will_not in [
            "seven 7",
            "Password1",
            "aaaaaaaaaaaa",
            "Ann@example.org",
            &"x y".repeat(90),
        ] {
            assert!(check(will_not).is_err(), "{will_not}");
        }
    }
}
