//! Measures the cost of a report, as a ratio to one relaxed `fetch_add` of the same round.
//!
//! Run with `cargo xtask bench reports`. Rounds are interleaved and the medians are of ratios, so
//! that noise affects both sides.

#![allow(clippy::expect_used, reason = "a benchmark reports errors by panicking")]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use progress_core::{Jobs, MemoryStore, NewProgress, TrackerHandle};

const ROUNDS: usize = 31;
const CALLS: u32 = 200_000;

/// Returns the mean time of one call in nanoseconds.
fn time(call: impl Fn()) -> f64 {
    let begun = Instant::now();
    for _ in 0..CALLS {
        call();
    }
    begun.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A kind of report, the bounds of its ratio, and what measures it. Each measures in a loop of its
/// own, because a report that is called through a pointer is not inlined.
struct Row<'a> {
    name: &'static str,
    bounds: &'static str,
    time: Box<dyn Fn() -> f64 + 'a>,
}

impl<'a> Row<'a> {
    fn new(name: &'static str, bounds: &'static str, report: impl Fn() + 'a) -> Self {
        Self { name, bounds, time: Box::new(move || time(&report)) }
    }
}

fn main() {
    let rounds = if std::env::args().any(|word| word == "--quick") { 7 } else { ROUNDS };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let jobs = Jobs::new(MemoryStore::new());
        let job = jobs.create(NewProgress::new("bench")).await.expect("created");
        let tracker = jobs.tracker(job.id).await.expect("started");
        measure(tracker.handle(), rounds);
        measure_threads(tracker.handle(), rounds);
        tracker.complete(()).await.expect("completed");
    });
}

fn measure(tracker: &TrackerHandle, rounds: usize) {
    let rows = [
        Row::new("`inc(1)`", "<= 1.2 | <= 2", || tracker.inc(black_box(1))),
        Row::new("`item_done(&str)`", "<= 4 | <= 6", || {
            tracker.item_done(black_box("CCT123 sent"));
        }),
        Row::new("`item_done_with(closure)`", "<= 1.2 | <= 2", || {
            tracker.item_done_with(|| format!("{} sent", black_box(123)));
        }),
        // Most of this is the application's own `format!`.
        Row::new("`item_done(format!(..))`", "- | -", || {
            tracker.item_done(format!("{} sent", black_box(123)));
        }),
        Row::new("`item_failed(item, error)`", "- | -", || {
            tracker.item_failed(black_box("CCT123"), black_box("550 no mailbox"));
        }),
    ];
    let counter = AtomicU64::new(0);
    let mut limits = Vec::new();
    let mut times = vec![Vec::new(); rows.len()];
    for _ in 0..rounds {
        limits.push(time(|| {
            counter.fetch_add(black_box(1), Ordering::Relaxed);
        }));
        for (row, times) in rows.iter().zip(&mut times) {
            times.push((row.time)());
        }
    }
    for (row, times) in rows.iter().zip(times) {
        print(row.name, times, &limits, row.bounds);
    }
}

/// Compares `inc` on one tracker by several threads with a `fetch_add` by as many. A second
/// `fetch_add` is behind an `Arc`, as each counter has to be that a flush loop reads.
fn measure_threads(tracker: &TrackerHandle, rounds: usize) {
    let counter = AtomicU64::new(0);
    let shared = Arc::new(AtomicU64::new(0));
    for threads in [2, 8] {
        let (mut limits, mut incs, mut adds) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            limits.push(time_of_all(threads, || {
                counter.fetch_add(black_box(1), Ordering::Relaxed);
            }));
            incs.push(time_of_all(threads, || tracker.inc(black_box(1))));
            adds.push(time_of_all(threads, || {
                shared.fetch_add(black_box(1), Ordering::Relaxed);
            }));
        }
        print(&format!("`inc(1)`, {threads} threads"), incs, &limits, "<= 1.2 | <= 2");
        print(&format!("`fetch_add` in an `Arc`, {threads} threads"), adds, &limits, "- | -");
    }
}

/// Returns the mean time between two calls, in nanoseconds, while this many threads call.
fn time_of_all(threads: u32, call: impl Fn() + Sync) -> f64 {
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| (0..CALLS).for_each(|_| call()));
        }
    });
    begun.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS * threads)
}

fn print(name: &str, times: Vec<f64>, limits: &[f64], bounds: &str) {
    let ratios = times.iter().zip(limits).map(|(time, limit)| time / limit).collect();
    println!(
        "{name} | {:.2} ns | {:.2} ns | {:.2} | {bounds}",
        median(times),
        median(limits.to_vec()),
        median(ratios)
    );
}
