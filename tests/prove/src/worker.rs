//! The roles of this program as a worker process: `prove worker ROLE URL [JOB [COUNT]]`.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use progress_core::{
    Delta, Jobs, NewProgress, Progress, ProgressId, ProgressStore, ProgressUpdate, Stamp, Status,
    Tracker, TrackerHandle, TrackerOptions,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use uuid::Uuid;

use crate::careless::{Bug, Careless};
use crate::place::{open, runtime};
use crate::{
    attempts, clock, deploy, ended, increments, migrate, outage, processes, sigkill, sigterm,
    storage, zombie,
};

/// How long a janitor sweeps for a job whose lease is much shorter.
const SWEEPING: Duration = Duration::from_secs(10);

pub(crate) fn run(arguments: &[String]) {
    let [role, url, rest @ ..] = arguments else { panic!("worker ROLE URL [JOB [COUNT]]") };
    let job = || rest[0].parse::<ProgressId>().unwrap();
    let millis = |place: usize| Duration::from_millis(rest[place].parse().unwrap());
    let runtime = runtime();
    let worker = async {
        match role.as_str() {
            "start" => migrate::start(url).await,
            "start-with-sqlx" => migrate::start_with_sqlx(url).await,
            "count" => count(url, job(), rest[1].parse().unwrap()).await,
            "acknowledge" => acknowledge(url, job()).await,
            "tick" => tick(url, job(), sigkill::INTERVAL).await,
            "tick-seldom" => tick(url, job(), Duration::from_secs(60)).await,
            "buffer" => buffer(url, job()).await,
            "work" => work(open(url).await, job(), TrackerOptions::new()).await,
            "sleepwalk" => work(open(url).await, job(), zombie::options()).await,
            "sleepwalk-carelessly" => {
                work(Careless::open(url, Bug::SavesCopies).await, job(), zombie::options()).await;
            }
            "beat" => beat(url, job(), millis(1)).await,
            "sweep" => {
                let store = open(url).await;
                say("ready");
                clock::sweep(store, millis(0)).await;
            }
            "lock" => storage::lock(url).await,
            "outlast" => outage::work(url, rest).await,
            "serve-queue" => deploy::serve_queue(url, &rest[0]).await,
            "serve-pages" => processes::serve(url, millis(0)).await,
            "run-tasks" => processes::work(url, &rest[0]).await,
            "attempt" => attempts::work(url, rest).await,
            "attempt-apart" => attempts::work_apart(url, rest).await,
            "end" => ended::work(url, rest).await,
            "announce" => ended::announce(url, rest).await,
            "abort" => abort(url, job()).await,
            _ => panic!("unknown role {role}"),
        }
    };
    runtime.block_on(worker);
}

/// Prints a line for the check, without delay.
pub(crate) fn say(line: impl std::fmt::Display) {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}").unwrap();
    stdout.flush().unwrap();
}

/// Runs many tasks, each counting one by one.
async fn count(url: &str, job: ProgressId, each: u64) {
    let store = open(url).await;
    increments::count(&store, job, each).await;
}

/// Counts one by one and prints each count that the store has acknowledged.
async fn acknowledge(url: &str, job: ProgressId) {
    let store = open(url).await;
    store.update(job, &ProgressUpdate::start()).await.unwrap();
    let writer = Uuid::new_v4();
    for seq in 1.. {
        let update = ProgressUpdate::advance(Delta::new().with_succeeded(1))
            .with_stamp(Stamp { writer, seq });
        store.update(job, &update).await.unwrap();
        say(seq);
    }
}

/// Starts a job with `Jobs`, as an application does.
async fn start(url: &str, job: ProgressId, options: TrackerOptions) -> Tracker {
    Jobs::new(open(url).await).tracker_with(options, job).await.unwrap()
}

