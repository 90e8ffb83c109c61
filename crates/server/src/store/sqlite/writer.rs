//! The one thread that writes. What waits together is committed together: a sync of the disk costs the same for one
//! write and for a hundred.
//!
//! **Invariant:** nothing is answered before the commit that makes it durable, and a write that fails or panics takes
//! nothing of another's with it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::store_error;
use crate::metrics::{Depth, Inside};
use crate::store::{Result, StoreError};

/// Writes that may wait for their turn. More would wait longer than a client does.
const QUEUE: usize = 1024;

/// Writes of one group, and the time after which it takes no more: whoever came first does not wait for everyone else.
const GROUP: usize = 256;
const GROUP_TIME: Duration = Duration::from_millis(20);

/// What came of the last group: whoever was answered is about to ask again.
#[derive(Clone, Copy, Default)]
struct Pace {
    writes: usize,
    /// Its commit, the sync of the disk.
    took: Duration,
}

impl Pace {
    /// How long a group of so many writes waits for more. A commit that begins with half of those who write makes the
    /// other half wait for the next one; a quarter of a sync is a cheap price for a group twice as large. Where one
    /// writes alone nothing is waited for.
    fn patience(self, writes: usize) -> Duration {
        if writes < self.writes {
            self.took / 4
        } else {
            Duration::ZERO
        }
    }
}

/// Why a group came to nothing.
#[derive(Debug, thiserror::Error)]
enum Fault {
    /// It was not begun, or not committed.
    #[error("the writes could not be committed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// SQLite gave up the whole transaction in the middle: the disk is full or failing.
    #[error("the database gave up the transaction")]
    GivenUp,
}

impl Fault {
    /// For one of the group's writes.
    fn told(&self) -> StoreError {
        let told = anyhow!("{self}");
        match self {
            Self::Sqlite(error) => store_error(error.sqlite_error_code(), told),
            Self::GivenUp => StoreError::Unwritable(told),
        }
    }
}

/// A write that waits.
trait Write: Send {
    /// Does it; says whether it was done whole. It may be done again, after what it did was rolled back.
    fn run(&mut self, transaction: &Transaction) -> bool;
    /// Sends what it came to, once it is known whether its group was committed.
    fn answer(self: Box<Self>, fault: Option<&Fault>);
}

struct Waiting<T, F> {
    work: F,
    outcome: Option<anyhow::Result<T>>,
    sender: oneshot::Sender<Result<T>>,
    _inside: Inside,
}

impl<T, F> Write for Waiting<T, F>
where
    T: Send,
    F: FnMut(&Transaction) -> anyhow::Result<T> + Send,
{
    fn run(&mut self, transaction: &Transaction) -> bool {
        let done = catch_unwind(AssertUnwindSafe(|| (self.work)(transaction)));
        let outcome = done.unwrap_or_else(|_| Err(anyhow!("a write panicked")));
        self.outcome.insert(outcome).is_ok()
    }

    fn answer(self: Box<Self>, fault: Option<&Fault>) {
        let outcome = match (fault, self.outcome) {
            (Some(fault), _) => Err(fault.told()),
            (None, Some(outcome)) => outcome.map_err(StoreError::from),
            (None, None) => Err(StoreError::Failed(anyhow!("a write was passed over"))),
        };
        // Whoever asked may have gone; the write counts all the same.
        let _ = self.sender.send(outcome);
    }
}

/// A write, and where whoever asked for it runs.
type Asked = (Handle, Box<dyn Write>);

/// The way to the writing thread, which ends when this is dropped.
pub(super) struct Writer {
    jobs: SyncSender<Asked>,
    waiting: Depth,
}

impl Writer {
    pub(super) fn start(connection: Connection) -> anyhow::Result<Self> {
        Self::with_groups_of(GROUP_TIME, connection)
    }

    fn with_groups_of(group_time: Duration, mut connection: Connection) -> anyhow::Result<Self> {
        let (sender, jobs) = sync_channel(QUEUE);
        std::thread::Builder::new()
            .name("sqlite-writer".into())
            .spawn(move || {
                let mut pace = Pace::default();
                while let Ok(first) = jobs.recv() {
                    pace = run_group(&mut connection, first, &jobs, pace, group_time);
                }
            })?;
        Ok(Self {
            jobs: sender,
            waiting: Depth::default(),
        })
    }

