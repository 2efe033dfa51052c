//! Workers that are killed and replaced: at the end each job has counted each of its items exactly
//! once, whatever was processed again.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::StreamExt as _;
use progress_core::{
    Delta, Failure, Jobs, NewProgress, Progress, ProgressError, ProgressId, ProgressStore,
    ProgressUpdate, Status, TrackerHandle,
};
use tokio::task::JoinSet;

use crate::place::{Place, open, runtime};
use crate::report::{Finding, Report, Waiting};
use crate::signals::Worker;
use crate::worker::say;

/// The items of a job. Every seventh fails.
const ITEMS: u64 = 200;
const FAILING: u64 = 7;
const ATTEMPTS: u32 = 5;
/// Short, so that a job waits only a few seconds for its next attempt.
const LEASE: Duration = Duration::from_secs(2);
const SWEEP_INTERVAL: Duration = Duration::from_millis(200);
const ITEM: Duration = Duration::from_millis(5);
const IN_FLIGHT: usize = 8;
/// How long a worker may take for all items, and for the end of an attempt before.
const PATIENCE: Duration = Duration::from_secs(120);

/// How a worker processes its items, and when it saves.
const WAYS: [&str; 5] =
    ["saved-each", "saved-every-tenth", "never-saved", "eight-in-flight", "eight-never-saved"];

pub(crate) fn run(report: &mut Report) {
    // A thousand jobs for each store.
    let jobs = report.rounds(200, 6);
    let kills = report.rounds(4, 2);
    for place in Place::shared() {
        report.at_once(WAYS.map(|way| {
            let own = place.another();
            let check: Waiting = Box::new(move || killed(&own, way, jobs, kills));
            (format!("{}-{way}", place.name), check)
        }));
    }
    report.check("control", || {
        // The two writes agree now and then.
        let found = (0..5).map(|_| saved_apart(&Place::sqlite())).find(|found| !found.passes());
        let never = || Finding::new(false, "5 rounds without a difference", "detected");
        found.map_or_else(never, Finding::must_fail)
    });
}

fn job() -> NewProgress {
    NewProgress::new("prove").with_total(ITEMS).with_lease(LEASE)
}

fn killed(place: &Place, way: &str, jobs: u32, kills: u32) -> Finding {
    let runtime = runtime();
    let store = runtime.block_on(place.open());
    let create = async || store.create(&job().with_attempts(ATTEMPTS)).await.unwrap().id;
    let ids: Vec<_> = (0..jobs).map(|_| runtime.block_on(create())).collect();
    let list = ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let start = || Worker::start(&["attempt", place.url(), &list, way]);
    let (mut executed, mut executions) = (HashSet::new(), 0_u64);
    let mut note = |line: String| {
        executions += 1;
        executed.insert(line);
    };
    for kill in 0..kills {
        let mut worker = start();
        // At different points, after some flushes.
        for _ in 0..u64::from(jobs) * (60 + u64::from(kill) * 37 % 80) {
            let Some(line) = worker.line() else { break };
            note(line);
        }
        worker.kill().into_iter().for_each(&mut note);
    }
    let mut worker = start();
    while let Some(line) = worker.line() {
        note(line);
    }
    assert!(worker.ends_within(PATIENCE));

    let ended = runtime.block_on(store.get_many(&ids)).unwrap();
    let ended: Vec<_> = ended.into_iter().map(Option::unwrap).collect();
    let completed = ended.iter().filter(|job| job.status == Status::Completed).count();
    let wrong = ended.iter().filter(|job| !is_exact(job)).count();
    let items = u64::from(jobs) * ITEMS;
    let missing = items - executed.len() as u64;
    let attempts = ended.iter().map(|job| job.attempt).max().unwrap_or_default();
    Finding::new(
        completed == ids.len() && wrong == 0 && missing == 0,
        format_args!(
            "{completed} of {jobs} jobs complete in up to {attempts} attempts, {wrong} with other \
             counts than items, {missing} items not executed, {} of {items} executed again",
            executions - executed.len() as u64
        ),
        format_args!("all, 0, 0, after {kills} kills"),
    )
}

fn is_exact(job: &Progress) -> bool {
    let failing = (0..ITEMS).filter(|item| item.is_multiple_of(FAILING)).count() as u64;
    (job.succeeded, job.failed) == (ITEMS - failing, failing)
}

