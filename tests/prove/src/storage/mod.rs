//! A database that cannot be written for a while: pages continue to read, workers continue to work,
//! and nothing is lost.

pub(crate) mod obstacles;

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use progress_core::{Delta, Jobs, NewProgress, ProgressId, ProgressStore, ProgressUpdate};
use progress_http::{ProgressApi, Viewer};
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use self::obstacles::{Full, Immutable, Locked, Obstacle, ReadOnly};
use crate::place::{Place, open, runtime};
use crate::report::{Finding, Report};
use crate::worker::{running, say};

const OUTAGE: Duration = Duration::from_secs(10);
const RESUMES_WITHIN: Duration = Duration::from_secs(5);

type AnyObstacle = Box<dyn Obstacle>;

pub(crate) fn run(report: &mut Report) {
    let mut obstacles: Vec<(&str, Result<AnyObstacle, &str>)> = vec![
        ("sqlite-locked", Ok(Box::new(Locked { place: Place::sqlite(), locker: None }))),
        ("sqlite-full", Full::mount().map(|full| Box::new(full) as _)),
        ("sqlite-read-only", Immutable::new().map(|immutable| Box::new(immutable) as _)),
    ];
    for place in Place::servers() {
        let name = if place.name == "postgres" { "postgres-read-only" } else { "mysql-read-only" };
        obstacles.push((name, Ok(Box::new(ReadOnly::new(place)))));
    }
    let mut running = Vec::new();
    for (name, obstacle) in obstacles {
        match obstacle {
            // Most of the time is waiting, so all run at the same time.
            Ok(mut obstacle) => {
                running.push((name, std::thread::spawn(move || outage(&mut *obstacle))));
            }
            Err(reason) => report.not_run(name, reason),
        }
    }
    let mut dropped = Vec::new();
    for (name, thread) in running {
        report.check(name, || {
            let (finding, lost) = thread.join().unwrap();
            dropped.push(lost);
            finding
        });
    }
    report.check("control", || {
        Finding::new(
            dropped.iter().all(|lost| *lost > 0),
            format_args!("a worker that drops failed writes loses {dropped:?} counts"),
            "some each time",
        )
    });
}

/// Locks the file until the process is killed.
pub(crate) async fn lock(url: &str) {
    let options = SqliteConnectOptions::from_str(url).unwrap();
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query("BEGIN EXCLUSIVE").execute(&mut connection).await.unwrap();
    say("locked");
    std::future::pending::<()>().await;
}

/// What the pages of a job saw while it ran.
#[derive(Default)]
struct Watched {
    is_over: AtomicBool,
    polls: AtomicU32,
    refused: AtomicU32,
    backwards: AtomicU32,
}

/// Runs a job through an outage while a page polls it. Also returns how many counts the control
/// lost, a worker that drops failed writes.
fn outage(obstacle: &mut dyn Obstacle) -> (Finding, i128) {
    let runtime = runtime();
    let store = runtime.block_on(open(&obstacle.url()));
    let jobs = Jobs::new(Arc::clone(&store));
    let job = runtime.block_on(jobs.create(NewProgress::new("prove"))).unwrap().id;
    let tracker = runtime.block_on(jobs.tracker(job)).unwrap();
    let watched = Arc::new(Watched::default());
    let watching = runtime.spawn(watch(jobs, job, Arc::clone(&watched)));
    let careless_job = runtime.block_on(running(&store));
    let careless =
        runtime.spawn(drop_failures(Arc::clone(&store), careless_job, Arc::clone(&watched)));

    let mut counted = 0;
    let mut work = |time: Duration| {
        let begun = Instant::now();
        while begun.elapsed() < time {
            tracker.handle().item_done(format!("item {counted}"));
            counted += 1;
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    work(Duration::from_secs(1));
    obstacle.begin();
    work(OUTAGE);
    let before = runtime.block_on(store.get(job)).unwrap().unwrap().succeeded;
    obstacle.end();
    let healed = Instant::now();
    while runtime.block_on(store.get(job)).unwrap().unwrap().succeeded == before
        && healed.elapsed() < OUTAGE
    {
        work(Duration::from_millis(20));
    }
    let resumed = healed.elapsed();
    // A job that does not recover has lost what it did not write.
    let ended =
        runtime.block_on(async { tokio::time::timeout(OUTAGE, tracker.complete(())).await });
    let kept = ended.map_or(before, |ended| ended.unwrap().succeeded);
    watched.is_over.store(true, Ordering::Relaxed);
    runtime.block_on(watching).unwrap();
    let attempts = runtime.block_on(careless).unwrap();
    let careless = runtime.block_on(store.get(careless_job)).unwrap().unwrap().succeeded;
    let [polls, refused, backwards] = [&watched.polls, &watched.refused, &watched.backwards]
        .map(|count| count.load(Ordering::Relaxed));
    let lost = counted - kept;
    let finding = Finding::new(
        lost == 0
            && refused == 0
            && backwards == 0
            && resumed <= RESUMES_WITHIN
            && before < counted,
        format_args!(
            "{lost} of {counted} counts lost, resumed after {resumed:.1?}, \
             {refused} of {polls} polls not answered, {backwards} backwards"
        ),
        format_args!("0 lost, {RESUMES_WITHIN:?}, 0, 0"),
    );
    (finding, i128::from(attempts) - i128::from(careless))
}

/// Counts, waits at most a second for each write, and ignores errors.
async fn drop_failures(
    store: Arc<dyn ProgressStore>,
    job: ProgressId,
    watched: Arc<Watched>,
) -> u64 {
    let mut attempts = 0;
    while !watched.is_over.load(Ordering::Relaxed) {
        let one = ProgressUpdate::advance(Delta::new().with_succeeded(1));
        let _ = tokio::time::timeout(Duration::from_secs(1), store.update(job, &one)).await;
        attempts += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    attempts
}

/// Polls as a page does.
async fn watch(jobs: Jobs, job: ProgressId, watched: Arc<Watched>) {
    let api = ProgressApi::new(jobs);
    let mut last = 0;
    while !watched.is_over.load(Ordering::Relaxed) {
        let reply = api.poll(&Viewer::Anyone, &job.to_string(), None).await;
        watched.polls.fetch_add(1, Ordering::Relaxed);
        let record: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        match record["processed_items"].as_u64() {
            Some(now) => {
                watched.backwards.fetch_add(u32::from(now < last), Ordering::Relaxed);
                last = now;
            }
            None => {
                watched.refused.fetch_add(1, Ordering::Relaxed);
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
