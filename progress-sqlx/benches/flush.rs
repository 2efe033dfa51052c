//! Measures the cost of a flush. Compares one stamped update with a bare autocommit UPDATE of the
//! same row through the same driver, and a batch of 100 with a single update. Rounds are
//! interleaved, because speed drifts over time. Prints the medians of the rounds and their ratios.
//!
//! Run it with `cargo xtask bench flush`: on SQLite, and on the servers of PROGRESS_TEST_POSTGRES
//! and PROGRESS_TEST_MYSQL if they are set; on one processor. On several, the time in which an idle
//! processor wakes up is measured as well: an update hands over to another thread more often than a
//! bare statement.
#![allow(clippy::unwrap_used, reason = "a benchmark reports errors by panicking")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use progress_core::{Delta, NewProgress, ProgressId, ProgressStore, ProgressUpdate, Stamp};
use progress_sqlx::PostgresStore;
use sqlx::{AssertSqlSafe, Connection as _};
use uuid::Uuid;

const ROUNDS: u32 = 15;
/// Calls of each kind in a round.
const CALLS: u32 = 200;
const BATCH: u32 = 100;

/// Returns the bare statement for the same table and key. MySQL has no RETURNING.
fn bare(kind: &str) -> &'static [&'static str] {
    match kind {
        "mysql" => &["UPDATE progress_records SET succeeded = succeeded + 1 WHERE id = ?"],
        _ => &["UPDATE progress_records SET succeeded = succeeded + 1 WHERE id = $1 \
               RETURNING succeeded"],
    }
}

/// Returns two statements that read and write as much as those of a flush.
fn read_and_write(kind: &str) -> &'static [&'static str] {
    macro_rules! statements {
        ($id:literal) => {
            &[
                concat!("SELECT * FROM progress_records WHERE id = ", $id),
                concat!(
                    "UPDATE progress_records SET total = total, succeeded = succeeded + 1, \
                     failed = failed, message = 'line 4,711 of 10,000', pace = pace, \
                     last_entry = last_entry, version = version + 1, updated_at = updated_at + 1, \
                     heartbeat_at = heartbeat_at + 1, checkpoint = checkpoint, writer = writer, \
                     seq = seq WHERE id = ",
                    $id
                ),
            ]
        };
    }
    if kind == "mysql" { statements!("?") } else { statements!("$1") }
}

macro_rules! run_all {
    ($connection:expr, $statements:expr, $id:expr) => {{
        let mut connection = $connection.await.unwrap();
        let begun = Instant::now();
        for _ in 0..CALLS {
            for statement in $statements {
                sqlx::query(*statement).bind($id).fetch_optional(&mut connection).await.unwrap();
            }
        }
        let elapsed = begun.elapsed();
        connection.close().await.unwrap();
        elapsed
    }};
}

/// Runs statements with the id as their parameter, on a connection without a pool.
async fn run_all(kind: &str, url: &str, id: &str, statements: &[&'static str]) -> Duration {
    match kind {
        "postgres" => run_all!(sqlx::PgConnection::connect(url), statements, id),
        "mysql" => run_all!(sqlx::MySqlConnection::connect(url), statements, id),
        _ => {
            let options: sqlx::sqlite::SqliteConnectOptions = url.parse().unwrap();
            let options = options.synchronous(sqlx::sqlite::SqliteSynchronous::Normal);
            run_all!(sqlx::SqliteConnection::connect_with(&options), statements, id)
        }
    }
}

fn one(writer: Uuid, seq: u32) -> ProgressUpdate {
    let delta = Delta::new().with_succeeded(1).with_message("line 4,711 of 10,000");
    ProgressUpdate::advance(delta).with_stamp(Stamp { writer, seq: u64::from(seq) })
}

async fn measure(kind: &str, url: &str, rounds: u32) {
    let store = progress_sqlx::connect_any(url).await.unwrap();
    let mut jobs: Vec<ProgressId> = Vec::new();
    for _ in 0..=BATCH {
        let job = store.create(&NewProgress::new("bench").with_total(1_000_000)).await.unwrap();
        store.update(job.id, &ProgressUpdate::start()).await.unwrap();
        jobs.push(job.id);
    }
    let single = jobs.pop().unwrap();
    let mut stores = vec![("", store)];
    let mut listener = None;
    if kind == "postgres" {
        let store = PostgresStore::connect(url).await.unwrap().with_notify();
        listener = store.changes();
        stores.push((" with NOTIFY", Arc::new(store)));
    }
    let (mut bares, mut pairs) = (Vec::new(), Vec::new());
    let (mut singles, mut batches) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let id = single.to_string();
        bares.push(run_all(kind, url, &id, bare(kind)).await);
        pairs.push(run_all(kind, url, &id, read_and_write(kind)).await);
        for (number, (_, store)) in stores.iter().enumerate() {
            // Each store counts as a writer of its own.
            let writer = Uuid::from_u128(number as u128 + 1);
            singles.push((number, update_one(&**store, single, writer, round).await));
            batches.push((number, update_many(&**store, &jobs, writer, round).await));
        }
    }
    drop(listener);
    let (bare, pair) = (micros(bares, CALLS), micros(pairs, CALLS));
    println!(
        "the statements of a flush alone, {} | {pair:.1} us | {bare:.1} us | {:.2} | - | -",
        label(kind),
        pair / bare
    );
    for (number, (name, _)) in stores.iter().enumerate() {
        let of_this = |times: &[(usize, Duration)]| {
            times.iter().filter(|(of, _)| *of == number).map(|(_, time)| *time).collect()
        };
        let single = micros(of_this(&singles), CALLS);
        let batch = micros(of_this(&batches), CALLS / 10 * BATCH);
        println!(
            "one flush, {}{name} | {single:.1} us | {bare:.1} us | {:.2} | <= 3 | <= 5",
            label(kind),
            single / bare
        );
        println!(
            "a job in a batch of {BATCH}, {}{name} | {batch:.2} us | {single:.1} us | {:.3} | \
             <= 0.2 | <= 0.35",
            label(kind),
            batch / single
        );
    }
}

