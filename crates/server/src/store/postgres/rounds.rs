//! Locks and saves: what waits is handled in rounds, each of them one transaction.
//!
//! A round reads the scenes of all its questions at once, runs their rules one after the other on what it has read,
//! each seeing what those before it decided, and writes what has become of it all. So many writers share one commit,
//! and a lone one waits for nobody.
//!
//! **Invariant:** nobody is answered before the commit, and a round whose outcome is unknown is answered by no refusal.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use deadpool_postgres::Pool;
use futures::FutureExt as _;
use futures::future::join3;
use lockstep_wire::Cursor;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::timeout;

use super::connection::{
    ATTEMPTS, Connection, Params, Transaction, is_unreachable, lost_a_race, store_error,
};
use super::scenes::{self, Questions};
use super::{locks, writes};
use crate::store::{
    Ended, LockOutcome, LockQuestion, LockRule, Result, Save, SaveOutcome, SaveReport, StoreError,
};

/// Questions that may wait for their turn. More would wait longer than a client does.
const QUEUE: usize = 1024;

/// Questions of one round: enough to share a commit, few enough that it stays short.
const LARGEST: usize = 128;

/// Rounds under way at a time: while one waits for the disk the next one reads.
const ABREAST: usize = 2;

/// How long a round is waited for: longer than the database lets a statement take, and less than a client waits. A database
/// that went without a word, with its machine or the network, must not keep the next rounds from asking its successor.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// Where questions wait for their round.
pub(super) struct Rounds {
    queue: mpsc::Sender<Asked>,
    /// Its other owners wait, or are being answered.
    waiting: Arc<()>,
}

struct Asked {
    work: Work,
    waits: Arc<()>,
    answer: oneshot::Sender<Result<Outcome>>,
}

enum Work {
    Lock(LockQuestion, LockRule),
    Saves(Vec<Save>),
}

enum Outcome {
    Lock(Box<LockOutcome>),
    Saves(SaveReport),
}

impl Rounds {
    pub(super) fn begin(pool: &Pool, patience: Duration) -> Self {
        let (sender, queue) = mpsc::channel(QUEUE);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..ABREAST {
            tokio::spawn(keep_going(pool.clone(), patience, Arc::clone(&queue)));
        }
        Self {
            queue: sender,
            waiting: Arc::new(()),
        }
    }

    pub(super) async fn update_lock(&self, question: LockQuestion, rule: LockRule) -> Result<LockOutcome> {
        match self.ask(Work::Lock(question, rule)).await? {
            Outcome::Lock(outcome) => Ok(*outcome),
            Outcome::Saves(_) => Err(StoreError::Failed(anyhow!("a lock was answered as a save"))),
        }
    }

    pub(super) async fn save(&self, saves: Vec<Save>) -> Result<SaveReport> {
        match self.ask(Work::Saves(saves)).await? {
            Outcome::Saves(report) => Ok(report),
            Outcome::Lock(_) => Err(StoreError::Failed(anyhow!("a save was answered as a lock"))),
        }
    }

    pub(super) fn waiting(&self) -> usize {
        Arc::strong_count(&self.waiting) - 1
    }

    async fn ask(&self, work: Work) -> Result<Outcome> {
        let (answer, outcome) = oneshot::channel();
        let asked = Asked {
            work,
            waits: Arc::clone(&self.waiting),
            answer,
        };
        self.queue.try_send(asked).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => StoreError::Busy,
            mpsc::error::TrySendError::Closed(_) => StoreError::Failed(anyhow!("the rounds have stopped")),
        })?;
        outcome
            .await
            .map_err(|_| StoreError::Failed(anyhow!("a round ended unanswered")))?
    }
}

impl Work {
    fn size(&self) -> usize {
        match self {
            Self::Lock(..) => 1,
            Self::Saves(saves) => saves.len(),
        }
    }
}

async fn keep_going(pool: Pool, patience: Duration, queue: Arc<Mutex<mpsc::Receiver<Asked>>>) {
    loop {
        let mut round = Vec::new();
        {
            let mut queue = queue.lock().await;
            let Some(first) = queue.recv().await else {
                return;
            };
            let mut size = first.work.size();
            round.push(first);
            while size < LARGEST
                && let Ok(next) = queue.try_recv()
            {
                size += next.work.size();
                round.push(next);
            }
        }
        let (mut works, answers): (Vec<_>, Vec<_>) = round
            .into_iter()
            .map(|Asked { work, waits, answer }| (work, (answer, waits)))
            .unzip();
        let outcomes = match run_in_time(&pool, patience, &mut works).await {
            Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
            Err(error) if is_unreachable(&error) || works.len() == 1 => each(store_error(error), works.len()),
            // One may have spoilt it for all.
            Err(_) => {
                let mut outcomes = Vec::with_capacity(works.len());
                for work in &mut works {
                    let alone = run_in_time(&pool, patience, std::slice::from_mut(work)).await;
                    outcomes.push(alone.map_err(store_error).and_then(|outcomes| {
                        let only = outcomes.into_iter().next();
                        only.ok_or_else(|| StoreError::Failed(anyhow!("a round without an outcome")))
                    }));
                }
                outcomes
            }
        };
        for ((answer, _), outcome) in answers.into_iter().zip(outcomes) {
            // Whoever asked may have gone; the write counts all the same.
            let _ = answer.send(outcome);
        }
    }
}

