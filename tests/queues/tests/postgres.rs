//! Runs the programs of `docs/queues.md` with their queues, on the PostgreSQL server that
//! `cargo xtask queues` starts.

use std::sync::Arc;
use std::time::Duration;

use loco_rs::app::AppContext;
use loco_rs::bgworker::{BackgroundWorker as _, Queue, pg};
use loco_rs::environment::Environment;
use progress_core::{Jobs, Progress, ProgressId, Status};
use progress_sqlx::PostgresStore;
use queue_programs::{graphile, loco, underway_task};
use sqlx::{Connection as _, Executor as _, PgPool};

/// More than a lease, a heartbeat of underway and a poll of underway.
const PATIENCE: Duration = Duration::from_secs(240);

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

/// A queue with its worker, which runs in this process from `start` on.
struct Graphile(graphile_worker::Worker);

impl Graphile {
    async fn open(url: &str, jobs: &Jobs) -> Self {
        // Short times, so that a test can wait for them.
        let recovery = graphile_worker::WorkerRecoveryConfig::default()
            .heartbeat_interval(Duration::from_secs(1))
            .sweep_interval(Duration::from_secs(2))
            .sweep_threshold(Duration::from_secs(5))
            .recovery_delay(Duration::from_secs(1));
        let worker = graphile_worker::WorkerOptions::default()
            .database_url(url)
            .add_extension(jobs.clone())
            .define_job::<graphile::Count>()
            .worker_recovery(recovery)
            .listen_os_shutdown_signals(false);
        Self(worker.init().await.unwrap())
    }

    async fn submit(&self, jobs: &Jobs) -> ProgressId {
        graphile::submit(jobs, &self.0.create_utils()).await.unwrap()
    }

    async fn run(self) {
        self.0.run().await.unwrap();
    }
}

struct Underway {
    pool: PgPool,
    queue: Arc<underway::Queue<underway_task::Count>>,
    task: underway_task::Count,
}

impl Underway {
    async fn open(url: &str, jobs: &Jobs) -> Self {
        let pool = PgPool::connect(url).await.unwrap();
        underway::run_migrations(&pool).await.unwrap();
        let queue = underway::Queue::builder().name("count").pool(pool.clone()).build().await;
        let task = underway_task::Count { jobs: jobs.clone() };
        Self { pool, queue: Arc::new(queue.unwrap()), task }
    }

    async fn submit(&self, _: &Jobs) -> ProgressId {
        underway_task::submit(&self.task, &self.queue, &self.pool).await.unwrap()
    }

    async fn run(self) {
        underway::Worker::new(self.queue, self.task).run().await.unwrap();
    }
}

struct Loco {
    context: AppContext,
    queue: Arc<Queue>,
}

impl Loco {
    async fn open(url: &str, jobs: &Jobs) -> Self {
        // The reaper takes every job in progress for lost, also those that run: it cannot tell.
        let reaper = serde_json::json!({ "age_minutes": 0, "interval_seconds": 5 });
        let config = serde_json::json!({ "uri": url, "num_workers": 4, "reaper": reaper });
        let queue = pg::create_provider(&serde_json::from_value(config).unwrap()).await.unwrap();
        queue.setup().await.unwrap();
        let queue = Arc::new(queue);
        let config = serde_json::json!({
            "logger": { "enable": false, "level": "info", "format": "compact" },
            "server": { "port": 0, "host": "http://127.0.0.1" },
        });
        let config = serde_json::from_value(config).unwrap();
        let context = AppContext::builder(Environment::Test, config);
        let context = context.queue_provider(queue.clone()).build();
        context.shared_store.insert(jobs.clone());
        queue.register(loco::Count::build(&context)).await.unwrap();
        Self { context, queue }
    }

    async fn submit(&self, jobs: &Jobs) -> ProgressId {
        loco::submit(jobs, &self.context).await.unwrap()
    }

    async fn run(self) {
        self.queue.run(Vec::new()).await.unwrap();
    }
}

/// Only run by the tests below, as a process that is killed.
#[tokio::test]
async fn worker_process() {
    let Ok(url) = std::env::var("QUEUE_PROGRAMS_DATABASE") else { return };
    let jobs = Jobs::new(PostgresStore::connect(&url).await.unwrap());
    match std::env::var("QUEUE_PROGRAMS_HANG").unwrap().as_str() {
        "on_graphile" => Graphile::open(&url, &jobs).await.run().await,
        "on_underway" => Underway::open(&url, &jobs).await.run().await,
        _ => Loco::open(&url, &jobs).await.run().await,
    }
}

/// Starts a worker in another process, and kills it when the job has counted to three.
async fn kill_a_worker(queue: &str, url: &str, jobs: &Jobs, id: ProgressId) {
    let mut worker = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "worker_process"])
        .env("QUEUE_PROGRAMS_DATABASE", url)
        .env("QUEUE_PROGRAMS_HANG", queue)
        .spawn()
        .unwrap();
    let wait = async {
        while jobs.get(id).await.unwrap().unwrap().succeeded < 3 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let counted = tokio::time::timeout(PATIENCE, wait).await;
    worker.kill().unwrap();
    worker.wait().unwrap();
    counted.expect("the worker counts to three");
}

/// The tests of a queue: what holds for each, and a worker that is killed, whose job another one
/// continues.
macro_rules! tests {
    ($name:ident, $queue:ty, $waiting:literal) => {
        mod $name {
            use super::*;

            #[tokio::test(flavor = "multi_thread")]
            async fn retries_and_cancellations() {
                let (url, jobs) = database(stringify!($name)).await;
                let queue = <$queue>::open(&url, &jobs).await;
                let ids = [queue.submit(&jobs).await, queue.submit(&jobs).await];
                jobs.cancel(ids[1]).await.unwrap();
                let worker = tokio::spawn(queue.run());
                check(&jobs, ids, &PgPool::connect(&url).await.unwrap(), $waiting).await;
                worker.abort();
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn a_killed_worker() {
                let (url, jobs) = database(concat!(stringify!($name), "_killed")).await;
                tokio::spawn(jobs.janitor().run());
                let queue = <$queue>::open(&url, &jobs).await;
                let id = queue.submit(&jobs).await;
                kill_a_worker(stringify!($name), &url, &jobs, id).await;
                let worker = tokio::spawn(queue.run());
                let record = ended(&jobs, id).await;
                assert_eq!(record.status, Status::Completed, "{record:?}");
                assert_eq!((record.attempt, record.succeeded), (2, 7));
                is_empty(&PgPool::connect(&url).await.unwrap(), $waiting).await;
                worker.abort();
            }
        }
    };
}

tests!(on_graphile, Graphile, "SELECT count(*) FROM graphile_worker._private_jobs");
tests!(on_underway, Underway, "SELECT count(*) FROM underway.task WHERE state <> 'succeeded'");
tests!(on_loco, Loco, "SELECT count(*) FROM pg_loco_queue WHERE status <> 'completed'");
