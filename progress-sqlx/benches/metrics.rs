//! Measures what counting costs a flush: the time of a flush of a process that counts with
//! Prometheus, as a ratio to that of the same flush without a recorder. Rounds are interleaved and
//! the medians are of ratios, so that noise affects both sides. A control does not count either; its
//! ratio would be 1 without noise.
//!
//! Run it with `cargo xtask bench metrics`, on one processor.
#![allow(clippy::unwrap_used, reason = "a benchmark reports errors by panicking")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use progress_core::{Jobs, NewProgress, Tracker};
use progress_sqlx::SqliteStore;

const ROUNDS: usize = 41;
/// Whether the flushes of each part of a round count.
const PARTS: [bool; 3] = [false, true, false];
/// Flushes in each part of a round, for each number of jobs in a flush.
const FLUSHES: [(usize, u32); 2] = [(1, 400), (100, 40)];

static COUNTS: AtomicBool = AtomicBool::new(false);

/// Counts, or does nothing, as `COUNTS` says.
struct Switch(PrometheusRecorder);

impl Recorder for Switch {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        let is_on = COUNTS.load(Ordering::Relaxed);
        if is_on { self.0.register_counter(key, metadata) } else { Counter::noop() }
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        let is_on = COUNTS.load(Ordering::Relaxed);
        if is_on { self.0.register_gauge(key, metadata) } else { Gauge::noop() }
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        let is_on = COUNTS.load(Ordering::Relaxed);
        if is_on { self.0.register_histogram(key, metadata) } else { Histogram::noop() }
    }
}

/// Flushes so many times. Each job of a flush reports items, and waits until they are stored.
async fn flush(trackers: &[Tracker], flushes: u32) -> Duration {
    let begun = Instant::now();
    for number in 0..flushes {
        let saved = join_all(trackers.iter().map(|tracker| {
            tracker.handle().inc(3);
            tracker.handle().inc_failed(1);
            tracker.handle().save_now(&number)
        }));
        saved.await.into_iter().for_each(Result::unwrap);
    }
    begun.elapsed()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    metrics::set_global_recorder(Switch(PrometheusBuilder::new().build_recorder())).ok().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("bench.db").display());
    let rounds = if std::env::args().any(|word| word == "--quick") { 7 } else { ROUNDS };
    let jobs = Jobs::new(SqliteStore::connect(&url).await.unwrap());
    for (count, flushes) in FLUSHES {
        let mut trackers = Vec::new();
        for _ in 0..count {
            let job = NewProgress::new("bench").with_attempts(1);
            let id = jobs.create(job).await.unwrap().id;
            trackers.push(jobs.tracker(id).await.unwrap());
        }
        let mut rounds_of_parts = Vec::new();
        for round in 0..rounds {
            let mut parts = [0.0; PARTS.len()];
            // The order changes, because a later part may be slower.
            for part in (0..PARTS.len()).map(|part| (part + round) % PARTS.len()) {
                COUNTS.store(PARTS[part], Ordering::Relaxed);
                parts[part] = flush(&trackers, flushes).await.as_secs_f64();
            }
            rounds_of_parts.push(parts);
        }
        let middle = |figure: &dyn Fn(&[f64; PARTS.len()]) -> f64| {
            let mut values: Vec<_> = rounds_of_parts.iter().map(figure).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let time = middle(&|parts| parts[0]) * 1e6 / f64::from(flushes);
        for (part, name, bounds) in
            [(1, "with metrics", "<= 1.03 | <= 1.2"), (2, "as a control", "- | -")]
        {
            let ratio = middle(&|parts| parts[part] / parts[0]);
            println!(
                "flush of {count} jobs {name} | {:.1} us | {time:.1} us | {ratio:.3} | {bounds}",
                time * ratio
            );
        }
        for tracker in trackers {
            tracker.complete(()).await.unwrap();
        }
    }
}
