//! The queue alone: jobs that have a record and are not queued.
#![allow(clippy::unwrap_used, reason = "a test reports a failure by panicking")]

use std::sync::Arc;
use std::time::Duration;

use example_support::database::Database;
use example_support::language::Language;
use invoice_mailer::TABLES;
use invoice_mailer::queue::{Order, Queue, TASK_TYPE};
use progress_axum::{Jobs, NewProgress, ProgressStore, Status};

#[tokio::test]
async fn only_a_job_that_was_never_queued_fails() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("queue.db").display());
    let store: Arc<dyn ProgressStore> = progress_sqlx::connect_any(&url).await.unwrap();
    let queue = Queue::new(Database::open(&url, TABLES).await.unwrap());

    let queued = NewProgress::new(TASK_TYPE);
    let order = Order { job: queued.id(), count: 7, language: Language::French };
    let id = queued.id();
    let jobs = Jobs::new(store.clone());
    queue.submit(&jobs, queued, order).await.unwrap();
    assert_eq!(queue.first().await.unwrap(), Some(order));
    let unqueued = store.create(&NewProgress::new(TASK_TYPE)).await.unwrap().id;
    let foreign = store.create(&NewProgress::new("another kind")).await.unwrap().id;
    let taken = store.create(&NewProgress::new(TASK_TYPE)).await.unwrap().id;
    let _tracker = jobs.tracker(taken).await.unwrap();

    assert_eq!(
        queue.fail_unqueued(&jobs, &*store, Duration::from_secs(60)).await.unwrap(),
        0,
        "too young"
    );
    assert_eq!(queue.fail_unqueued(&jobs, &*store, Duration::ZERO).await.unwrap(), 1);
    for (job, status) in [
        (unqueued, Status::Failed),
        (id, Status::Pending),
        (foreign, Status::Pending),
        (taken, Status::Running),
    ] {
        assert_eq!(store.get(job).await.unwrap().unwrap().status, status);
    }
}

#[tokio::test]
async fn a_job_that_cannot_be_queued_is_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("queue.db").display());
    let store: Arc<dyn ProgressStore> = progress_sqlx::connect_any(&url).await.unwrap();
    let database = Database::open(&url, TABLES).await.unwrap();
    if let Database::Sqlite(pool) = &database {
        sqlx::query("DROP TABLE queue").execute(pool).await.unwrap();
    }
    let job = NewProgress::new(TASK_TYPE);
    let order = Order { job: job.id(), count: 7, language: Language::English };
    Queue::new(database).submit(&Jobs::new(store.clone()), job, order).await.unwrap_err();
    assert_eq!(store.get(order.job).await.unwrap().unwrap().status, Status::Cancelled);
}
