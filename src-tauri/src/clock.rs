//! The machine's two clocks, for the core.

use std::time::Duration;

use chrono::{DateTime, Utc};
use lockstep_client::ports::Clock;

/// Wall time, and a steady one that goes on while the machine sleeps.
pub(crate) struct MachineClock;

impl Clock for MachineClock {
    fn wall(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn steady(&self) -> Duration {
        steady()
    }
}

/// Since the machine started, time asleep included: a lease does not wait for a laptop to wake.
#[cfg(unix)]
fn steady() -> Duration {
    use rustix::time::{ClockId, clock_gettime};
    #[cfg(target_os = "linux")]
    let clock = ClockId::Boottime;
    // Apple's monotonic clock counts time asleep; Linux's does not.
    #[cfg(not(target_os = "linux"))]
    let clock = ClockId::Monotonic;
    Duration::try_from(clock_gettime(clock)).expect("time since the start of the machine is not negative")
}

/// Since the program started: Windows' own counter goes on while the machine sleeps.
#[cfg(not(unix))]
fn steady() -> Duration {
    use std::sync::LazyLock;
    use std::time::Instant;
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steady_clock_goes_forward() {
        let before = steady();
        assert!(steady() >= before);
    }
}