/// Counts through a tracker at a steady pace and prints each count.
async fn tick(url: &str, job: ProgressId, interval: Duration) {
    let options = TrackerOptions::new().with_flush_interval(interval);
    let tracker = start(url, job, options).await;
    let mut ticks = tokio::time::interval(sigkill::TICK);
    // Ticks that load has delayed are not made up for, because a tick stands for a millisecond.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for count in 1.. {
        ticks.tick().await;
        tracker.handle().inc(1);
        say(count);
    }
}

/// Counts, writes nothing for a minute, and ends on SIGTERM, like a program that returns from
/// `main`.
async fn buffer(url: &str, job: ProgressId) {
    let mut terminate = signal(SignalKind::terminate()).unwrap();
    let options = TrackerOptions::new().with_flush_interval(Duration::from_secs(60));
    let tracker = start(url, job, options).await;
    let handle = tracker.handle().clone();
    tokio::spawn(async move {
        // The job goes on until it is dropped with the runtime.
        let _tracker = tracker;
        std::future::pending::<()>().await;
    });
    for _ in 0..sigterm::COUNTS {
        handle.inc(1);
    }
    say("ready");
    terminate.recv().await;
}

/// Works until it is told to stop. Prints the reason and the result of its attempt to complete.
async fn work(store: Arc<dyn ProgressStore>, job: ProgressId, options: TrackerOptions) {
    let tracker = Jobs::new(store).tracker_with(options, job).await.unwrap();
    say("ready");
    say(busy(tracker.handle()).await);
    say(tracker
        .complete(())
        .await
        .map_or_else(|error| error.to_string(), |ended| ended.status.to_string()));
}

/// Counts so rarely that only heartbeats keep its job alive, until it is told to stop.
async fn beat(url: &str, job: ProgressId, interval: Duration) {
    let options = TrackerOptions::new().with_heartbeat_interval(interval);
    let tracker = start(url, job, options).await;
    say("ready");
    loop {
        tokio::select! {
            _ = tracker.handle().until_stopped() => break,
            () = tokio::time::sleep(3 * interval) => tracker.handle().inc(1),
        }
    }
    tracker.complete(()).await.unwrap();
}

async fn busy(tracker: &TrackerHandle) -> progress_core::Stopped {
    loop {
        if let Err(reason) = tracker.checkpoint().await {
            return reason;
        }
        tracker.inc(1);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn abort(url: &str, job: ProgressId) {
    let tracker = start(url, job, TrackerOptions::new()).await;
    tracker.handle().inc(5);
    tokio::time::sleep(Duration::from_millis(600)).await;
    std::process::abort();
}

/// Creates a running job in a store.
pub(crate) async fn running(store: &Arc<dyn ProgressStore>) -> ProgressId {
    start_without_tracker(store, NewProgress::new("prove")).await
}

/// Creates a job and starts it without a tracker.
pub(crate) async fn start_without_tracker(
    store: &Arc<dyn ProgressStore>,
    job: NewProgress,
) -> ProgressId {
    let job = store.create(&job).await.unwrap();
    store.update(job.id, &ProgressUpdate::start()).await.unwrap().id
}

/// Sweeps as a janitor does until a job has ended, and returns its record. A new janitor takes at
/// least the job's lease.
pub(crate) async fn sweep_until_ended(
    store: &Arc<dyn ProgressStore>,
    job: ProgressId,
    interval: Duration,
) -> Progress {
    let janitor = Jobs::new(Arc::clone(store)).janitor();
    let begun = Instant::now();
    loop {
        janitor.sweep().await.unwrap();
        let progress = store.get(job).await.unwrap().unwrap();
        if progress.status != Status::Running || begun.elapsed() > SWEEPING {
            return progress;
        }
        tokio::time::sleep(interval).await;
    }
}

/// Waits for all tasks of a set. Panics if one of them has panicked.
pub(crate) async fn join_all<T: 'static>(mut tasks: JoinSet<T>) -> Vec<T> {
    let mut outcomes = Vec::new();
    while let Some(outcome) = tasks.join_next().await {
        outcomes.push(outcome.unwrap());
    }
    outcomes
}
