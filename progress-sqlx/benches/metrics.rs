//! Measures what counting costs a flush: the time of a flush of a process that counts with
//! Prometheus, as a ratio to that of the same flush without a recorder. Rounds are interleaved and
//! the medians are of ratios, so that noise affects both sides.
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
/// Flushes in each half of a round, for each number of jobs in a flush.
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
        let (mut ratios, mut times) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            let mut halves = [Duration::ZERO; 2];
            // The order changes, because the second half may be slower.
            for half in [round % 2, (round + 1) % 2] {
                COUNTS.store(half == 1, Ordering::Relaxed);
                halves[half] = flush(&trackers, flushes).await;
            }
            let [without, with] = halves;
            ratios.push(with.as_secs_f64() / without.as_secs_f64());
            times.push(without.as_secs_f64() * 1e6 / f64::from(flushes));
        }
        let middle = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let (time, ratio) = (middle(times), middle(ratios));
        println!(
            "flush of {count} jobs with metrics | {:.1} us | {time:.1} us | {ratio:.3} | <= 1.03 | \
             <= 1.2",
            time * ratio
        );
        for tracker in trackers {
            tracker.complete(()).await.unwrap();
        }
    }
}