fn label(kind: &str) -> &'static str {
    match kind {
        "postgres" => "PostgreSQL",
        "mysql" => "MariaDB",
        _ => "SQLite",
    }
}

async fn print_version(kind: &str, url: &str) {
    let version = match kind {
        "postgres" => {
            let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
            sqlx::query_scalar("SHOW server_version").fetch_one(&mut connection).await
        }
        "mysql" => {
            let mut connection = sqlx::MySqlConnection::connect(url).await.unwrap();
            sqlx::query_scalar("SELECT VERSION()").fetch_one(&mut connection).await
        }
        _ => {
            let mut connection = sqlx::SqliteConnection::connect(url).await.unwrap();
            sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&mut connection).await
        }
    };
    let version: String = version.unwrap();
    println!("version | {} | {version}", label(kind));
}

async fn update_one(
    store: &dyn ProgressStore,
    id: ProgressId,
    writer: Uuid,
    round: u32,
) -> Duration {
    let begun = Instant::now();
    for call in 0..CALLS {
        store.update(id, &one(writer, round * CALLS + call + 1)).await.unwrap();
    }
    begun.elapsed()
}

async fn update_many(
    store: &dyn ProgressStore,
    ids: &[ProgressId],
    writer: Uuid,
    round: u32,
) -> Duration {
    let begun = Instant::now();
    for call in 0..CALLS / 10 {
        let update = one(writer, round * CALLS + call + 1);
        let updates: Vec<_> = ids.iter().map(|id| (*id, update.clone())).collect();
        for outcome in store.update_many(&updates).await {
            outcome.unwrap();
        }
    }
    begun.elapsed()
}

fn micros(mut rounds: Vec<Duration>, calls: u32) -> f64 {
    rounds.sort_unstable();
    rounds[rounds.len() / 2].as_secs_f64() * 1e6 / f64::from(calls)
}

/// Creates a database for this benchmark and returns its address.
async fn database(kind: &str, server: &str) -> String {
    let name = format!("progress_bench_{}", std::process::id());
    let create = sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}")));
    if kind == "postgres" {
        let mut connection = sqlx::PgConnection::connect(server).await.unwrap();
        create.execute(&mut connection).await.unwrap();
    } else {
        let mut connection = sqlx::MySqlConnection::connect(server).await.unwrap();
        create.execute(&mut connection).await.unwrap();
    }
    format!("{}/{name}", server.rsplit_once('/').unwrap().0)
}

fn main() {
    // One thread, as in the flush loop of `Jobs`.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let rounds = if std::env::args().any(|word| word == "--quick") { 5 } else { ROUNDS };
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("bench.db").display());
        measure("sqlite", &url, rounds).await;
        print_version("sqlite", &url).await;
        for (kind, variable) in
            [("postgres", "PROGRESS_TEST_POSTGRES"), ("mysql", "PROGRESS_TEST_MYSQL")]
        {
            match std::env::var(variable) {
                Ok(server) => {
                    let url = database(kind, &server).await;
                    measure(kind, &url, rounds).await;
                    print_version(kind, &url).await;
                }
                Err(_) => println!("not measured | flush, {} | set {variable}", label(kind)),
            }
        }
    });
}
