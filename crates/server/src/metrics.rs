//! What a server has done and is doing, in numbers for Prometheus.
//!
//! **Invariant:** no number is shared between servers of one process, and no label names a person, a project or a file.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use lockstep_wire::ServerEvent;
use lockstep_wire::changes::ReleaseReason;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

/// From what a lock call should take at the most to what a person gives up on; in seconds.
const LATENCIES: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0,
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Error {
    error: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Queue {
    queue: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

/// Of one server.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Histogram, fn() -> Histogram>,
    refusals: Family<Error, Counter>,
    locks_held: Gauge<f64, AtomicU64>,
    locks_acquired: Counter,
    locks_renewed: Counter,
    locks_refused: Counter,
    locks_ended: Family<Reason, Counter>,
    saves: Family<Outcome, Counter>,
    event_streams: Gauge,
    queues: Family<Queue, Gauge>,
    /// Requests in work.
    pub(crate) requests_in_work: Depth,
    /// Event streams that are open.
    pub(crate) streams_open: Depth,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("lockstep");
        let requests: Family<_, _, fn() -> _> = Family::new_with_constructor(|| Histogram::new(LATENCIES));
        registry.register(
            "http_request_seconds",
            "How long answers took, by route and status",
            requests.clone(),
        );
        let mut counted = Self {
            requests,
            refusals: Family::default(),
            locks_held: Gauge::default(),
            locks_acquired: Counter::default(),
            locks_renewed: Counter::default(),
            locks_refused: Counter::default(),
            locks_ended: Family::default(),
            saves: Family::default(),
            event_streams: Gauge::default(),
            queues: Family::default(),
            requests_in_work: Depth::default(),
            streams_open: Depth::default(),
            registry,
        };
        counted.register();
        // Series that are there before the first event: an alert on their rate would miss it otherwise.
        for reason in REASONS {
            let reason = reason_name(reason);
            drop(counted.locks_ended.get_or_create(&Reason { reason }));
        }
        for outcome in [STORED, REPLAYED, "conflict"] {
            drop(counted.saves.get_or_create(&Outcome { outcome }));
        }
        counted
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "refusals",
            "Refused requests, by the contract's error code",
            self.refusals.clone(),
        );
        registry.register(
            "locks_held",
            "Live locks in the database: the same on every server of it; NaN while it cannot be asked",
            self.locks_held.clone(),
        );
        registry.register("locks_acquired", "Locks granted", self.locks_acquired.clone());
        registry.register(
            "locks_renewed",
            "Leases begun anew by a beat or a repeated acquire",
            self.locks_renewed.clone(),
        );
        registry.register(
            "locks_refused",
            "Acquires of an image that someone else holds",
            self.locks_refused.clone(),
        );
        registry.register(
            "locks_ended",
            "Locks ended, by reason: released, expired (lapsed), forced, taken_over, …",
            self.locks_ended.clone(),
        );
        registry.register(
            "saves",
            "Writes of annotations: stored, replayed (a retry that was applied before), or the refusal's code",
            self.saves.clone(),
        );
        registry.register(
            "event_streams_open",
            "Open event streams",
            self.event_streams.clone(),
        );
        registry.register(
            "queue_depth",
            "Who is being served or waits for it: requests, writes, passwords, decoders",
            self.queues.clone(),
        );
        let build = Build {
            version: env!("CARGO_PKG_VERSION"),
        };
        registry.register("build", "This program", Info::new(build));
    }

    pub(crate) fn answered(&self, method: &str, route: &str, status: u16, took: Duration) {
        let labels = RequestLabels {
            method: method.to_owned(),
            route: route.to_owned(),
            status,
        };
        self.requests.get_or_create(&labels).observe(took.as_secs_f64());
    }

    pub(crate) fn refused(&self, error: &'static str) {
        self.refusals.get_or_create(&Error { error }).inc();
    }

    /// Of what this server did; what it hears of other servers they count themselves.
    pub(crate) fn happened(&self, event: &ServerEvent) {
        match event {
            ServerEvent::LockAcquired { .. } => {
                self.locks_acquired.inc();
            }
            ServerEvent::LockReleased { reason, .. } => {
                let reason = reason_name(*reason);
                self.locks_ended.get_or_create(&Reason { reason }).inc();
            }
            ServerEvent::Changes { .. } => {}
        }
    }

    pub(crate) fn lock_renewed(&self) {
        self.locks_renewed.inc();
    }

    pub(crate) fn lock_refused(&self) {
        self.locks_refused.inc();
    }

    /// A write of an annotation: [`STORED`], [`REPLAYED`] or a refusal's code.
    pub(crate) fn saved(&self, outcome: &'static str) {
        self.saves.get_or_create(&Outcome { outcome }).inc();
    }

    /// The text that Prometheus reads. How many locks are held is not always known.
    pub(crate) fn write(
        &self,
        locks_held: Option<u64>,
        queues: &[(&'static str, usize)],
    ) -> Result<String, fmt::Error> {
        self.locks_held
            .set(locks_held.map_or(f64::NAN, |held| held as f64));
        self.event_streams.set(count(self.streams_open.get()));
        for (queue, depth) in queues.iter().chain([&("requests", self.requests_in_work.get())]) {
            self.queues.get_or_create(&Queue { queue }).set(count(*depth));
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// A write that took effect.
pub(crate) const STORED: &str = "stored";
/// A retry of one that had taken effect before.
pub(crate) const REPLAYED: &str = "replayed";

fn count(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

const REASONS: [ReleaseReason; 4] = [
    ReleaseReason::Released,
    ReleaseReason::Expired,
    ReleaseReason::Forced,
    ReleaseReason::TakenOver,
];

/// As on the wire.
fn reason_name(reason: ReleaseReason) -> &'static str {
    match reason {
        ReleaseReason::Released => "released",
        ReleaseReason::Expired => "expired",
        ReleaseReason::Forced => "forced",
        ReleaseReason::TakenOver => "taken_over",
    }
}

/// How many are inside something.
#[derive(Debug, Clone, Default)]
pub(crate) struct Depth(Arc<AtomicUsize>);

impl Depth {
    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn enter(&self) -> Inside {
        self.0.fetch_add(1, Ordering::Relaxed);
        Inside(self.clone())
    }
}

/// Inside until dropped.
#[derive(Debug)]
pub(crate) struct Inside(Depth);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_leaves_is_no_longer_counted() {
        let depth = Depth::default();
        let (one, two) = (depth.enter(), depth.enter());
        assert_eq!(depth.get(), 2);
        drop(one);
        assert_eq!(depth.get(), 1);
        drop(two);
        assert_eq!(depth.get(), 0);
    }
}
