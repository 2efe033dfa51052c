//! Runs the programs of `docs/queues.md` with their queues, on the PostgreSQL server that
//! `cargo xtask queues` starts.

use std::time::Duration;

use progress_core::{Jobs, Progress, ProgressId, Status};
use progress_sqlx::PostgresStore;
use queue_programs::{graphile, loco, underway_task};
use sqlx::{Connection as _, Executor as _, PgPool};

const PATIENCE: Duration = Duration::from_secs(60);

/// The address of a new database, and its jobs.
async fn database(name: &str) -> (String, Jobs) {
    let server = std::env::var("PROGRESS_TEST_POSTGRES");
    let server = server.expect("`cargo xtask queues` sets PROGRESS_TEST_POSTGRES");
    let mut connection = sqlx::PgConnection::connect(&server).await.unwrap();
    let create = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
    connection.execute(create.as_str()).await.unwrap();
    connection.execute(format!("CREATE DATABASE {name}").as_str()).await.unwrap();
    let url = format!("{}/{name}", server.rsplit_once('/').unwrap().0);
    let store = PostgresStore::connect(&url).await.unwrap();
    store.migrate().await.unwrap();
    (url, Jobs::new(store))
}

/// The record, when it has ended.
async fn ended(jobs: &Jobs, id: ProgressId) -> Progress {
    let wait = async {
        loop {
            let record = jobs.get(id).await.unwrap().unwrap();
            if record.status.is_finished() {
                return record;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("the job ends")
}

/// Waits until this statement counts no message that the queue would deliver.
async fn is_empty(pool: &PgPool, waiting: &str) {
    let wait = async {
        while sqlx::query_scalar::<_, i64>(waiting).fetch_one(pool).await.unwrap() > 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("the queue becomes empty");
}

/// What holds for each queue: a job whose first attempt fails is delivered again and completes, and
/// a job that was cancelled while it waited leaves the queue without having run.
async fn check(jobs: &Jobs, [retried, cancelled]: [ProgressId; 2], pool: &PgPool, waiting: &str) {
    let record = ended(jobs, retried).await;
    assert_eq!(record.status, Status::Completed, "{record:?}");
    assert_eq!((record.attempt, record.succeeded), (2, 7));
    let taken = record.finished_at.unwrap() - record.created_at;
    assert!(taken.num_milliseconds() >= 1_000, "attempt 2 did not wait: {taken}");
    is_empty(pool, waiting).await;
    let record = ended(jobs, cancelled).await;
    assert_eq!((record.status, record.attempt), (Status::Cancelled, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn graphile_worker() {
    let (url, jobs) = database("graphile").await;
    let pool = PgPool::connect(&url).await.unwrap();
    let worker = graphile_worker::WorkerOptions::default()
        .database_url(&url)
        .add_extension(jobs.clone())
        .define_job::<graphile::Count>()
        .listen_os_shutdown_signals(false)
        .init()
        .await
        .unwrap();
    let queue = worker.create_utils();
    let ids = [graphile::submit(&jobs, &queue).await, graphile::submit(&jobs, &queue).await];
    let ids = ids.map(Result::unwrap);
    jobs.cancel(ids[1]).await.unwrap();
    let worker = tokio::spawn(async move { worker.run().await.unwrap() });
    check(&jobs, ids, &pool, "SELECT count(*) FROM graphile_worker._private_jobs").await;
    worker.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn underway() {
    let (url, jobs) = database("underway_queue").await;
    let pool = PgPool::connect(&url).await.unwrap();
    underway::run_migrations(&pool).await.unwrap();
    let queue = underway::Queue::builder().name("count").pool(pool.clone()).build().await;
    let queue = std::sync::Arc::new(queue.unwrap());
    let task = underway_task::Count { jobs: jobs.clone() };
    let ids = [
        underway_task::submit(&task, &queue, &pool).await.unwrap(),
        underway_task::submit(&task, &queue, &pool).await.unwrap(),
    ];
    jobs.cancel(ids[1]).await.unwrap();
    let worker = underway::Worker::new(queue, task);
    let run = worker.clone();
    let running = tokio::spawn(async move { run.run().await.unwrap() });
    check(&jobs, ids, &pool, "SELECT count(*) FROM underway.task WHERE state <> 'succeeded'").await;
    worker.shutdown();
    running.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn loco() {
    use loco_rs::app::AppContext;
    use loco_rs::bgworker::{BackgroundWorker as _, pg};
    use loco_rs::environment::Environment;

    let (url, jobs) = database("loco").await;
    let pool = PgPool::connect(&url).await.unwrap();
    let config = serde_json::json!({ "uri": url, "num_workers": 2 });
    let queue = pg::create_provider(&serde_json::from_value(config).unwrap()).await.unwrap();
    queue.setup().await.unwrap();
    let queue = std::sync::Arc::new(queue);
    let config = serde_json::json!({
        "logger": { "enable": false, "level": "info", "format": "compact" },
        "server": { "port": 0, "host": "http://127.0.0.1" },
    });
    let config = serde_json::from_value(config).unwrap();
    let context = AppContext::builder(Environment::Test, config).queue_provider(queue.clone());
    let context = context.build();
    context.shared_store.insert(jobs.clone());
    queue.register(loco::Count::build(&context)).await.unwrap();
    let ids = [loco::submit(&jobs, &context).await, loco::submit(&jobs, &context).await];
    let ids = ids.map(Result::unwrap);
    jobs.cancel(ids[1]).await.unwrap();
    let run = queue.clone();
    let running = tokio::spawn(async move { run.run(Vec::new()).await.unwrap() });
    let waiting = "SELECT count(*) FROM pg_loco_queue WHERE status <> 'completed'";
    check(&jobs, ids, &pool, waiting).await;
    queue.shutdown().unwrap();
    running.await.unwrap();
}
