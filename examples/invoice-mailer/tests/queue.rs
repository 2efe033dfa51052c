//! The queue alone: jobs that have a record and are not queued.
#![allow(clippy::unwrap_used, reason = "a test reports a failure by panicking")]

use std::sync::Arc;
use std::time::Duration;

use example_support::database::Database;
use example_support::language::Language;
use invoice_mailer::TABLES;
use invoice_mailer::queue::{Order, Queue, TASK_TYPE};
use progress_axum::{Failure, Jobs, NewProgress, ProgressStore, Status};
use tempfile::TempDir;

struct Office {
    store: Arc<dyn ProgressStore>,
    jobs: Jobs,
    queue: Queue,
    database: Database,
    _folder: TempDir,
}

async fn office() -> Office {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("queue.db").display());
    let store: Arc<dyn ProgressStore> = progress_sqlx::connect_any(&url).await.unwrap();
    let database = Database::open(&url, TABLES).await.unwrap();
    let jobs = Jobs::new(store.clone());
    let queue = Queue::new(database.clone(), jobs.clone(), store.clone());
    Office { store, jobs, queue, database, _folder: folder }
}

fn order(job: &NewProgress) -> Order {
    Order { job: job.id(), count: 7, language: Language::French }
}

#[tokio::test]
async fn only_a_job_that_was_never_queued_fails() {
    let Office { store, jobs, queue, .. } = &office().await;
    let queued = NewProgress::new(TASK_TYPE);
    let order = order(&queued);
    queue.submit(queued, order).await.unwrap();
    assert_eq!(queue.due().await.unwrap(), [order]);
    let unqueued = store.create(&NewProgress::new(TASK_TYPE)).await.unwrap().id;
    let foreign = store.create(&NewProgress::new("another kind")).await.unwrap().id;
    let running = store.create(&NewProgress::new(TASK_TYPE)).await.unwrap().id;
    let _tracker = jobs.tracker(running).await.unwrap();

    assert_eq!(queue.fail_unqueued(Duration::from_secs(60)).await.unwrap(), 0, "too young");
    assert_eq!(queue.fail_unqueued(Duration::ZERO).await.unwrap(), 1);
    for (job, status) in [
        (unqueued, Status::Failed),
        (order.job, Status::Pending),
        (foreign, Status::Pending),
        (running, Status::Running),
    ] {
        assert_eq!(store.get(job).await.unwrap().unwrap().status, status);
    }
}

#[tokio::test]
async fn a_job_that_cannot_be_queued_is_cancelled() {
    let Office { store, queue, database, .. } = &office().await;
    if let Database::Sqlite(pool) = database {
        sqlx::query("DROP TABLE queue").execute(pool).await.unwrap();
    }
    let job = NewProgress::new(TASK_TYPE);
    let order = order(&job);
    queue.submit(job, order).await.unwrap_err();
    assert_eq!(store.get(order.job).await.unwrap().unwrap().status, Status::Cancelled);
}

#[tokio::test]
async fn a_job_is_due_while_it_is_pending_and_leaves_the_queue_when_it_has_ended() {
    let Office { jobs, queue, database, .. } = &office().await;
    let job = NewProgress::new(TASK_TYPE).with_attempts(4);
    let order = order(&job);
    queue.submit(job, order).await.unwrap();

    let tracker = jobs.tracker(order.job).await.unwrap();
    assert_eq!(queue.due().await.unwrap(), [], "a running job");
    tracker.release(&Failure::new("stopped")).await.unwrap();
    assert_eq!(queue.due().await.unwrap(), [order]);
    let tracker = jobs.tracker(order.job).await.unwrap();
    let failure = Failure::new("away").retry_after(Duration::from_millis(500));
    tracker.release(&failure).await.unwrap();
    assert_eq!(queue.due().await.unwrap(), [], "a job that waits for its next attempt");
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(queue.due().await.unwrap(), [order]);

    jobs.cancel(order.job).await.unwrap();
    assert_eq!(queue.due().await.unwrap(), []);
    if let Database::Sqlite(pool) = database {
        let rows: i64 =
            sqlx::query_scalar("SELECT count(*) FROM queue").fetch_one(pool).await.unwrap();
        assert_eq!(rows, 0);
    }
}

#[tokio::test]
async fn jobs_that_run_do_not_hide_those_behind_them() {
    let Office { jobs, queue, .. } = &office().await;
    let mut trackers = Vec::new();
    for _ in 0..120 {
        let job = NewProgress::new(TASK_TYPE);
        let order = order(&job);
        queue.submit(job, order).await.unwrap();
        trackers.push(jobs.tracker(order.job).await.unwrap());
    }
    let last = NewProgress::new(TASK_TYPE);
    let order = order(&last);
    queue.submit(last, order).await.unwrap();
    assert_eq!(queue.due().await.unwrap(), [order]);
}