/// One failure for all who asked; it has been logged once.
fn each(error: StoreError, many: usize) -> Vec<Result<Outcome>> {
    match error {
        StoreError::Busy => (0..many).map(|_| Err(StoreError::Busy)).collect(),
        error => vec![Err(error)],
    }
}

async fn run_in_time(pool: &Pool, patience: Duration, works: &mut [Work]) -> anyhow::Result<Vec<Outcome>> {
    timeout(patience, run(pool, works)).await?
}

async fn run(pool: &Pool, works: &mut [Work]) -> anyhow::Result<Vec<Outcome>> {
    let mut ended = Vec::new();
    let mut settled = false;
    let mut attempts = 1;
    loop {
        // A panic in one round must not end all later ones; its dropped transaction is rolled back.
        let round = AssertUnwindSafe(round(pool, works, settled)).catch_unwind().await;
        match round.map_err(|_| anyhow!("a rule panicked"))? {
            Ok(Some(mut outcomes)) => {
                announce(&mut outcomes, ended);
                return Ok(outcomes);
            }
            Ok(None) => {
                ended.extend(locks::settle(pool).await?);
                settled = true;
            }
            Err(error) if lost_a_race(&error) && attempts < ATTEMPTS => attempts += 1,
            Err(error) => return Err(error),
        }
    }
}

/// What was settled on the way is told by the first of the round.
fn announce(outcomes: &mut [Outcome], settled: Vec<Ended>) {
    let ended = match outcomes.first_mut() {
        Some(Outcome::Lock(outcome)) => &mut outcome.ended,
        Some(Outcome::Saves(report)) => &mut report.ended,
        None => return,
    };
    ended.splice(0..0, settled);
}

/// Nothing, when there is something to settle first.
async fn round(pool: &Pool, works: &mut [Work], settled: bool) -> anyhow::Result<Option<Vec<Outcome>>> {
    let mut asked = Questions::default();
    for work in works.iter() {
        match work {
            Work::Lock(question, _) => asked.push_lock(question),
            Work::Saves(saves) => asked.push_saves(saves),
        }
    }
    let tx = Transaction::unbegun(Connection::of(pool).await?);
    let alone = tx.prepare(locks::ALONE_ON_ALL).await?;
    let scenes = tx.prepare(&scenes::sql()).await?;
    // Sent at once, answered in this order. What is alone on its images looks at them after that.
    let places: Params<'_> = &[&asked.projects, &asked.images, &asked.annotations];
    let (begun, alone_on, rows) = join3(
        tx.run("BEGIN"),
        tx.query_prepared(&alone, places),
        tx.query_prepared(
            &scenes,
            &[
                &asked.projects,
                &asked.images,
                &asked.annotations,
                &asked.users,
                &asked.clients,
                &asked.generations,
                &asked.labels,
                &asked.keys,
            ],
        ),
    )
    .await;
    begun?;
    let (alone_on, rows) = (alone_on?, rows?);
    let (mut table, seats) = scenes::read(&alone_on, &rows, &asked)?;
    if table.unsettled && !settled {
        tx.roll_back().await?;
        return Ok(None);
    }
    let mut outcomes = Vec::with_capacity(works.len());
    let mut seats = seats.as_slice();
    for work in works.iter() {
        let (own, others) = seats.split_at(work.size());
        seats = others;
        outcomes.push(match work {
            Work::Lock(question, rule) => {
                Outcome::Lock(Box::new(table.update_lock(&own[0], question, rule)?))
            }
            Work::Saves(saves) => Outcome::Saves(table.save(own, saves)?),
        });
    }
    let numbers = writes::store(&table, tx).await?;
    for outcome in &mut outcomes {
        let Outcome::Saves(report) = outcome else { continue };
        for outcome in &mut report.outcomes {
            if let SaveOutcome::Applied { done, cursor } = outcome {
                let number = numbers.get(&done.annotation.project_id);
                *cursor = Cursor(*number.context("a save without a place in the feed")?);
            }
        }
    }
    Ok(Some(outcomes))
}
