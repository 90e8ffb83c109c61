//! How long the sync loop waits when nobody wakes it.
//!
//! **Invariant:** the timer is always armed.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};

/// Nothing to do: hints may have been lost, so look now and then.
const IDLE: Duration = Duration::from_secs(30);
/// Work waits for someone's lock; that it is free is told, this is for when it was not.
const LOCKED: Duration = Duration::from_secs(10);
/// After trouble, soon at first.
const TROUBLE_FIRST: Duration = Duration::from_millis(300);
/// Doubled at most by jitter: an outbox drains within a minute of the network's return.
const TROUBLE_MOST: Duration = Duration::from_secs(15);

/// How a round went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Round {
    /// Something got no answer.
    pub trouble: bool,
    /// Work waits for a lock.
    pub locked: bool,
    /// The server asked not to come before this.
    pub later: Option<Duration>,
}

/// The pauses between rounds.
pub(super) struct Pauses {
    trouble: ExponentialBackoff,
}

impl Pauses {
    pub(super) fn new() -> Self {
        Self {
            trouble: after_trouble(),
        }
    }

    /// How long to wait after this round.
    pub(super) fn after(&mut self, round: Round) -> Duration {
        if let Some(later) = round.later {
            return later;
        }
        if round.trouble {
            return self.trouble.next().unwrap_or(TROUBLE_MOST);
        }
        self.trouble = after_trouble();
        if round.locked { LOCKED } else { IDLE }
    }
}

fn after_trouble() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(TROUBLE_FIRST)
        .with_max_delay(TROUBLE_MOST)
        .with_jitter()
        .without_max_times()
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_waits_longer_each_time_and_success_begins_anew() {
        let trouble = Round {
            trouble: true,
            ..Round::default()
        };
        let mut pauses = Pauses::new();
        let first = pauses.after(trouble);
        assert!(first >= TROUBLE_FIRST && first <= TROUBLE_FIRST * 2);
        for _ in 0..20 {
            assert!(pauses.after(trouble) <= TROUBLE_MOST * 2);
        }
        assert!(pauses.after(trouble) >= TROUBLE_MOST);
        assert_eq!(pauses.after(Round::default()), IDLE);
        assert!(pauses.after(trouble) <= TROUBLE_FIRST * 2);
    }

    #[test]
    fn e33_the_servers_word_goes_before_ones_own() {
        let later = Some(Duration::from_secs(7));
        assert_eq!(
            Pauses::new().after(Round {
                trouble: true,
                locked: true,
                later
            }),
            Duration::from_secs(7)
        );
    }
}
