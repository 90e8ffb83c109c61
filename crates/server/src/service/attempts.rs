//! How often someone may try to sign in, by account and by address.
//!
//! **Invariant:** no address and no email address is kept, only hashes of them under a key of this process's own, and those
//! only while they count.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::IpAddr;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};
use lockstep_wire::{Refusal, RefusalDetail};

use crate::settings::{Attempts, Settings};

pub(super) struct SignInAttempts {
    keys: RandomState,
    accounts: DefaultKeyedRateLimiter<u64>,
    addresses: DefaultKeyedRateLimiter<u64>,
    clock: DefaultClock,
}

impl SignInAttempts {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            keys: RandomState::new(),
            accounts: limiter(settings.attempts_per_account),
            addresses: limiter(settings.attempts_per_address),
            clock: DefaultClock::default(),
        }
    }

    /// Counts one, or says when the next may be made. The address comes first: whoever is refused by it cannot use up
    /// someone else's attempts.
    pub(super) fn count(&self, email: &str, from: Option<IpAddr>) -> Result<(), RefusalDetail> {
        if let Some(from) = from {
            self.check(&self.addresses, neighbourhood(from))?;
        }
        self.check(&self.accounts, email.trim().to_lowercase())
    }

    fn check(&self, limiter: &DefaultKeyedRateLimiter<u64>, key: impl Hash) -> Result<(), RefusalDetail> {
        limiter.check_key(&self.keys.hash_one(key)).map_err(|until| {
            let wait = until.wait_time_from(self.clock.now());
            let retry_after = wait.as_secs() + 1;
            Refusal::TooManyRequests { retry_after }
                .because("There were too many attempts to sign in. Please wait and try again.")
        })
    }

    /// Forgets whoever may try as often as anyone by now.
    pub(super) fn prune(&self) {
        for limiter in [&self.accounts, &self.addresses] {
            if !limiter.is_empty() {
                limiter.retain_recent();
                limiter.shrink_to_fit();
            }
        }
    }
}

fn limiter(attempts: Attempts) -> DefaultKeyedRateLimiter<u64> {
    let quota = Quota::with_period(attempts.then_every).unwrap_or(Quota::per_second(attempts.at_once));
    DefaultKeyedRateLimiter::keyed(quota.allow_burst(attempts.at_once))
}

/// Whoever has one IPv6 address has the 2^64 beside it.
fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use super::*;

    fn attempts(per_account: u32, per_address: u32) -> SignInAttempts {
        let attempts = |at_once| Attempts {
            at_once: NonZeroU32::new(at_once).expect("not zero"),
            then_every: Duration::from_secs(60),
        };
        SignInAttempts::new(&Settings {
            attempts_per_account: attempts(per_account),
            attempts_per_address: attempts(per_address),
            ..Settings::default()
        })
    }

    const HERE: [u8; 4] = [192, 0, 2, 1];

    #[test]
    fn an_account_is_tried_a_few_times_from_wherever_and_however_it_is_written() {
        let attempts = attempts(2, 100);
        let count = |email: &str, last| attempts.count(email, Some([192, 0, 2, last].into()));
        assert_eq!(count("ann@example.org", 1), Ok(()));
        assert_eq!(count(" Ann@Example.org", 2), Ok(()));
        let refused = count("ann@example.org", 3).expect_err("too often");
        let Refusal::TooManyRequests { retry_after } = refused.refusal else {
            panic!("{refused:?}")
        };
        assert!((59..=61).contains(&retry_after), "{retry_after}");
        assert_eq!(count("ben@example.org", 3), Ok(()), "another account");
    }

    #[test]
    fn an_address_tries_a_few_times_whatever_accounts_it_names() {
        let attempts = attempts(100, 2);
        let count = |email: &str, from: IpAddr| attempts.count(email, Some(from)).is_ok();
        assert!(count("a", HERE.into()));
        assert!(count("b", HERE.into()));
        assert!(!count("c", HERE.into()));
        assert!(count("c", [192, 0, 2, 2].into()));
        let v6 = |last| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, last]);
        assert!(count("c", v6(1)));
        assert!(count("c", v6(2)));
        assert!(!count("c", v6(3)), "one line has them all");
    }

    #[test]
    fn who_is_refused_by_his_address_uses_up_nobodys_attempts() {
        let attempts = attempts(1, 1);
        assert!(attempts.count("a", Some(HERE.into())).is_ok());
        assert!(attempts.count("ann", Some(HERE.into())).is_err());
        assert!(attempts.count("ann", Some([192, 0, 2, 2].into())).is_ok());
    }

    #[test]
    fn what_counts_no_more_is_forgotten() {
        let soon = Attempts {
            at_once: NonZeroU32::new(1).expect("not zero"),
            then_every: Duration::from_millis(1),
        };
        let attempts = SignInAttempts::new(&Settings {
            attempts_per_account: soon,
            attempts_per_address: soon,
            ..Settings::default()
        });
        for number in 0..1000_u32 {
            let from = IpAddr::from(number.to_be_bytes());
            attempts
                .count(&number.to_string(), Some(from))
                .expect("the first of each");
        }
        let began = std::time::Instant::now();
        while attempts.accounts.len() + attempts.addresses.len() > 0 {
            attempts.prune();
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "they are never forgotten"
            );
        }
    }
}
