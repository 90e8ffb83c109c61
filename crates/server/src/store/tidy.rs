//! How long the store remembers what nobody will ask for again.

use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a client sends a write again from its journal.
const JOURNAL: Duration = DAY.saturating_mul(30);

/// The ages at which things may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// What idempotency keys did.
    pub keys: Duration,
    /// Grants that have ended, but for the newest of each image.
    pub grants: Duration,
    /// Refresh tokens that were exchanged for another.
    pub tokens: Duration,
}

impl Kept {
    /// Long after anyone could still ask.
    pub const LONG: Self = Self {
        keys: JOURNAL.saturating_mul(3),
        grants: DAY.saturating_mul(365),
        tokens: DAY.saturating_mul(90),
    };
}

/// Things of a kind that go in one step, so that no step holds up the writes that people wait for.
pub(crate) const TIDIED_AT_ONCE: u32 = 500;