/// The worker process: continues each of its jobs, and prints each item that it executes.
pub(crate) async fn work(url: &str, rest: &[String]) {
    let [ids, way] = rest else { panic!("attempt URL JOB,JOB WAY") };
    let jobs = Jobs::new(open(url).await);
    let janitor = tokio::spawn(jobs.janitor().with_sweep_interval(SWEEP_INTERVAL).run());
    let mut work = JoinSet::new();
    for id in ids.split(',').map(|id| id.parse().unwrap()) {
        let way = way.clone();
        work.spawn(jobs.run(id, async move |tracker| match way.as_str() {
            "saved-each" => in_order(&tracker, 1).await,
            "saved-every-tenth" => in_order(&tracker, 10).await,
            "never-saved" => in_order(&tracker, u64::MAX).await,
            "eight-in-flight" => in_flight(&tracker, true).await,
            _ => in_flight(&tracker, false).await,
        }));
    }
    for outcome in work.join_all().await {
        // Of an earlier attempt, which has completed the job just before it was killed.
        let ended =
            matches!(&outcome, Err(ProgressError::Refused { status, .. }) if status.is_finished());
        assert!(outcome.is_ok() || ended, "{outcome:?}");
    }
    janitor.abort();
}

async fn in_order(tracker: &TrackerHandle, every: u64) -> Result<(), Failure> {
    for item in tracker.cursor()?.unwrap_or(0)..ITEMS {
        execute(tracker.id(), item, ITEM).await;
        if item.is_multiple_of(FAILING) {
            tracker.inc_failed(1);
        } else {
            tracker.inc(1);
        }
        if (item + 1).is_multiple_of(every) {
            tracker.save(&(item + 1))?;
        }
    }
    Ok(())
}

async fn in_flight(tracker: &TrackerHandle, saves: bool) -> Result<(), Failure> {
    let in_order = tracker.save_in_order();
    let items = tracker.cursor()?.unwrap_or(0)..ITEMS;
    let items = futures_util::stream::iter(items).map(|item: u64| {
        let open = saves.then(|| in_order.begin(&(item + 1)));
        async move {
            // Items take from one to eight times as long as the shortest.
            let time = ITEM * (1 + u32::try_from(item * 5 % 8).unwrap());
            execute(tracker.id(), item, time).await;
            match (open.transpose()?, item.is_multiple_of(FAILING)) {
                (Some(open), true) => open.fail(),
                (Some(open), false) => open.succeed(),
                (None, true) => tracker.inc_failed(1),
                (None, false) => tracker.inc(1),
            }
            Ok::<_, Failure>(())
        }
    });
    let mut items = items.buffer_unordered(IN_FLIGHT);
    while let Some(outcome) = items.next().await {
        outcome?;
    }
    Ok(())
}

async fn execute(job: ProgressId, item: u64, time: Duration) {
    tokio::time::sleep(time).await;
    say(format_args!("{job} {item}"));
}

/// Control: an application that keeps its cursor in a statement of its own, and continues with the
/// counts that the record has.
fn saved_apart(place: &Place) -> Finding {
    let runtime = runtime();
    let store = runtime.block_on(place.open());
    let cursor = runtime.block_on(crate::worker::running(&store));
    let read = |id| runtime.block_on(store.get(id)).unwrap().unwrap();
    let mut done = 0;
    for kill in 0..3 {
        let id = runtime.block_on(store.create(&job().with_done(done))).unwrap().id;
        let [id_text, cursor_text] = [id, cursor].map(|id| id.to_string());
        let mut worker = Worker::start(&["attempt-apart", place.url(), &id_text, &cursor_text]);
        if kill < 2 {
            for _ in 0..40 {
                worker.line().expect("a worker works until it is killed");
            }
            worker.kill();
        } else {
            assert!(worker.ends_within(PATIENCE));
        }
        done = read(id).processed();
    }
    Finding::new(
        done == ITEMS,
        format_args!("{done} counted, with a cursor at {}", read(cursor).succeeded),
        ITEMS,
    )
}

/// The worker process of the control.
pub(crate) async fn work_apart(url: &str, rest: &[String]) {
    let [job, cursor] = rest else { panic!("attempt-apart URL JOB CURSOR") };
    let (store, cursor) = (open(url).await, cursor.parse().unwrap());
    let first = store.get(cursor).await.unwrap().unwrap().succeeded;
    let jobs = Jobs::new(store.clone());
    let work = jobs.run(job.parse().unwrap(), async |tracker| {
        for item in first..ITEMS {
            execute(tracker.id(), item, ITEM).await;
            tracker.inc(1);
            let next = ProgressUpdate::advance(Delta::new().with_succeeded(1));
            store.update(cursor, &next).await?;
        }
        Ok(())
    });
    work.await.unwrap();
}
