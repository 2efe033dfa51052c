//! Measures a reported item with this library and with others, as a ratio to one relaxed
//! `fetch_add` of the same round. The others show progress in a terminal of the same process; here
//! they show nothing, so that only the report is measured.
//!
//! Run it with `cargo xtask bench --peers`.
#![allow(clippy::unwrap_used, reason = "a benchmark reports errors by panicking")]

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget};
use progress_core::{Jobs, MemoryStore, NewProgress};

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

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tracker = runtime.block_on(async {
        let jobs = Jobs::new(MemoryStore::new());
        let id = jobs.create(NewProgress::new("bench")).await.unwrap().id;
        jobs.tracker(id).await.unwrap()
    });
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
    let tree: std::sync::Arc<prodash::tree::Root> = prodash::tree::root::Options::default().into();
    let item = tree.add_child("bench");
    item.init(None, None);

    let counter = AtomicU64::new(0);
    let handle = tracker.handle();
    let rows: [(&str, &dyn Fn()); 5] = [
        ("progress-core `inc(1)`", &|| handle.inc(black_box(1))),
        ("prodash `inc_by(1)`", &|| item.inc_by(black_box(1))),
        ("indicatif `inc(1)`, hidden", &|| bar.inc(black_box(1))),
        ("progress-core `item_done(&str)`", &|| handle.item_done(black_box("CCT123 sent"))),
        ("indicatif `inc(1)` and `set_message(&'static str)`, hidden", &|| {
            bar.set_message(black_box("CCT123 sent"));
            bar.inc(1);
        }),
    ];
    let mut limits = Vec::new();
    let mut times = vec![Vec::new(); rows.len()];
    for _ in 0..ROUNDS {
        limits.push(time(|| {
            counter.fetch_add(black_box(1), Ordering::Relaxed);
        }));
        for ((_, report), times) in rows.iter().zip(&mut times) {
            times.push(time(report));
        }
    }
    for ((name, _), times) in rows.iter().zip(times) {
        let ratios = times.iter().zip(&limits).map(|(time, limit)| time / limit).collect();
        println!(
            "{name} | {:.2} ns | {:.2} ns | {:.2}",
            median(times.clone()),
            median(limits.clone()),
            median(ratios)
        );
    }
    runtime.block_on(tracker.complete(())).unwrap();
}
