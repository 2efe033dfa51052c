//! The queue by itself: what becomes of a job whose maker died before it was queued.
#![allow(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use std::sync::Arc;
use std::time::Duration;

use invoice_mailer::database::Database;
use invoice_mailer::language::Language;
use invoice_mailer::queue::{Order, Queue, TASK_TYPE};
use progress_axum::{Jobs, NewProgress, ProgressStore, ProgressUpdate, Status};

#[tokio::test]
async fn a_job_that_was_never_queued_is_given_up_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("queue.db").display());
    let store: Arc<dyn ProgressStore> = progress_sqlx::connect_any(&url).await.unwrap();
    let queue = Queue::new(Database::open(&url).await.unwrap());

    let queued = NewProgress::new(TASK_TYPE);
    let order = Order { job: queued.id(), count: 7, language: Language::French };
    let id = queued.id();
    queue.submit(&Jobs::new(store.clone()), queued, order).await.unwrap();
    assert_eq!(queue.first().await.unwrap(), Some(order));
    let forgotten = store.create(&NewProgress::new(TASK_TYPE)).await.unwrap().id;
    let somebody_elses = store.create(&NewProgress::new("another kind")).await.unwrap().id;
    let taken = store.create(&NewProgress::new(TASK_TYPE)).await.unwrap().id;
    store.update(taken, &ProgressUpdate::start()).await.unwrap();

    assert_eq!(
        queue.give_up_forgotten(&*store, Duration::from_secs(60)).await.unwrap(),
        0,
        "too young"
    );
    assert_eq!(queue.give_up_forgotten(&*store, Duration::ZERO).await.unwrap(), 1);
    for (job, status) in [
        (forgotten, Status::Failed),
        (id, Status::Pending),
        (somebody_elses, Status::Pending),
        (taken, Status::Running),
    ] {
        assert_eq!(store.get(job).await.unwrap().unwrap().status, status);
    }
}

#[tokio::test]
async fn a_job_that_cannot_be_queued_does_not_wait_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("queue.db").display());
    let store: Arc<dyn ProgressStore> = progress_sqlx::connect_any(&url).await.unwrap();
    let database = Database::open(&url).await.unwrap();
    if let Database::Sqlite(pool) = &database {
        sqlx::query("DROP TABLE queue").execute(pool).await.unwrap();
    }
    let job = NewProgress::new(TASK_TYPE);
    let order = Order { job: job.id(), count: 7, language: Language::English };
    Queue::new(database).submit(&Jobs::new(store.clone()), job, order).await.unwrap_err();
    assert_eq!(store.get(order.job).await.unwrap().unwrap().status, Status::Cancelled);
}
