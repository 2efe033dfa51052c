//! Measures a reported item with this library and with others, as a ratio to one relaxed
//! `fetch_add` of the same round. The others show progress in a terminal of the same process; here
//! they show nothing, so that only the report is measured.
//!
//! Also measures an item of a job that is stored in SQLite, and a poll without a socket. The
//! programs in `python/` and `node/` measure the same with libraries that store each item.
//!
//! Run it with `cargo xtask bench --peers`.
#![allow(clippy::unwrap_used, reason = "a benchmark reports errors by panicking")]

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget};
use progress_core::{Jobs, MemoryStore, NewProgress, ProgressStore};
use progress_http::{Answer, ProgressApi, Request, Route, Viewer};
use progress_sqlx::SqliteStore;

const ROUNDS: usize = 31;
const CALLS: u32 = 200_000;
/// Items of a short job, whose start and end count most, and of one that is long enough for a
/// write in between.
const SHORT: u32 = 10_000;
const LONG: u32 = 200_000_000;

/// Returns the mean time of one call in nanoseconds.
fn time(mut call: impl FnMut()) -> f64 {
    let begun = Instant::now();
    for _ in 0..CALLS {
        call();
    }
    begun.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
}

/// Returns the time of an item of a job, in nanoseconds, until all items are stored.
async fn stored(jobs: &Jobs, store: &SqliteStore, items: u32) -> f64 {
    let job = jobs.create(NewProgress::new("bench").with_total(items.into())).await.unwrap();
    let begun = Instant::now();
    let tracker = jobs.tracker(job.id).await.unwrap();
    let handle = tracker.handle();
    for _ in 0..items {
        handle.inc(black_box(1));
    }
    tracker.complete(()).await.unwrap();
    let elapsed = begun.elapsed();
    let record = store.get(job.id).await.unwrap().unwrap();
    assert_eq!(record.succeeded, u64::from(items));
    elapsed.as_secs_f64() * 1e9 / f64::from(items)
}

/// Returns the time of a poll in nanoseconds.
async fn poll(api: &ProgressApi, path: &str) -> f64 {
    let begun = Instant::now();
    for _ in 0..CALLS {
        let request = Request { method: "GET", path: black_box(path), ..Request::default() };
        let Route::Call(call) = api.route(&request) else { panic!("a poll needs a viewer") };
        let Answer::Whole(reply) = call.answer(&Viewer::Anyone).await else { panic!("a stream") };
        assert_eq!(black_box(reply).status, 200);
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

    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("bench.db").display());
    let store = runtime.block_on(SqliteStore::connect(&url)).unwrap();
    let jobs = Jobs::new(store.clone());
    let polled = NewProgress::new("bench").with_total(10_000).with_title("Exporting invoices");
    let polled = runtime.block_on(jobs.create(polled)).unwrap().id;
    let path = format!("/{polled}");
    let api = ProgressApi::new(jobs.clone());

    let counter = AtomicU64::new(0);
    let handle = tracker.handle();
    let rows: [(&str, &dyn Fn() -> f64); 8] = [
        ("progress-core `inc(1)`", &|| time(|| handle.inc(black_box(1)))),
        ("prodash `inc_by(1)`", &|| time(|| item.inc_by(black_box(1)))),
        ("indicatif `inc(1)`, hidden", &|| time(|| bar.inc(black_box(1)))),
        ("progress-core `item_done(&str)`", &|| {
            time(|| handle.item_done(black_box("CCT123 sent")))
        }),
        ("indicatif `inc(1)` and `set_message(&'static str)`, hidden", &|| {
            time(|| {
                bar.set_message(black_box("CCT123 sent"));
                bar.inc(1);
            })
        }),
        ("progress-sqlx, an item of 10,000 until all are stored, SQLite", &|| {
            runtime.block_on(stored(&jobs, &store, SHORT))
        }),
        ("progress-sqlx, an item of 200,000,000 until all are stored, SQLite", &|| {
            runtime.block_on(stored(&jobs, &store, LONG))
        }),
        ("progress-http, a poll: 200, the record is cached", &|| {
            runtime.block_on(poll(&api, &path))
        }),
    ];
    let mut limits = Vec::new();
    let mut times = vec![Vec::new(); rows.len()];
    for _ in 0..if std::env::args().any(|word| word == "--quick") { 5 } else { ROUNDS } {
        limits.push(time(|| {
            counter.fetch_add(black_box(1), Ordering::Relaxed);
        }));
        for ((_, measure), times) in rows.iter().zip(&mut times) {
            times.push(measure());
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
