//! Tasks on real queues: what the record and the queue's row say after each way to end.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests report failures by panicking")]

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use apalis::prelude::*;
use apalis_postgres::PostgresStorage;
use apalis_redis::RedisStorage;
use apalis_sqlite::SqliteStorage;
use progress_apalis::{ProgressLayer, TaskProgress, submit};
use progress_core::{
    Completion, Failure, Jobs, NewProgress, Progress, ProgressId, ProgressStore, Status,
    WORKER_LOST, WORKER_RESTARTED, WORKER_STOPPED,
};
use progress_test_support::{Database, Kind, RedisServer};
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, SqlitePool};

const ITEMS: u64 = 10;
/// Shorter than those of an application, so that a dead worker is found within seconds.
const HEARTBEAT: Duration = Duration::from_secs(1);
const LEASE: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(40);

/// What the handler of a task does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Work {
    Succeed,
    /// Fails in the attempts before this one.
    FailBefore(u32),
    FailFor(Duration),
    FailForGood,
    Abort,
    Panic,
    /// Counts until it is told to stop.
    Count,
    /// Ends its process.
    Die,
}

async fn handle(work: Work, progress: TaskProgress) -> Result<(), Failure> {
    let tracker = progress.tracker();
    for item in tracker.cursor::<u64>()?.unwrap_or(0)..ITEMS {
        if item == 5 {
            match work {
                Work::FailBefore(attempt) if tracker.attempt() < attempt => {
                    return Err(Failure::new("the disk is full"));
                }
                Work::FailFor(delay) if tracker.attempt() == 1 => {
                    return Err(Failure::new("busy").retry_after(delay));
                }
                Work::FailForGood => return Err(Failure::new("no such file").permanent()),
                Work::Abort => return Err(Failure::from(AbortError::new("canary")).permanent()),
                Work::Panic => panic!("deliberate panic"),
                Work::Die => {
                    tokio::time::sleep(Duration::from_millis(400)).await;
                    std::process::abort();
                }
                _ => {}
            }
        }
        tracker.checkpoint().await?;
        tracker.inc(1);
        tracker.save(&(item + 1))?;
        if work == Work::Count {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    progress.complete_with(Completion::new().with_message("all done"));
    Ok(())
}

/// The queue and the store of one test.
#[derive(Clone)]
struct Place {
    kind: &'static str,
    url: String,
    store: String,
    _keeper: Arc<Keeper>,
}

#[derive(Debug)]
#[allow(dead_code, reason = "kept until the end of the test")]
enum Keeper {
    Folder(tempfile::TempDir),
    Redis(RedisServer),
    Database(Database),
    Other,
}

/// Runs the body with a queue of the place's kind.
macro_rules! with_queue {
    ($place:expr, |$queue:ident| $body:expr) => {
        match $place.kind {
            "sqlite" => {
                let pool = SqlitePool::connect(&$place.url).await.unwrap();
                let config = apalis_sqlite::Config::default().queue("work");
                let config = config.heartbeat_interval(HEARTBEAT);
                #[allow(unused_mut, reason = "not every body pushes")]
                let mut $queue = SqliteStorage::<Work>::new(&pool).with_config(config);
                $body
            }
            "postgres" => {
                let pool = PgPool::connect(&$place.url).await.unwrap();
                let config = apalis_postgres::Config::default().queue("work");
                let config = config.heartbeat_interval(HEARTBEAT);
                #[allow(unused_mut, reason = "not every body pushes")]
                let mut $queue = PostgresStorage::<Work>::new(&pool).with_config(config);
                $body
            }
            _ => {
                let connection = apalis_redis::connect($place.url.as_str()).await.unwrap();
                let config = apalis_redis::Config::default().queue("work");
                let config = config.heartbeat_interval(HEARTBEAT);
                #[allow(unused_mut, reason = "not every body pushes")]
                let mut $queue = RedisStorage::<Work>::new(connection).with_config(config);
                $body
            }
        }
    };
}

impl Place {
    /// Returns a place of each kind that is available.
    async fn all() -> Vec<Self> {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| format!("sqlite://{}?mode=rwc", folder.path().join(name).display());
        let (url, store) = (file("queue.db"), file("progress.db"));
        let pool = SqlitePool::connect(&url).await.unwrap();
        sqlx::query("PRAGMA journal_mode = 'WAL'").execute(&pool).await.unwrap();
        SqliteStorage::migrations().run(&pool).await.unwrap();
        let keeper = Arc::new(Keeper::Folder(folder));
        let mut all = vec![Self { kind: "sqlite", url, store, _keeper: keeper }];
        let database = tokio::task::spawn_blocking(|| Database::or_say_so(Kind::Postgres));
        if let Some(database) = database.await.unwrap() {
            let url = database.url().to_owned();
            PostgresStorage::setup(&PgPool::connect(&url).await.unwrap()).await.unwrap();
            let (store, keeper) = (url.clone(), Arc::new(Keeper::Database(database)));
            all.push(Self { kind: "postgres", url, store, _keeper: keeper });
        }
        if let Some(server) = RedisServer::or_say_so(&[]) {
            let url = server.url();
            let (store, keeper) = (url.clone(), Arc::new(Keeper::Redis(server)));
            all.push(Self { kind: "redis", url, store, _keeper: keeper });
        }
        all
    }

    async fn jobs(&self) -> Jobs {
        Jobs::new(progress_redis::connect_any(&self.store).await.unwrap())
    }

    async fn push(&self, jobs: &Jobs, attempts: u32, work: Work) -> ProgressId {
        let job = NewProgress::new("work").with_total(ITEMS).with_attempts(attempts);
        let job = job.with_lease(LEASE);
        with_queue!(self, |queue| submit(jobs, &mut queue, job, work).await.unwrap().id)
    }

    /// Starts a worker in this process.
    fn work(&self, jobs: &Jobs) -> tokio::task::JoinHandle<()> {
        self.work_as(jobs, &WorkerContext::new(&format!("worker-{}", ProgressId::new())))
    }

    fn work_as(&self, jobs: &Jobs, context: &WorkerContext) -> tokio::task::JoinHandle<()> {
        let (place, jobs, context) = (self.clone(), jobs.clone(), context.clone());
        tokio::spawn(async move {
            with_queue!(place, |queue| {
                let worker = WorkerBuilder::new(context).backend(queue);
                worker.layer(ProgressLayer::new(jobs)).build(handle).run().await.unwrap();
            });
        })
    }

    /// Starts a worker in a process of its own.
    fn work_apart(&self) -> Child {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "a_worker_in_its_own_process", "--ignored", "--nocapture"]);
        command.env("WORKER_PLACE", format!("{} {} {}", self.kind, self.url, self.store));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    /// Returns the status of the only task.
    async fn row(&self) -> String {
        match self.kind {
            "sqlite" => {
                let pool = SqlitePool::connect(&self.url).await.unwrap();
                sqlx::query_scalar("SELECT status FROM Jobs").fetch_one(&pool).await.unwrap()
            }
            "postgres" => {
                let pool = PgPool::connect(&self.url).await.unwrap();
                let statement = "SELECT status FROM apalis.jobs";
                sqlx::query_scalar(statement).fetch_one(&pool).await.unwrap()
            }
            _ => {
                let mut redis = apalis_redis::connect(self.url.as_str()).await.unwrap();
                let tasks = apalis_redis::Config::default().queue("work").job_meta_hash();
                let mut keys = redis::cmd("KEYS");
                let keys: Vec<String> =
                    keys.arg(format!("{tasks}:*")).query_async(&mut redis).await.unwrap();
                let mut get = redis::cmd("HGET");
                let status: Option<String> =
                    get.arg(&keys[0]).arg("status").query_async(&mut redis).await.unwrap();
                status.unwrap_or_default()
            }
        }
    }

    /// Waits for the end of the record, and for the row that the queue writes afterwards.
    async fn end(&self, jobs: &Jobs, id: ProgressId, row: &str) -> Progress {
        let begun = Instant::now();
        loop {
            let progress = jobs.store().get(id).await.unwrap().unwrap();
            let found = self.row().await;
            if progress.status.is_finished() && found == row {
                return progress;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{}: the row is {found} and not {row}, the record {progress:?}",
                self.kind
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Not a test: the worker of a test, in a process of its own.
#[ignore = "started by other tests"]
#[tokio::test]
async fn a_worker_in_its_own_process() {
    let place = std::env::var("WORKER_PLACE").unwrap();
    let [kind, url, store] = place.split(' ').collect::<Vec<_>>().try_into().unwrap();
    let kind = ["sqlite", "postgres", "redis"].into_iter().find(|known| *known == kind).unwrap();
    let (url, store) = (url.to_owned(), store.to_owned());
    let place = Place { kind, url, store, _keeper: Arc::new(Keeper::Other) };
    let jobs = place.jobs().await;
    let mut terminate =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
    tokio::select! {
        _ = place.work(&jobs) => {}
        _ = terminate.recv() => {}
    }
}

/// Runs one task in one worker, on each queue, and checks how record and row end.
async fn check(attempts: u32, work: Work, row: &str, expected: impl Fn(&Progress)) {
    for place in Place::all().await {
        let jobs = place.jobs().await;
        let id = place.push(&jobs, attempts, work.clone()).await;
        let worker = place.work(&jobs);
        expected(&place.end(&jobs, id, row).await);
        worker.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_succeeds_completes_its_record() {
    check(1, Work::Succeed, "Done", |progress| {
        assert_eq!((progress.status, progress.succeeded), (Status::Completed, ITEMS));
        assert_eq!(progress.completion_message.as_deref(), Some("all done"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_fails_is_delivered_again_and_continues() {
    check(5, Work::FailBefore(3), "Done", |progress| {
        assert_eq!((progress.status, progress.attempt), (Status::Completed, 3));
        assert_eq!(progress.succeeded, ITEMS);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_without_attempts_left_is_killed() {
    check(2, Work::FailBefore(9), "Killed", |progress| {
        assert_eq!((progress.status, progress.attempt), (Status::Failed, 2));
        assert_eq!(progress.error.as_deref(), Some("the disk is full"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delay_is_kept() {
    check(5, Work::FailFor(Duration::from_secs(3)), "Done", |progress| {
        assert_eq!((progress.status, progress.attempt), (Status::Completed, 2));
        let began = progress.attempt_started_at.unwrap() - progress.started_at.unwrap();
        assert!(began.num_milliseconds() >= 2_900, "the second attempt began after {began}");
    })
    .await;
}

/// A worker that is told to stop while it keeps a delay leaves at once, and another one keeps the
/// rest of the delay.
#[tokio::test(flavor = "multi_thread")]
async fn a_delay_does_not_hold_up_the_end_of_a_worker() {
    for place in Place::all().await {
        let jobs = place.jobs().await;
        let delay = Duration::from_secs(12);
        let id = place.push(&jobs, 5, Work::FailFor(delay)).await;
        let context = WorkerContext::new(&format!("worker-{}", ProgressId::new()));
        let first = place.work_as(&jobs, &context);
        wait_for(&jobs, id, Progress::is_retrying).await;
        // Until the task has been delivered again.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let begun = Instant::now();
        context.stop().unwrap();
        first.await.unwrap();
        let stopped = begun.elapsed();
        assert!(stopped < Duration::from_secs(4), "{}: after {stopped:?}", place.kind);
        assert_eq!(place.row().await, "Failed", "{}", place.kind);

        let second = place.work(&jobs);
        let ended = place.end(&jobs, id, "Done").await;
        assert_eq!((ended.status, ended.attempt), (Status::Completed, 2), "{}", place.kind);
        let began = ended.attempt_started_at.unwrap() - ended.started_at.unwrap();
        assert!(began.to_std().unwrap() >= delay, "{}: after {began}", place.kind);
        second.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permanent_failure_is_not_delivered_again() {
    for work in [Work::FailForGood, Work::Abort] {
        let public = if work == Work::Abort { "the job failed" } else { "no such file" };
        check(5, work, "Killed", |progress| {
            assert_eq!((progress.status, progress.attempt), (Status::Failed, 1));
            assert_eq!(progress.error.as_deref(), Some(public));
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_ends_the_attempt_and_not_the_worker() {
    check(2, Work::Panic, "Killed", |progress| {
        assert_eq!((progress.status, progress.attempt), (Status::Failed, 2));
        assert_eq!(progress.error.as_deref(), Some(WORKER_STOPPED));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_cancelled_while_it_waited_does_not_run() {
    for place in Place::all().await {
        let jobs = place.jobs().await;
        let id = place.push(&jobs, 3, Work::Succeed).await;
        jobs.cancel(id).await.unwrap();
        let worker = place.work(&jobs);
        let progress = place.end(&jobs, id, "Killed").await;
        assert_eq!((progress.status, progress.attempt), (Status::Cancelled, 0));
        worker.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_cancelled_while_it_runs_stops() {
    for place in Place::all().await {
        let jobs = place.jobs().await;
        let id = place.push(&jobs, 3, Work::Count).await;
        let worker = place.work(&jobs);
        while jobs.store().get(id).await.unwrap().unwrap().succeeded == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        jobs.cancel(id).await.unwrap();
        let progress = place.end(&jobs, id, "Killed").await;
        assert_eq!((progress.status, progress.attempt), (Status::Cancelled, 1));
        assert!(progress.succeeded < ITEMS);
        worker.abort();
    }
}

async fn wait_for(jobs: &Jobs, id: ProgressId, what: impl Fn(&Progress) -> bool) -> Progress {
    let begun = Instant::now();
    loop {
        let progress = jobs.store().get(id).await.unwrap().unwrap();
        if what(&progress) {
            return progress;
        }
        assert!(begun.elapsed() < PATIENCE, "{progress:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status();
    assert!(sent.unwrap().success());
}

/// A janitor that finds a dead worker within seconds.
fn look_for_the_dead(jobs: &Jobs) -> tokio::task::JoinHandle<()> {
    tokio::spawn(jobs.janitor().with_sweep_interval(Duration::from_millis(200)).run())
}

/// SIGKILL leaves the record running until a janitor has found the silence. SIGTERM leaves it
/// pending at once. In both cases the queue delivers the task again when it misses the worker, and
/// the next attempt continues from the cursor.
#[tokio::test(flavor = "multi_thread")]
async fn the_task_of_a_worker_that_ended_goes_on_at_another() {
    for name in ["KILL", "TERM"] {
        for place in Place::all().await {
            let jobs = place.jobs().await;
            let janitor = look_for_the_dead(&jobs);
            let id = place.push(&jobs, 3, Work::Count).await;
            let mut first = place.work_apart();
            wait_for(&jobs, id, |progress| progress.succeeded >= 3).await;
            signal(&first, name);
            first.wait().unwrap();
            let waiting = wait_for(&jobs, id, |progress| progress.status == Status::Pending).await;
            let reason = if name == "KILL" { WORKER_LOST } else { WORKER_RESTARTED };
            assert_eq!(waiting.error.as_deref(), Some(reason), "{} {name}", place.kind);
            let second = place.work(&jobs);
            let ended = place.end(&jobs, id, "Done").await;
            assert_eq!((ended.status, ended.attempt), (Status::Completed, 2), "{}", place.kind);
            assert_eq!(ended.succeeded, ITEMS, "{} {name}", place.kind);
            second.abort();
            janitor.abort();
        }
    }
}

/// A task that kills its worker each time is given up after its attempts, and not delivered for
/// ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_kills_its_workers_is_started_as_often_as_allowed() {
    for place in Place::all().await {
        let jobs = place.jobs().await;
        let janitor = look_for_the_dead(&jobs);
        let id = place.push(&jobs, 2, Work::Die).await;
        let mut deaths = 0;
        let begun = Instant::now();
        while jobs.store().get(id).await.unwrap().unwrap().status.is_active() {
            assert!(begun.elapsed() < 2 * PATIENCE, "{}: after {deaths} deaths", place.kind);
            let mut worker = place.work_apart();
            while worker.try_wait().unwrap().is_none()
                && jobs.store().get(id).await.unwrap().unwrap().status.is_active()
            {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            deaths += u32::from(worker.try_wait().unwrap().is_some());
            worker.kill().unwrap();
            worker.wait().unwrap();
        }
        let last = place.work(&jobs);
        let ended = place.end(&jobs, id, "Killed").await;
        assert_eq!((ended.status, ended.attempt, deaths), (Status::Failed, 2, 2), "{}", place.kind);
        assert_eq!(ended.error.as_deref(), Some(WORKER_LOST));
        last.abort();
        janitor.abort();
    }
}

/// The queue delivers the task a second time while its worker is alive, as it does after a pause of
/// that worker. The second delivery does not run, and the first one ends the job.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_delivery_of_a_running_job_waits_for_its_end() {
    for place in Place::all().await {
        let jobs = place.jobs().await;
        let job = NewProgress::new("work").with_total(ITEMS).with_attempts(3).with_lease(LEASE);
        let id = jobs.create(job).await.unwrap().id;
        // Two rows of the same record stand for two deliveries of one.
        for _ in 0..2 {
            let task = progress_apalis::task(id, Work::Count).build();
            with_queue!(place, |queue| queue.push_task(task).await.unwrap());
        }
        let workers = [place.work(&jobs), place.work(&jobs)];
        let ended = wait_for(&jobs, id, |progress| progress.status.is_finished()).await;
        assert_eq!((ended.status, ended.attempt), (Status::Completed, 1), "{}", place.kind);
        assert_eq!(ended.succeeded, ITEMS, "{}", place.kind);
        workers.iter().for_each(tokio::task::JoinHandle::abort);
    }
}
