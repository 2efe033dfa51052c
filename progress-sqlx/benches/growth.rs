//! Measures the calls of a store beside 1,000 and 1,000,000 finished records: lists with every kind
//! of filter, sweeps, retention, and the calls of a running job. Prints for each call the median
//! beside many records, that beside few, and the ratio.
//!
//! `cargo bench -p progress-sqlx --bench growth -- [SIZE ...] [NAME ...]` runs on an SQLite file, and
//! on the servers of PROGRESS_TEST_POSTGRES and PROGRESS_TEST_MYSQL if they are set. With names
//! (`SQLite`, `PostgreSQL`, `MariaDB`) it runs only on these.
#![allow(clippy::unwrap_used, reason = "a benchmark reports errors by panicking")]

use progress_test_support::{Database, Kind, SqlFiller, measure_growth};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let sizes: Vec<u64> = words.iter().filter_map(|word| word.parse().ok()).collect();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let databases =
        [("SQLite", Kind::Sqlite), ("PostgreSQL", Kind::Postgres), ("MariaDB", Kind::MySql)];
    let is_named = |name: &str| words.iter().any(|word| word == name);
    let all = !databases.iter().any(|(name, _)| is_named(name));
    for (name, kind) in databases.into_iter().filter(|(name, _)| all || is_named(name)) {
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
