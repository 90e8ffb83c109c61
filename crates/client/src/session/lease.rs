//! A lease as far as this machine may rely on it, and when to renew it.
//!
//! **Invariant:** nothing here reads a clock or chance.

use std::time::Duration;

use lockstep_wire::Generation;

/// The lease runs out this share of it early here, for clocks that run at different speeds and answers that
/// took their time.
const SAFETY: u32 = 10;
/// Jeopardy is shown this long before the deadline, or a fifth of a short lease.
const JEOPARDY: Duration = Duration::from_secs(60);
/// A failed beat is sent again after these shares of the lease: 5, 10, 20 and 30 s of five minutes.
const RETRY_SHARES: [u32; 4] = [60, 30, 15, 10];
/// When the server does not say how often to beat.
const BEATS_PER_LEASE: (u32, u32) = (2, 5);

/// A lock this machine may rely on until its own, early deadline.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Lease {
    /// Which grant.
    pub generation: Generation,
    /// When it must be presumed lost.
    pub deadline: Duration,
    ttl: Duration,
    beat_every: Duration,
    /// `None` while one is under way.
    next_beat: Option<Duration>,
    failures: usize,
}

/// What an answer told of a lease.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Renewal {
    /// Which grant.
    pub generation: Generation,
    /// When the request was sent: the lease started no earlier.
    pub sent_at: Duration,
    /// How long it lasts.
    pub ttl: Duration,
    /// How often to beat, where the server said so.
    pub beat_every: Option<Duration>,
}

impl Lease {
    pub(super) fn new(renewal: Renewal) -> Self {
        let Renewal {
            generation,
            sent_at,
            ttl,
            beat_every,
        } = renewal;
        let beat_every = beat_every
            .unwrap_or(ttl * BEATS_PER_LEASE.0 / BEATS_PER_LEASE.1)
            .min(ttl / 2);
        let deadline = sent_at + ttl - ttl / SAFETY;
        Self {
            generation,
            deadline,
            ttl,
            beat_every,
            next_beat: Some(sent_at + beat_every),
            failures: 0,
        }
    }

    /// Never shortens: an answer to an older beat may arrive after a newer one's.
    pub(super) fn renew(&mut self, renewal: Renewal) {
        let beat_every = renewal.beat_every.unwrap_or(self.beat_every);
        let renewed = Self::new(Renewal {
            beat_every: Some(beat_every),
            ..renewal
        });
        if renewed.deadline >= self.deadline {
            *self = renewed;
        } else {
            self.next_beat = Some(renewal.sent_at + beat_every);
        }
    }

    pub(super) fn jeopardy_from(&self) -> Duration {
        self.deadline.saturating_sub(JEOPARDY.min(self.ttl / 5))
    }

    pub(super) fn retry_after(&mut self, now: Duration, jitter: f64) {
        let share = RETRY_SHARES[self.failures.min(RETRY_SHARES.len() - 1)];
        self.failures += 1;
        self.next_beat = Some(now + (self.ttl / share).mul_f64(0.5 + jitter.clamp(0.0, 1.0)));
    }

    /// As told, but not so late that the lock is lost for it.
    pub(super) fn beat_later(&mut self, now: Duration, retry_after: Duration) {
        let latest = self.jeopardy_from().max(now + self.ttl / SAFETY);
        self.next_beat = Some((now + retry_after).min(latest));
    }

    /// News that the lock may be gone: a beat tells, at once.
    pub(super) fn hurry(&mut self, now: Duration) {
        self.next_beat = self.next_beat.map(|next| next.min(now));
    }

    /// Begins a beat when one is due; how long its answer is worth waiting for.
    pub(super) fn take_beat(&mut self, now: Duration) -> Option<Duration> {
        self.next_beat.take_if(|next| *next <= now).map(|_| self.ttl / 5)
    }

    pub(super) fn next_beat_or_deadline(&self) -> Duration {
        self.next_beat
            .map_or(self.deadline, |next| next.min(self.deadline))
    }

    /// When time alone changes something, before jeopardy.
    pub(super) fn wake_at(&self) -> Duration {
        self.next_beat_or_deadline().min(self.jeopardy_from())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_lease_scales_everything_down() {
        let lease = Lease::new(Renewal {
            generation: Generation(1),
            sent_at: Duration::ZERO,
            ttl: Duration::from_secs(3),
            beat_every: None,
        });
        assert_eq!(lease.deadline, Duration::from_millis(2700));
        assert_eq!(lease.next_beat, Some(Duration::from_millis(1200)));
        assert_eq!(lease.jeopardy_from(), Duration::from_millis(2100));
    }
}
