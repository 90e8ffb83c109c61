//! Waiting for something to be true, with a deadline.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Short beside every deadline, long beside what one look costs.
const BETWEEN_LOOKS: Duration = Duration::from_millis(25);

/// Looks again and again until there is something to see. An error ends the wait; after the deadline the error
/// names what was waited for.
pub async fn until<T>(
    what: impl std::fmt::Display,
    deadline: Duration,
    mut look: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let started = Instant::now();
    loop {
        if let Some(seen) = look().await? {
            return Ok(seen);
        }
        if started.elapsed() > deadline {
            bail!("waited {deadline:?} in vain for {what}");
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_sight_ends_the_wait() {
        let mut looks = 0;
        let seen = until("the third look", Duration::from_secs(5), async || {
            looks += 1;
            Ok((looks == 3).then_some(looks))
        })
        .await
        .expect("seen");
        assert_eq!(seen, 3);
    }

    #[tokio::test]
    async fn a_wait_in_vain_names_what_was_waited_for() {
        let waited = until("godot", Duration::ZERO, async || Ok(None::<()>)).await;
        assert!(waited.expect_err("never comes").to_string().contains("godot"));
    }
}
