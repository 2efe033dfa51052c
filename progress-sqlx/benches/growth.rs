//! Measures the calls of a store beside 1,000 and 100,000 finished records: lists with every kind
//! of filter, sweeps, retention, and the calls of a running job. Prints for each call the median
//! beside many records, that beside few, and the ratio.
//!
//! `cargo bench -p progress-sqlx --bench growth -- [SIZE ...]` runs on an SQLite file, and on the
//! servers of PROGRESS_TEST_POSTGRES and PROGRESS_TEST_MYSQL if they are set.
#![allow(clippy::unwrap_used, reason = "a benchmark reports errors by panicking")]

use progress_test_support::{Database, Kind, SqlFiller, measure_growth};

fn main() {
    let sizes: Vec<u64> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let databases =
        [("SQLite", Kind::Sqlite), ("PostgreSQL", Kind::Postgres), ("MariaDB", Kind::MySql)];
    for (name, kind) in databases {
        let Some(database) = Database::new(kind) else {
            println!("not measured | many records, {name} | its server is not set");
            continue;
        };
        runtime.block_on(async {
            let store = progress_sqlx::connect_any(database.url()).await.unwrap();
            let mut filler = SqlFiller::open(database.url()).await;
            measure_growth(name, store, &mut filler, &sizes).await;
        });
    }
}
