//! Many tasks and processes count on one job at once, and no count is lost.

use std::sync::Arc;
use std::time::Duration;

use progress_core::{Delta, ProgressId, ProgressStore, ProgressUpdate, Stamp};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::place::{Place, runtime};
use crate::report::{Finding, Report};
use crate::signals::Worker;
use crate::worker::{join_all, running};

const TASKS: u64 = 64;

pub(crate) fn run(report: &mut Report) {
    let each = u64::from(report.rounds(1_000, 80));
    for place in Place::all() {
        report.check(place.name, || {
            let (expected, counted) = runtime().block_on(async {
                let store = place.open().await;
                let job = running(&store).await;
                if place.name == "memory" {
                    // Other processes do not see it, so two sets of tasks count instead.
                    tokio::join!(count(&store, job, each), count(&store, job, each));
                } else {
                    let (id, each) = (job.to_string(), each.to_string());
                    let mut workers =
                        [(); 2].map(|()| Worker::start(&["count", place.url(), &id, &each]));
                    for worker in &mut workers {
                        assert!(worker.wait(Duration::from_secs(600)).1, "a worker failed");
                    }
                }
                (2 * TASKS * each, store.get(job).await.unwrap().unwrap().succeeded)
            });
            let lost = i128::from(expected) - i128::from(counted);
            Finding::new(lost == 0, format_args!("{lost} of {expected} lost"), "0 lost")
        });
    }
    report.check("control", || {
        let (expected, counted) = runtime().block_on(careless());
        let lost = expected - counted;
        Finding::new(
            lost > 0,
            format_args!("reading, adding and writing back loses {lost} of {expected} counts"),
            "some lost",
        )
    });
}

pub(crate) async fn count(store: &Arc<dyn ProgressStore>, job: ProgressId, each: u64) {
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let store = Arc::clone(store);
        tasks.spawn(async move {
            let writer = Uuid::new_v4();
            for seq in 1..=each {
                let one = ProgressUpdate::advance(Delta::new().with_succeeded(1));
                let one = one.with_stamp(Stamp { writer, seq });
                // On a busy machine so many writers may wait for longer than a store does.
                while let Err(error) = store.update(job, &one).await {
                    assert!(error.is_transient(), "{error:?}");
                }
            }
        });
    }
    join_all(tasks).await;
}

/// Control: the bug that stores avoid, a count that is read, added to in the program, and written
/// back.
async fn careless() -> (u64, u64) {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteConnectOptions::new()
        .filename(folder.path().join("careless.db"))
        .create_if_missing(true);
    let pool =
        SqlitePool::connect_with(options.journal_mode(SqliteJournalMode::Wal)).await.unwrap();
    sqlx::query("CREATE TABLE counter (count INTEGER)").execute(&pool).await.unwrap();
    sqlx::query("INSERT INTO counter VALUES (0)").execute(&pool).await.unwrap();
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let pool = pool.clone();
        tasks.spawn(async move {
            for _ in 0..100 {
                let count: i64 =
                    sqlx::query_scalar("SELECT count FROM counter").fetch_one(&pool).await.unwrap();
                let write = sqlx::query("UPDATE counter SET count = $1").bind(count + 1);
                write.execute(&pool).await.unwrap();
            }
        });
    }
    join_all(tasks).await;
    let counted: i64 =
        sqlx::query_scalar("SELECT count FROM counter").fetch_one(&pool).await.unwrap();
    (800, counted.unsigned_abs())
}
