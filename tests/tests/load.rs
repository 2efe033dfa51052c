//! Ten jobs of 100,000 items each, at full speed, on a real database: how many writes reach the
//! store.
#![allow(clippy::unwrap_used, reason = "tests report failures by panicking")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use progress_core::testing::FaultyStore;
use progress_core::{Jobs, NewProgress, ProgressStore, Status};
use progress_sqlx::SqliteStore;

const JOBS: u64 = 10;
const ITEMS: u64 = 100_000;
const FLUSH_INTERVAL: Duration = Duration::from_millis(250);

#[tokio::test(flavor = "multi_thread")]
async fn a_million_items_make_a_handful_of_writes_and_an_exact_count() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("load.db").display());
    let counting = Arc::new(FaultyStore::new(Arc::new(SqliteStore::connect(&url).await.unwrap())));
    let jobs = Jobs::new(counting.clone());

    let begun = Instant::now();
    let mut tasks = Vec::new();
    for job in 0..JOBS {
        let job = NewProgress::new("load").with_total(ITEMS).with_title(format!("job {job}"));
        let id = jobs.create(job).await.unwrap().id;
        tasks.push(tokio::spawn(jobs.run(id, async move |tracker| {
            for item in 0..ITEMS {
                tracker.checkpoint().await?;
                if item % 1_000 == 999 {
                    tracker.item_failed(format!("item {item}"), "refused");
                } else {
                    tracker.item_done(format!("item {item}"));
                }
                // Slow enough to last for several flushes, fast enough for a test.
                if item % 500 == 0 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
            Ok(())
        })));
    }
    for task in tasks {
        let ended = task.await.unwrap().unwrap();
        assert_eq!(
            (ended.status, ended.succeeded, ended.failed),
            (Status::Completed, ITEMS - 100, 100)
        );
        assert_eq!(ended.percentage(), Some(100));
        let log = jobs.store().entries(ended.id, 0, 1_000).await.unwrap();
        assert_eq!((log.entries.len(), log.dropped), (100, 0));
    }
    let intervals = begun.elapsed().as_millis().div_ceil(FLUSH_INTERVAL.as_millis());
    // For each job: one to create, one to start, at most one per interval, and one to end.
    let most = u128::from(JOBS) * (intervals + 3);
    let writes = u128::from(counting.writes());
    println!("{writes} writes for {} items in {intervals} intervals, at most {most}", JOBS * ITEMS);
    assert!(writes <= most, "{writes} writes in {intervals} intervals");
    // A busy machine may delay flushes, but not all of them.
    assert!(writes > u128::from(JOBS) * 3, "{writes} writes: too few to show progress");
}

#[tokio::test]
async fn a_job_without_items_completes_at_a_hundred_per_cent() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("empty.db").display());
    let jobs = Jobs::new(SqliteStore::connect(&url).await.unwrap());
    let id = jobs.create(NewProgress::new("empty").with_total(0)).await.unwrap().id;
    let ended = jobs.run(id, async |_| Ok(())).await.unwrap();
    assert_eq!(
        (ended.status, ended.percentage(), ended.processed()),
        (Status::Completed, Some(100), 0)
    );

    let title = "<script>alert(1)</script>".repeat(50_000);
    let job = jobs.create(NewProgress::new("t").with_title(&title)).await.unwrap();
    assert_eq!(job.title.as_deref(), title.get(..200));
}
