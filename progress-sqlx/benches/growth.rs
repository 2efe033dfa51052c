//! Measures the calls of a store beside 1,000, 100,000 and 1,000,000 finished records: lists with
//! every kind of filter, sweeps, retention, and the calls of a running job. Prints the median of
//! each call at each size, and the ratio of the largest size to the smallest.
//!
//! `cargo bench -p progress-sqlx --bench growth -- [SIZE ...]` runs on an SQLite file, or on the
//! empty database that `PROGRESS_BENCH` names.
#![allow(clippy::unwrap_used, reason = "a benchmark reports errors by panicking")]

use progress_test_support::{SqlFiller, measure_growth};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let sizes: Vec<u64> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let folder = tempfile::tempdir().unwrap();
    let file = format!("sqlite://{}", folder.path().join("progress.db").display());
    let url = std::env::var("PROGRESS_BENCH").unwrap_or(file);
    let store = progress_sqlx::connect_any(&url).await.unwrap();
    measure_growth(store, &mut SqlFiller::open(&url).await, &sizes).await;
}
