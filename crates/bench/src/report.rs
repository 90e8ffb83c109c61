//! The figures, side by side, and which goals they meet.

use std::time::Duration;

use crate::load::Figures;

/// What is wanted of a scenario.
pub(crate) struct Goals {
    /// Of the floor's throughput, at least.
    pub(crate) throughput: f64,
    /// Of the disk's own sync rate, at least.
    pub(crate) syncs: Option<f64>,
    /// Of the floor's processor time for a request, at most.
    pub(crate) processor: Option<f64>,
}

/// A row of the table: a scenario beside its floor.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) here: Figures,
    pub(crate) floor: Figures,
    /// Of the disk, in the same while; for what writes.
    pub(crate) syncs_per_second: Option<f64>,
    /// What a FastAPI, SQLAlchemy and PostgreSQL build of the contract's part A used on two cores.
    pub(crate) fastapi_us: Option<f64>,
    pub(crate) goals: Goals,
}

pub(crate) fn heading() {
    println!(
        "{:<22} {:>9} {:>9} {:>9} {:>9} {:>9}   {:>8} {:>8} {:>8} {:>9}",
        "", "req/s", "p50", "p95", "p99", "CPU/req", "× floor", "× syncs", "× CPU", "FastAPI ÷"
    );
}

pub(crate) fn figures(name: &str, figures: &Figures, ratios: &str) {
    println!(
        "{:<22} {:>9} {:>9} {:>9} {:>9} {:>9}   {ratios}",
        name,
        count(figures.per_second()),
        time(figures.percentile(50)),
        time(figures.percentile(95)),
        time(figures.percentile(99)),
        micros(figures.processor_us()),
    );
}

impl Row {
    /// Prints the row and its floor, and tells of each goal whether it is met.
    pub(crate) fn print(&self) -> Vec<String> {
        let throughput = self.here.per_second() / self.floor.per_second();
        let processor = self.here.processor_us() / self.floor.processor_us();
        let syncs = self.syncs_per_second.map(|rate| self.here.per_second() / rate);
        let leaner = self.fastapi_us.map(|theirs| theirs / self.here.processor_us());
        let ratio = |ratio: Option<f64>| ratio.map_or("–".to_owned(), |ratio| format!("{ratio:.2}"));
        let leaner = leaner.map_or("–".to_owned(), |leaner| format!("{leaner:.0}"));
        figures("  its floor", &self.floor, "");
        let ratios = format!(
            "{:>8} {:>8} {:>8} {leaner:>9}",
            ratio(Some(throughput)),
            ratio(syncs),
            ratio(Some(processor))
        );
        figures(self.name, &self.here, &ratios);

        let mut told = vec![goal(
            self.name,
            throughput >= self.goals.throughput,
            &format!(
                "{throughput:.2} × the floor's throughput (at least {})",
                self.goals.throughput
            ),
        )];
        if let (Some(least), Some(syncs)) = (self.goals.syncs, syncs) {
            let what = format!("{syncs:.1} × the disk's sync rate (at least {least})");
            told.push(goal(self.name, syncs >= least, &what));
        }
        if let Some(most) = self.goals.processor {
            let what = format!("{processor:.1} × a constant answer's processor time (at most {most})");
            told.push(goal(self.name, processor <= most, &what));
        }
        told
    }
}

pub(crate) fn goal(name: &str, met: bool, what: &str) -> String {
    let mark = if met { "met   " } else { "MISSED" };
    format!("{mark}  {name}: {what}")
}

/// 12 345
fn count(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push('\u{2009}');
        }
        grouped.push(digit);
    }
    grouped
}

pub(crate) fn time(time: Duration) -> String {
    micros(time.as_secs_f64() * 1e6)
}

fn micros(us: f64) -> String {
    match us {
        us if us < 1000.0 => format!("{us:.0} µs"),
        us if us < 100_000.0 => format!("{:.1} ms", us / 1e3),
        us => format!("{:.0} ms", us / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_can_be_read() {
        assert_eq!(count(1_234_567.4), "1\u{2009}234\u{2009}567");
        assert_eq!(count(42.0), "42");
        let shown = [140, 1_500, 985_000].map(|us| time(Duration::from_micros(us)));
        assert_eq!(shown, ["140 µs", "1.5 ms", "985 ms"]);
    }
}
