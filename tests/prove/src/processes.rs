//! Two web processes and two workers on one server. Jobs go through apalis while one worker after
//! the other is killed and started again: all complete with exact counts, and each page shows the
//! end of its job at once, at either web process.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use apalis::prelude::*;
use apalis_postgres::PostgresStorage;
use apalis_redis::RedisStorage;
use axum::Router;
use axum::routing::post;
use progress_apalis::{ProgressLayer, TaskProgress};
use progress_axum::Anyone;
use progress_core::{Failure, Jobs, NewProgress, Progress, ProgressId, Status};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::client::{Client, percentile};
use crate::place::{Place, open, runtime};
use crate::report::{Finding, Report};
use crate::signals::Worker;
use crate::testserver::path;
use crate::worker::{join_all, say};

const ITEMS: u64 = 500;
const ITEM: Duration = Duration::from_millis(10);
/// How many jobs each of the two workers runs at once.
const AT_ONCE: usize = 8;
/// More than the kills, so that none fails a job.
const ATTEMPTS: u32 = 100;
/// Short, so that the job of a killed worker goes on within seconds.
const LEASE: Duration = Duration::from_secs(2);
const SWEEP_INTERVAL: Duration = Duration::from_millis(200);
/// How long the workers run before one of them is killed.
const BETWEEN: Duration = Duration::from_secs(2);
/// How soon a page shows the end of its job.
const SHOWN_WITHIN: Duration = Duration::from_secs(1);
const FRESHNESS: Duration = Duration::from_millis(250);
/// The control's: longer than the limit at either scale.
const SLOW: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(300);

/// Configures the queue of any kind. It misses a dead worker about when its lease ends.
macro_rules! configure {
    ($config:expr) => {
        $config
            .queue("prove")
            .batch_size(1)
            .heartbeat_interval(Duration::from_millis(500))
            .missed_heartbeats(5)
    };
}

/// Evaluates an expression with the queue on this server.
macro_rules! with_queue {
    ($url:expr, $queue:ident => $work:expr) => {
        if $url.starts_with("redis") {
            let config = configure!(apalis_redis::Config::default());
            let connection = apalis_redis::connect($url).await.unwrap();
            let $queue = RedisStorage::<()>::new(connection).with_config(config);
            $work
        } else {
            let config = configure!(apalis_postgres::Config::default());
            let pool = sqlx::PgPool::connect($url).await.unwrap();
            let $queue = PostgresStorage::<()>::new(&pool).with_config(config);
            $work
        }
    };
}

pub(crate) fn run(report: &mut Report) {
    let jobs = report.rounds(200, 24);
    let kills = report.rounds(25, 4);
    let within = report.at_most(SHOWN_WITHIN);
    for place in Place::remote().into_iter().filter(|place| place.name != "mysql") {
        report.check(place.name, || {
            let outcome = processes(&place, jobs, kills, FRESHNESS, "saves");
            let limit = format!("all, 0, 0; {within:?}");
            outcome.exact(kills, &limit).and(outcome.slowest <= within, outcome.shown())
        });
    }
    // Control: pages whose web process rarely looks. Redis would tell it of the changes.
    if let Some(place) = Place::servers().into_iter().find(|place| place.name == "postgres") {
        report.check("control-pages", || {
            let outcome = processes(&place, 4, 0, SLOW, "saves");
            Finding::new(outcome.slowest <= within, outcome.shown(), "1 s").must_fail()
        });
    }
    // Control: workers that start each attempt from the first item.
    if let Some(place) = Place::redis() {
        report.check("control-counts", || {
            let outcome = processes(&place, 16, 2, FRESHNESS, "saves-no-place");
            outcome.exact(2, "all, 0, 0").must_fail()
        });
    }
}

struct Outcome {
    jobs: Vec<Progress>,
    /// Pages whose last record is not that of a completed job with all items.
    wrong_pages: usize,
    /// Times from the ends of the jobs, as their records have them, until the pages had them.
    slowest: Duration,
    median: Duration,
}

impl Outcome {
    fn exact(&self, kills: u32, limit: &str) -> Finding {
        let completed = self.jobs.iter().filter(|job| job.status == Status::Completed).count();
        let wrong = self.jobs.iter().filter(|job| job.processed() != ITEMS).count();
        let attempts: usize = self.jobs.iter().map(|job| job.attempt as usize).sum();
        let all = self.jobs.len();
        Finding::new(
            // With as many attempts as jobs, no kill has hit a job.
            completed == all
                && wrong == 0
                && self.wrong_pages == 0
                && (attempts > all || kills == 0),
            format_args!(
                "{completed} of {all} jobs complete, {wrong} with other counts, {} pages with \
                 others, in {attempts} attempts after {kills} kills",
                self.wrong_pages
            ),
            limit,
        )
    }

    fn shown(&self) -> String {
        let Self { slowest, median, .. } = self;
        format!("pages show the end after {median:.0?}, {slowest:.0?} at the latest")
    }
}