    /// Writes that were not answered yet.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.get()
    }

    pub(super) async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&Transaction) -> anyhow::Result<T> + Send + 'static,
    {
        let (sender, answer) = oneshot::channel();
        let write = Box::new(Waiting {
            work,
            outcome: None,
            sender,
            _inside: self.waiting.enter(),
        });
        self.jobs
            .try_send((Handle::current(), write))
            .map_err(|refused| match refused {
                TrySendError::Full(_) => StoreError::Busy,
                TrySendError::Disconnected(_) => StoreError::Failed(anyhow!("the writer has stopped")),
            })?;
        answer
            .await
            .map_err(|_| StoreError::Failed(anyhow!("a write was not answered")))?
    }
}

/// Runs what waits in one transaction, commits it, and then answers everyone.
fn run_group(
    connection: &mut Connection,
    (askers, first): Asked,
    jobs: &Receiver<Asked>,
    last: Pace,
    group_time: Duration,
) -> Pace {
    let began = Instant::now();
    let mut group = vec![first];
    let another = |so_many: usize| {
        let patience = last.patience(so_many).saturating_sub(began.elapsed());
        let more = so_many < GROUP && began.elapsed() < group_time;
        more.then(|| jobs.recv_timeout(patience).ok()).flatten()
    };
    let committed = match run_together(connection, &mut group, another) {
        // Nothing is lost by doing it again: none of it was kept, and nobody was answered.
        Ok(None) => run_apart(connection, &mut group).map(Some),
        outcome => outcome,
    };
    let writes = group.len();
    let (took, fault) = match committed {
        Ok(took) => (took.unwrap_or_default(), None),
        Err(fault) => (Duration::ZERO, Some(fault)),
    };
    // From a thread of theirs, where waking the next costs no call of the system: all are told for the price of one.
    askers.spawn(async move {
        for write in group {
            write.answer(fault.as_ref());
        }
    });
    Pace { writes, took }
}

/// The common case: nothing fails, and nothing has to be written down to take one write back. Says how long the commit
/// took, or that a write failed and all were rolled back.
fn run_together(
    connection: &mut Connection,
    group: &mut Vec<Box<dyn Write>>,
    another: impl Fn(usize) -> Option<Asked>,
) -> Result<Option<Duration>, Fault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut at = 0;
    loop {
        let whole = group[at].run(&transaction);
        if transaction.is_autocommit() {
            return Err(Fault::GivenUp);
        }
        if !whole {
            return Ok(None);
        }
        at += 1;
        match another(at) {
            Some((_, write)) => group.push(write),
            None => return commit(transaction).map(Some),
        }
    }
}

/// Each under a savepoint: one that fails takes nothing of another's with it.
fn run_apart(connection: &mut Connection, group: &mut [Box<dyn Write>]) -> Result<Duration, Fault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let run = |sql| transaction.prepare_cached(sql)?.execute([]);
    for write in group {
        run("SAVEPOINT alone")?;
        let whole = write.run(&transaction);
        if transaction.is_autocommit() {
            return Err(Fault::GivenUp);
        }
        if !whole {
            run("ROLLBACK TO alone")?;
        }
        run("RELEASE alone")?;
    }
    commit(transaction)
}

