//! What the operating system says of processes, and how quick the disk is.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// A tick of the times in `/proc/PID/stat`: Linux tells user space a hundredth of a second on every architecture.
const TICK: Duration = Duration::from_millis(10);

/// Processor time these processes have used so far. One that has ended counts for nothing.
pub(crate) fn processor_time(processes: &[u32]) -> Duration {
    let ticks: u32 = processes.iter().filter_map(|id| ticks(*id)).sum();
    TICK * ticks
}

fn ticks(process: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name in brackets may hold anything; behind it, user and system time are the 12th and 13th.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(fields.get(11)?.parse::<u32>().ok()? + fields.get(12)?.parse::<u32>().ok()?)
}

/// Memory these processes hold, in KiB, what they share counted once.
pub(crate) fn memory(processes: &[u32]) -> u64 {
    let held = |process: &u32| {
        let text = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok()?;
        let line = text.lines().find(|line| line.starts_with("Pss:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    processes.iter().filter_map(held).sum()
}

/// Pages written and synced one after the other in a second, in a file of its own in this folder.
pub(crate) fn syncs_per_second(folder: &Path, time: Duration) -> Result<f64> {
    let path = folder.join("syncs");
    let file = File::create(&path).with_context(|| format!("making {}", path.display()))?;
    let page = [7; 4096];
    let began = Instant::now();
    let mut syncs = 0;
    while began.elapsed() < time {
        // Appending, as a log does.
        file.write_all_at(&page, syncs * page.len() as u64)?;
        file.sync_data()?;
        syncs += 1;
    }
    let rate = syncs as f64 / began.elapsed().as_secs_f64();
    std::fs::remove_file(&path)?;
    Ok(rate)
}
