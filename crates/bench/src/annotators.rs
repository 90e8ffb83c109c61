//! A thousand annotators at work: open, list, save every five seconds, beat, close.

use std::time::{Duration, Instant};

use anyhow::Result;
use futures::future::try_join_all;
use lockstep_wire::routes;
use tokio::time::sleep_until;

use crate::caller::Ask;
use crate::load::{on_this_thread, percentile};
use crate::machine::processor_time;
use crate::scenarios::Window;
use crate::served::{IMAGES, PROJECT, Served, image};

/// All have come by then, one after the other, as people do.
const ARRIVAL: Duration = Duration::from_secs(10);
/// How long each stays.
const STAY: Duration = Duration::from_secs(45);
const SAVE_EVERY: Duration = Duration::from_secs(5);
/// More often than the two minutes of the contract, or nobody would beat in so short a time.
const BEAT_EVERY: Duration = Duration::from_secs(15);
/// As the client asks when no event tells it to.
const LIST_EVERY: Duration = Duration::from_secs(30);
/// They close an image and open it again.
const REOPEN_EVERY: Duration = Duration::from_secs(20);

/// An action that is not done this long after it was due is late: a person would have noticed.
const LATE: Duration = Duration::from_secs(1);

const THREADS: usize = 2;

/// What came of it.
#[derive(Default)]
pub(crate) struct Day {
    pub(crate) actions: usize,
    pub(crate) late: usize,
    pub(crate) acquires: Vec<Duration>,
    pub(crate) saves: Vec<Duration>,
    pub(crate) processor: Duration,
    pub(crate) time: Duration,
}

impl Day {
    fn add(&mut self, other: Self) {
        self.actions += other.actions;
        self.late += other.late;
        self.acquires.extend(other.acquires);
        self.saves.extend(other.saves);
    }

    fn note(&mut self, due: Instant) {
        self.actions += 1;
        self.late += usize::from(due.elapsed() > LATE);
    }

    pub(crate) fn acquire(&self, percent: usize) -> Duration {
        percentile(&self.acquires, percent)
    }

    pub(crate) fn save(&self, percent: usize) -> Duration {
        percentile(&self.saves, percent)
    }
}

pub(crate) fn work(served: &Served) -> Result<Day> {
    let serving = served.processes()?;
    let (began, used) = (Instant::now(), processor_time(&serving));
    let mut day = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn(move || {
                    on_this_thread(async {
                        let mine = (0..IMAGES).filter(|number| number % THREADS == thread);
                        try_join_all(mine.map(|number| annotate(served, number, began))).await
                    })
                })
            })
            .collect();
        let mut day = Day::default();
        for thread in threads {
            let days = thread
                .join()
                .map_err(|_| anyhow::anyhow!("an annotator panicked"))??;
            for one in days {
                day.add(one);
            }
        }
        anyhow::Ok(day)
    })?;
    day.processor = processor_time(&serving).saturating_sub(used);
    day.time = began.elapsed();
    day.acquires.sort_unstable();
    day.saves.sort_unstable();
    Ok(day)
}

async fn annotate(served: &Served, number: usize, began: Instant) -> Result<Day> {
    let mut day = Day::default();
    let arrival = began + ARRIVAL * number as u32 / IMAGES as u32;
    sleep_until(arrival.into()).await;
    let mut window = Window::open(served, number, image(number)).await?;

    let list = |route| Ask::get(routes::path(route, &[PROJECT]));
    let mut images = list(routes::IMAGES);
    images.path.push_str("?limit=100");
    window.caller.bytes(images).await?;
    day.note(arrival);

    let due = Instant::now();
    let mut generation = window.acquire_free(&["annotations"]).await?;
    day.acquires.push(due.elapsed());
    day.note(due);
    let mut drawn = window.draw().await?;

    let end = arrival + STAY;
    let (mut save, mut beat, mut look, mut reopen) = (
        arrival + SAVE_EVERY,
        arrival + BEAT_EVERY,
        arrival,
        arrival + REOPEN_EVERY,
    );
    loop {
        let due = save.min(beat).min(look).min(reopen);
        if due >= end {
            break;
        }
        sleep_until(due.into()).await;
        if due == save {
            let sent = Instant::now();
            window.save(&mut drawn, generation).await?;
            day.saves.push(sent.elapsed());
            save += SAVE_EVERY;
        } else if due == beat {
            window.beat(generation).await?;
            beat += BEAT_EVERY;
        } else if due == look {
            window.caller.bytes(list(routes::LOCKS)).await?;
            look += LIST_EVERY;
        } else {
            window.release(generation).await?;
            let sent = Instant::now();
            generation = window.acquire_free(&["annotations"]).await?;
            day.acquires.push(sent.elapsed());
            reopen += REOPEN_EVERY;
        }
        day.note(due);
    }
    sleep_until(end.into()).await;
    window.release(generation).await?;
    day.note(end);
    Ok(day)
}