fn commit(transaction: Transaction) -> Result<Duration, Fault> {
    let began = Instant::now();
    transaction.commit()?;
    Ok(began.elapsed())
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::path::Path;
    use std::pin::pin;

    use futures::future::join_all;
    use futures::poll;

    use super::*;
    use crate::store::sqlite::connect;

    struct World {
        writer: Writer,
        reader: Connection,
        file: std::path::PathBuf,
        _folder: tempfile::TempDir,
    }

    fn world() -> World {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("db.sqlite");
        let reader = connect(&file).expect("a connection");
        let tables = "CREATE TABLE parents (id INTEGER PRIMARY KEY);
                      CREATE TABLE numbers (n INTEGER PRIMARY KEY, parent INTEGER REFERENCES parents)";
        reader.execute_batch(tables).expect("tables");
        // On a busy machine a test may be slow; what it brings together stays one group all the same.
        let (long, connection) = (Duration::from_secs(60), connect(&file).expect("a connection"));
        World {
            writer: Writer::with_groups_of(long, connection).expect("a writer"),
            reader,
            file,
            _folder: folder,
        }
    }

    fn insert(n: i64) -> impl Fn(&Transaction) -> anyhow::Result<()> + Send + 'static {
        move |tx| Ok(tx.execute("INSERT INTO numbers (n) VALUES (?1)", [n]).map(drop)?)
    }

    impl World {
        fn numbers(&self) -> Vec<i64> {
            let mut ask = self
                .reader
                .prepare("SELECT n FROM numbers ORDER BY n")
                .expect("a query");
            let rows = ask.query_map([], |row| row.get(0)).expect("rows");
            rows.collect::<Result<_, _>>().expect("numbers")
        }

        /// Nothing of the group before was kept, and what comes after it is.
        async fn next_group_is_another_matter(&self) {
            assert!(self.numbers().is_empty());
            self.writer.write(insert(3)).await.expect("a write");
            assert_eq!(self.numbers(), [3]);
        }

        /// A write that is in the middle of its group until told to end.
        async fn begin_slow_write(&self) -> (std::sync::mpsc::Sender<()>, impl Future<Output = Result<()>>) {
            let (go, wait) = std::sync::mpsc::channel();
            let (begun, has_begun) = oneshot::channel();
            let mut begun = Some(begun);
            let mut slow = Box::pin(self.writer.write(move |_| {
                // Done again, it is slow no more.
                if let Some(begun) = begun.take() {
                    let _ = begun.send(());
                    wait.recv()?;
                }
                Ok(())
            }));
            assert!(poll!(&mut slow).is_pending());
            has_begun.await.expect("it began");
            (go, slow)
        }
    }

    /// Commits there have been, each of them a sync: a frame of the log that says how large the database is then.
    fn commits(file: &Path) -> usize {
        let log = std::fs::read(file.with_extension("sqlite-wal")).expect("a log");
        let page = u32::from_be_bytes(log[8..12].try_into().expect("four bytes")) as usize;
        let frames = log[32..].chunks_exact(24 + page);
        frames.filter(|frame| frame[4..8] != [0; 4]).count()
    }

    #[test]
    fn a_group_waits_only_for_as_many_as_wrote_before_and_a_part_of_a_sync() {
        let pace = Pace {
            writes: 32,
            took: Duration::from_millis(4),
        };
        assert_eq!(pace.patience(1), Duration::from_millis(1));
        assert_eq!(pace.patience(32), Duration::ZERO);
        let alone = Pace { writes: 1, ..pace };
        assert_eq!(alone.patience(1), Duration::ZERO);
    }

    #[tokio::test]
    async fn l6_nothing_is_answered_before_its_group_is_committed() {
        let world = world();
        let (first_go, first) = world.begin_slow_write().await;
        let mut second = pin!(world.writer.write(insert(1)));
        assert!(poll!(&mut second).is_pending());
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let (begun, has_begun) = oneshot::channel();
        let mut begun = Some(begun);
        let mut third = pin!(world.writer.write(move |_| {
            let _ = begun.take().map(|begun| begun.send(()));
            Ok(wait.recv()?)
        }));
        assert!(poll!(&mut third).is_pending());

        first_go.send(()).expect("it waits");
        has_begun.await.expect("it began");
        // The second has done its work, in the group that the third still holds up.
        assert!(poll!(&mut second).is_pending());
        assert!(world.numbers().is_empty());
        go.send(()).expect("it waits");
        third.await.expect("done");
        second.await.expect("done");
        first.await.expect("done");
        assert_eq!(world.numbers(), [1]);
    }

    #[tokio::test]
    async fn l6_a_write_that_fails_or_panics_takes_nothing_of_anothers_with_it() {
        let world = world();
        let (go, slow) = world.begin_slow_write().await;
        let fails = |n, panics: bool| {
            world.writer.write(move |tx| -> anyhow::Result<()> {
                insert(n)(tx)?;
                assert!(!panics, "in the middle");
                anyhow::bail!("in the middle")
            })
        };
        let mut writes = pin!(async {
            tokio::join!(
                world.writer.write(insert(1)),
                fails(2, false),
                world.writer.write(insert(3)),
                fails(4, true),
                world.writer.write(insert(5)),
            )
        });
        assert!(poll!(&mut writes).is_pending());
        go.send(()).expect("it waits");
        let (one, two, three, four, five) = writes.await;
        slow.await.expect("done");
        assert!(one.is_ok() && three.is_ok() && five.is_ok());
        assert!(matches!(two, Err(StoreError::Failed(_))), "{two:?}");
        assert!(matches!(four, Err(StoreError::Failed(_))), "{four:?}");
        assert_eq!(world.numbers(), [1, 3, 5]);
    }

    #[tokio::test]
    async fn l6_a_group_that_is_not_committed_is_acknowledged_to_nobody() {
        let world = world();
        let (go, slow) = world.begin_slow_write().await;
        let orphan = world.writer.write(|tx| {
            // Only the commit finds out.
            let sql = "PRAGMA defer_foreign_keys = ON; INSERT INTO numbers (n, parent) VALUES (2, 7)";
            Ok(tx.execute_batch(sql)?)
        });
        let mut writes = pin!(async { tokio::join!(world.writer.write(insert(1)), orphan) });
        assert!(poll!(&mut writes).is_pending());
        go.send(()).expect("it waits");
        let (innocent, guilty) = writes.await;
        slow.await.ok();
        for outcome in [innocent, guilty] {
            assert!(matches!(outcome, Err(StoreError::Failed(_))), "{outcome:?}");
        }
        world.next_group_is_another_matter().await;
    }

    #[tokio::test]
    async fn l6_a_transaction_that_sqlite_gives_up_is_acknowledged_to_nobody() {
        let world = world();
        let (go, slow) = world.begin_slow_write().await;
        // What a full disk does to it.
        let ends = world
            .writer
            .write(|tx| Ok(tx.execute_batch("ROLLBACK; SELECT 1")?));
        let mut writes = pin!(async { tokio::join!(world.writer.write(insert(1)), ends) });
        assert!(poll!(&mut writes).is_pending());
        go.send(()).expect("it waits");
        let (innocent, guilty) = writes.await;
        slow.await.ok();
        for outcome in [innocent, guilty] {
            assert!(matches!(outcome, Err(StoreError::Unwritable(_))), "{outcome:?}");
        }
        world.next_group_is_another_matter().await;
    }

    #[tokio::test]
    async fn many_writes_at_once_are_few_syncs_and_a_long_queue_is_refused() {
        let world = world();
        let (go, slow) = world.begin_slow_write().await;
        let many = QUEUE as i64 + 10;
        let mut writes = pin!(join_all((0..many).map(|n| world.writer.write(insert(n)))));
        assert!(poll!(&mut writes).is_pending());
        let before = commits(&world.file);
        go.send(()).expect("it waits");
        let outcomes = writes.await;
        slow.await.expect("done");
        let refused = outcomes
            .iter()
            .filter(|one| matches!(one, Err(StoreError::Busy)))
            .count();
        assert_eq!(refused, 10, "what does not fit in the queue");
        assert_eq!(world.numbers().len(), QUEUE);
        let syncs = commits(&world.file) - before;
        assert!(syncs >= QUEUE / GROUP, "a group is bounded: {syncs}");
        assert!(syncs <= QUEUE / 8, "{QUEUE} writes took {syncs} syncs");
    }

    #[tokio::test]
    async fn a_database_that_another_process_writes_to_is_busy_and_then_not() {
        let world = world();
        world
            .writer
            .write(|tx| Ok(tx.busy_timeout(Duration::ZERO)?))
            .await
            .expect("done");
        world
            .reader
            .execute_batch("BEGIN IMMEDIATE")
            .expect("the only writer");
        let busy = world.writer.write(insert(1)).await;
        assert!(matches!(busy, Err(StoreError::Busy)), "{busy:?}");
        world.reader.execute_batch("ROLLBACK").expect("an end");
        world.writer.write(insert(1)).await.expect("free again");
    }
}
