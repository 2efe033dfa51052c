//! Measures the cost of a report, as a ratio to one relaxed `fetch_add` of the same round.
//!
//! Run with `cargo bench -p progress-core`. Rounds are interleaved and the medians are of ratios,
//! so that noise affects both sides.

#![allow(clippy::expect_used, reason = "a benchmark reports errors by panicking")]

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use progress_core::{Jobs, MemoryStore, NewProgress, TrackerHandle};

const ROUNDS: usize = 31;
const CALLS: u32 = 200_000;

/// Returns the mean time of one call in nanoseconds.
fn time(mut call: impl FnMut()) -> f64 {
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

/// A kind of report, and the number of `fetch_add`s that it may cost.
type Row = (&'static str, f64, Box<dyn FnMut(&TrackerHandle)>);

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let jobs = Jobs::new(MemoryStore::new());
        let job = jobs.create(NewProgress::new("bench")).await.expect("created");
        let tracker = jobs.tracker(job.id).await.expect("started");
        measure(tracker.handle());
        tracker.complete(()).await.expect("completed");
    });
}

fn measure(tracker: &TrackerHandle) {
    let mut number = 0u64;
    let mut rows: Vec<Row> = vec![
        ("inc(1)", 1.2, Box::new(|tracker| tracker.inc(black_box(1)))),
        ("success(&str)", 4.0, Box::new(|tracker| tracker.item_done(black_box("CCT123 sent")))),
        (
            "success(format!)",
            16.0,
            Box::new(move |tracker| {
                number += 1;
                tracker.item_done(format!("{} sent", black_box(number)));
            }),
        ),
        (
            "failure(item, error)",
            25.0,
            Box::new(|tracker| {
                tracker.item_failed(black_box("CCT123"), black_box("550 no mailbox"));
            }),
        ),
    ];
    let counter = AtomicU64::new(0);
    let mut limits = Vec::new();
    let mut times = vec![Vec::new(); rows.len()];
    for _ in 0..ROUNDS {
        let limit = time(|| {
            counter.fetch_add(black_box(1), Ordering::Relaxed);
        });
        limits.push(limit);
        for ((_, _, report), times) in rows.iter_mut().zip(&mut times) {
            times.push(time(|| report(tracker)));
        }
    }
    println!("{:<22} {:>9} {:>7} {:>7}", "report", "ns", "ratio", "target");
    println!("{:<22} {:>9.2} {:>7} {:>7}", "fetch_add", median(limits.clone()), 1, "");
    for ((name, aim, _), times) in rows.iter().zip(times) {
        let ratios = times.iter().zip(&limits).map(|(time, limit)| time / limit).collect();
        println!("{name:<22} {:>9.2} {:>7.2} {aim:>7}", median(times.clone()), median(ratios));
    }
}