fn processes(place: &Place, jobs: u32, kills: u32, freshness: Duration, way: &str) -> Outcome {
    let runtime = runtime();
    let store = runtime.block_on(async {
        let store = place.open().await;
        if place.name == "postgres" {
            let pool = sqlx::PgPool::connect(place.url()).await.unwrap();
            PostgresStorage::setup(&pool).await.unwrap();
        }
        store
    });
    let freshness = freshness.as_millis().to_string();
    let webs: Vec<_> = (0..2)
        .map(|_| {
            let mut web = Worker::start(&["serve-pages", place.url(), &freshness]);
            let address: SocketAddr = web.line().expect("an address").parse().unwrap();
            (web, address)
        })
        .collect();
    let start = || {
        let mut worker = Worker::start(&["run-tasks", place.url(), way]);
        assert_eq!(worker.line().as_deref(), Some("ready"));
        worker
    };
    let mut workers = [start(), start()];

    // Both web processes create jobs, and each job has a page at both.
    let mut pages = JoinSet::new();
    let mut ids: Vec<ProgressId> = Vec::new();
    runtime.block_on(async {
        for number in 0..jobs as usize {
            let mut client = Client::connect(webs[number % 2].1).await.unwrap();
            let answer = client.post("/jobs", &Value::Null).await.unwrap();
            let id: ProgressId = std::str::from_utf8(&answer.body).unwrap().parse().unwrap();
            ids.push(id);
            for (_, address) in &webs {
                pages.spawn(follow(*address, number, id));
            }
        }
    });
    for kill in 0..kills as usize {
        std::thread::sleep(BETWEEN);
        std::mem::replace(&mut workers[kill % 2], start()).kill();
    }
    let shown = async { tokio::time::timeout(PATIENCE, join_all(pages)).await };
    let shown = runtime.block_on(shown);
    let shown = shown.expect("the jobs do not end");
    let ended = runtime.block_on(store.get_many(&ids)).unwrap();
    let jobs: Vec<_> = ended.into_iter().map(Option::unwrap).collect();

    let is_whole = |record: &Value| {
        record["status"] == "completed" && record["processed_items"].as_u64() == Some(ITEMS)
    };
    let wrong_pages = shown.iter().filter(|(.., record)| !is_whole(record)).count();
    let mut times: Vec<Duration> = shown
        .iter()
        .map(|(number, at, _)| {
            let end = SystemTime::from(jobs[*number].finished_at.expect("an end"));
            // The record's time has milliseconds only, and this one is of the same clock.
            at.duration_since(end).unwrap_or_default()
        })
        .collect();
    let (median, slowest) = (percentile(&mut times, 50), percentile(&mut times, 100));
    Outcome { jobs, wrong_pages, slowest, median }
}

/// A page that waits for each change of its job. Returns when it had the end, and the record.
async fn follow(address: SocketAddr, number: usize, id: ProgressId) -> (usize, SystemTime, Value) {
    let mut client = Client::connect(address).await.unwrap();
    let mut tag = None;
    loop {
        let path = path(&id.to_string());
        let answer = client.get(&path, tag.as_deref(), "prefer: wait=25\r\n").await.unwrap();
        let now = SystemTime::now();
        if answer.status == 304 {
            continue;
        }
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        let record: Value = serde_json::from_slice(&answer.body).unwrap();
        if record["finished"] == true {
            return (number, now, record);
        }
        tag = answer.etag;
    }
}

/// The web process: serves the pages' records, and a route that queues a job.
pub(crate) async fn serve(url: &str, freshness: Duration) {
    let jobs = Jobs::with_freshness(open(url).await, freshness);
    tokio::spawn(jobs.janitor().with_sweep_interval(SWEEP_INTERVAL).run());
    let app: Router = progress_axum::router::<Anyone, _>("/progress", jobs.clone());
    let app = with_queue!(url, queue => {
        let submit = async move || {
            let job = NewProgress::new("prove").with_total(ITEMS);
            let job = job.with_attempts(ATTEMPTS).with_lease(LEASE);
            let submitted = progress_apalis::submit(&jobs, &mut queue.clone(), job, ()).await;
            submitted.unwrap().id.to_string()
        };
        app.route("/jobs", post(submit))
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    say(listener.local_addr().unwrap());
    axum::serve(listener, app).await.unwrap();
}

/// The worker process: runs what the queue delivers until it is killed.
pub(crate) async fn work(url: &str, way: &str) {
    let jobs = Jobs::new(open(url).await);
    tokio::spawn(jobs.janitor().with_sweep_interval(SWEEP_INTERVAL).run());
    let saves_its_place = way == "saves";
    say("ready");
    with_queue!(url, queue => loop {
        let worker = WorkerBuilder::new(format!("prove-{}", ProgressId::new()))
            .backend(queue.clone().poll_with_interval(Duration::from_millis(200)))
            .concurrency(AT_ONCE)
            .layer(ProgressLayer::new(jobs.clone()))
            .data(saves_its_place)
            .build(run_task);
        // It ends when the queue is unavailable, or has taken it for dead under load.
        drop(worker.run().await);
        tokio::time::sleep(SWEEP_INTERVAL).await;
    });
}

async fn run_task(
    (): (),
    saves_its_place: Data<bool>,
    progress: TaskProgress,
) -> Result<(), Failure> {
    let tracker = progress.tracker();
    for item in tracker.cursor::<u64>()?.unwrap_or(0)..ITEMS {
        tokio::time::sleep(ITEM).await;
        tracker.inc(1);
        tracker.save(&if *saves_its_place { item + 1 } else { 0 })?;
    }
    Ok(())
}
