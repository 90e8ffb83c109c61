//! Callers that do the same thing over and over for a while, and what came of it.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures::future::try_join_all;
use tokio::runtime;
use tokio::task::LocalSet;

use crate::caller::Caller;
use crate::machine::processor_time;

/// Callers at one time.
pub(crate) const CALLERS: usize = 32;

/// Threads the callers share: as many as the machine has cores.
const THREADS: usize = 2;

/// What one caller does.
pub(crate) trait Work: Sized {
    /// What it needs to begin.
    type World: Sync;

    /// Makes ready; not measured.
    async fn begin(world: &Self::World, number: usize) -> Result<Self>;

    /// Does it once.
    async fn round(&mut self) -> Result<()>;

    /// Whose answers are timed.
    fn caller(&mut self) -> &mut Caller;
}

/// What a while of work came to.
#[derive(Default)]
pub(crate) struct Figures {
    time: Duration,
    processor: Duration,
    latencies: Vec<Duration>,
}

impl Figures {
    pub(crate) fn add(&mut self, other: Self) {
        self.time += other.time;
        self.processor += other.processor;
        self.latencies.extend(other.latencies);
        self.latencies.sort_unstable();
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.time.as_secs_f64()
    }

    /// Of the serving processes, for one request.
    pub(crate) fn processor_us(&self) -> f64 {
        self.processor.as_secs_f64() * 1e6 / self.latencies.len().max(1) as f64
    }

    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        percentile(&self.latencies, percent)
    }
}

/// Of sorted times.
pub(crate) fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let last = sorted.len().saturating_sub(1);
    sorted.get(last * percent / 100).copied().unwrap_or_default()
}

/// Lets the callers work for a while, and sees what it costs the serving processes.
pub(crate) fn run<W: Work>(world: &W::World, serving: &[u32], time: Duration) -> Result<Figures> {
    // The threads and this one: all are ready.
    let ready = Barrier::new(THREADS + 1);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let ready = &ready;
                scope.spawn(move || {
                    on_this_thread(async {
                        let mine = (0..CALLERS).filter(|number| number % THREADS == thread);
                        let workers = try_join_all(mine.map(|number| W::begin(world, number))).await;
                        ready.wait();
                        let end = Instant::now() + time;
                        try_join_all(workers?.into_iter().map(|worker| work_until(worker, end))).await
                    })
                })
            })
            .collect();
        ready.wait();
        let (began, used) = (Instant::now(), processor_time(serving));
        let mut latencies = Vec::new();
        for thread in threads {
            let callers = thread
                .join()
                .map_err(|_| anyhow::anyhow!("a caller panicked"))??;
            latencies.extend(callers.into_iter().flatten());
        }
        Ok(Figures {
            time: began.elapsed(),
            processor: processor_time(serving) - used,
            latencies,
        })
    })
}

async fn work_until<W: Work>(mut worker: W, end: Instant) -> Result<Vec<Duration>> {
    worker.caller().latencies.clear();
    while Instant::now() < end {
        worker.round().await?;
    }
    Ok(std::mem::take(&mut worker.caller().latencies))
}

/// Runs what a thread's callers do together.
pub(crate) fn on_this_thread<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting a runtime")?;
    LocalSet::new().block_on(&runtime, work)
}
