//! Measures the server beside a floor, in one run: `cargo xtask bench server`.
//!
//! **Invariant:** every figure that is compared with another was measured in the same while, in turns with it: on a busy
//! machine only ratios mean anything.

mod annotators;
mod caller;
mod floor;
mod load;
mod machine;
mod report;
mod scenarios;
mod served;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;

use load::{Figures, Work, on_this_thread, run};
use report::{Goals, Row, goal, time};
use scenarios::{
    Contended, Contest, Floor, LockCycle, OnFloor, ReadLarge, ReadSmall, VersionedSave, annotations_path,
};
use served::{LARGE, Listening, SMALL, Served, Store};

/// Turns that a scenario and its floor take, and how long each is.
const TURNS: u32 = 3;
const TURN: Duration = Duration::from_millis(1500);
const FLOOR_TURN: Duration = Duration::from_millis(1000);
const SYNC_TURN: Duration = Duration::from_millis(300);

#[derive(Parser)]
enum Cli {
    /// Measure the server on each database.
    Server {
        /// `lockstep-server`.
        #[arg(long)]
        program: PathBuf,
        /// Where to put databases and images: on the disk that is meant.
        #[arg(long)]
        folder: PathBuf,
        /// One database alone: sqlite or postgres.
        #[arg(long)]
        only: Option<String>,
        /// Leave the thousand annotators out.
        #[arg(long)]
        short: bool,
    },
    /// Answer constants, and these files.
    Floor { files: Vec<PathBuf> },
}

fn main() -> Result<()> {
    match Cli::parse() {
        Cli::Floor { files } => tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?
            .block_on(floor::serve(&files)),
        Cli::Server {
            program,
            folder,
            only,
            short,
        } => {
            for store in [Store::Sqlite, Store::Postgres] {
                if only
                    .as_ref()
                    .is_none_or(|only| store.name().eq_ignore_ascii_case(only))
                {
                    measure(&program, &folder, store, short)
                        .with_context(|| format!("measuring on {}", store.name()))?;
                }
            }
            Ok(())
        }
    }
}

fn measure(program: &Path, folder: &Path, store: Store, short: bool) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(folder)?;
    let folder = folder.path();
    eprintln!("▸ {}: people, images and annotations", store.name());
    let served = Served::start(program, folder, store)?;
    let files = [SMALL, LARGE].map(|image| read(&served, folder, image));
    let [small, large] = files;
    let floor = Listening::start(
        Command::new(std::env::current_exe()?)
            .arg("floor")
            .args([small?, large?]),
    )?;
    eprintln!("▸ {}: measuring", store.name());
    println!("\n{}", store.name());
    report::heading();
    let mut goals = Vec::new();
    let writes = || Goals {
        throughput: 0.3,
        syncs: Some(8.0),
        processor: Some(8.0),
    };
    let reads = || Goals {
        throughput: 0.6,
        syncs: None,
        processor: None,
    };
    let beside = Beside {
        serving: served.processes()?,
        floor,
        folder,
    };
    goals.extend(
        beside
            .row::<VersionedSave>("versioned save", &served, "/constant", writes(), 5_000.0)?
            .print(),
    );
    goals.extend(
        beside
            .row::<LockCycle>("lock cycle, each call", &served, "/constant", writes(), 8_000.0)?
            .print(),
    );
    goals.extend(
        beside
            .row::<ReadSmall>("read 100", &served, "/bytes/0", reads(), 14_500.0)?
            .print(),
    );
    goals.extend(
        beside
            .row::<ReadLarge>("read 10 000", &served, "/bytes/1", reads(), 985_000.0)?
            .print(),
    );

    let contest = Contest::over(served);
    let figures = run::<Contended>(&contest, &contest.served.processes()?, TURN * 2)?;
    report::figures("contended locks", &figures, "");
    let twice = contest.held_twice.load(Ordering::SeqCst);
    let grants = contest.grants.load(Ordering::SeqCst);
    goals.push(goal(
        "contended locks",
        twice == 0,
        &format!("{grants} grants, {twice} held twice"),
    ));

    if !short {
        eprintln!("▸ {}: a thousand annotators, a minute", store.name());
        let day = annotators::work(&contest.served)?;
        println!(
            "1000 annotators: {} actions in {:.0} s, {} late; acquire p50 {}, p95 {}, p99 {}; save p50 {}, p99 {}; \
             {:.0} % of a core",
            day.actions,
            day.time.as_secs_f64(),
            day.late,
            time(day.acquire(50)),
            time(day.acquire(95)),
            time(day.acquire(99)),
            time(day.save(50)),
            time(day.save(99)),
            100.0 * day.processor.as_secs_f64() / day.time.as_secs_f64(),
        );
        goals.push(goal(
            "1000 annotators",
            day.late == 0,
            &format!("{} late", day.late),
        ));
        let p99 = day.acquire(99);
        let what = format!("acquire p99 {} (under 100 ms)", time(p99));
        goals.push(goal("1000 annotators", p99 < Duration::from_millis(100), &what));
    }
    let mebibytes = machine::memory(&contest.served.processes()?) / 1024;
    println!("memory: {mebibytes} MiB (the database's processes included)\n");
    for told in goals {
        println!("{told}");
    }
    Ok(())
}

/// What the floor serves in place of a read.
fn read(served: &Served, folder: &Path, image: &str) -> Result<PathBuf> {
    let bytes = on_this_thread(async {
        let mut caller = served.connect(0).await?;
        caller.bytes(caller::Ask::get(annotations_path(image))).await
    })?;
    let file = folder.join(format!("{image}.json"));
    std::fs::write(&file, bytes)?;
    Ok(file)
}

/// What scenarios are measured beside.
struct Beside<'a> {
    serving: Vec<u32>,
    floor: Listening,
    folder: &'a Path,
}

impl Beside<'_> {
    fn row<W: Work<World = Served>>(
        &self,
        name: &'static str,
        served: &Served,
        floor_path: &'static str,
        goals: Goals,
        fastapi_us: f64,
    ) -> Result<Row> {
        let floor = Floor {
            at: self.floor.at,
            path: floor_path,
        };
        let (mut here, mut beneath) = (Figures::default(), Figures::default());
        let mut syncs = 0.0;
        // Once for nothing: caches fill, connections open.
        run::<W>(served, &self.serving, TURN / 5)?;
        for _ in 0..TURNS {
            beneath.add(run::<OnFloor>(&floor, &[self.floor.process()], FLOOR_TURN)?);
            here.add(run::<W>(served, &self.serving, TURN)?);
            if goals.syncs.is_some() {
                syncs += machine::syncs_per_second(self.folder, SYNC_TURN)? / f64::from(TURNS);
            }
        }
        Ok(Row {
            name,
            here,
            floor: beneath,
            syncs_per_second: goals.syncs.map(|_| syncs),
            fastapi_us: Some(fastapi_us),
            goals,
        })
    }
}
