//! Loops that must outlive a fault of ours: a panic is no reason to stop syncing until the next start.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;

/// A fault that comes back at once must not keep a core busy.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs until the loop ends of itself; one that panics is begun anew. The panic hook has said what it was.
pub(crate) async fn keep_running<F: Future<Output = ()>>(what: &str, mut begin: impl FnMut() -> F) {
    while has_panicked(begin()).await {
        tracing::error!("{what} failed unexpectedly and is begun again");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Runs to the end or to a panic.
pub(crate) async fn has_panicked(work: impl Future<Output = ()>) -> bool {
    AssertUnwindSafe(work).catch_unwind().await.is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_loop_that_panics_is_begun_again_and_one_that_ends_is_not() {
        let mut runs = 0;
        keep_running("a test", || {
            runs += 1;
            let run = runs;
            async move { assert!(run == 2, "run {run}") }
        })
        .await;
        assert_eq!(runs, 2);
    }
}
