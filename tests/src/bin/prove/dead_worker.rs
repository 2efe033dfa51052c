//! Dead workers are noticed in time, live ones are left alone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use progress_core::testing::{Fault, FaultyStore};
use progress_core::{Janitor, NewProgress, ProgressStore, Status, Tracker};

use crate::place::{Place, runtime};
use crate::report::{Finding, Report, Waiting};
use crate::signals::Worker;

/// What the library promises at its default settings.
const STALE_AFTER: Duration = Duration::from_secs(15);
const FAILED_WITHIN: Duration = Duration::from_secs(60);

pub(crate) fn run(report: &mut Report) {
    let workers = report.rounds(50, 5);
    report.at_once(Place::shared().into_iter().map(|place| -> (String, Waiting) {
        (format!("{}-dead", place.name), Box::new(move || dead(&place, workers)))
    }));
    let time = Duration::from_secs(60) * report.rounds(5, 1);
    report.at_once(Place::all().into_iter().map(|place| -> (String, Waiting) {
        (format!("{}-alive", place.name), Box::new(move || alive(&place, time)))
    }));
}

/// Kills workers and looks at their jobs every 100 ms.
fn dead(place: &Place, count: u32) -> Finding {
    let runtime = runtime();
    let store = runtime.block_on(place.open());
    runtime.spawn(Janitor::new(Arc::clone(&store)).run());
    let mut jobs = Vec::new();
    let mut workers = Vec::new();
    for _ in 0..count {
        let job = runtime.block_on(store.create(&NewProgress::new("prove"))).unwrap().id;
        let mut worker = Worker::start(&["work", place.url(), &job.to_string()]);
        assert_eq!(worker.line().as_deref(), Some("ready"));
        jobs.push(job);
        workers.push(worker);
    }
    std::thread::sleep(Duration::from_secs(1));
    for worker in workers {
        worker.kill();
    }
    let killed = Instant::now();
    let (mut stale_at, mut failed_at) = (None, None);
    while failed_at.is_none() && killed.elapsed() < 2 * FAILED_WITHIN {
        let records = runtime.block_on(store.get_many(&jobs)).unwrap();
        let records: Vec<_> = records.into_iter().flatten().collect();
        let is_over = |status| status == Status::Failed;
        if records.iter().all(|job| job.is_stale(STALE_AFTER) || is_over(job.status)) {
            stale_at.get_or_insert(killed.elapsed());
        }
        if records.iter().all(|job| is_over(job.status)) {
            failed_at = Some(killed.elapsed());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let within = |at: Option<Duration>, limit: Duration| at.is_some_and(|at| at <= limit);
    Finding::new(
        within(stale_at, STALE_AFTER + Duration::from_millis(500)) && within(failed_at, FAILED_WITHIN),
        format_args!(
            "all of {count} stale after {} and failed after {}",
            seconds(stale_at),
            seconds(failed_at)
        ),
        format_args!("{STALE_AFTER:?} and {FAILED_WITHIN:?}, looked at every 0.1 s"),
    )
}

fn seconds(at: Option<Duration>) -> String {
    at.map_or_else(|| "never".to_owned(), |at| format!("{:.1} s", at.as_secs_f64()))
}

/// A worker whose machine is busy and whose store is away for half a minute is not taken for dead.
fn alive(place: &Place, time: Duration) -> Finding {
    let runtime = runtime();
    let inner = runtime.block_on(place.open());
    let faulty = Arc::new(FaultyStore::new(Arc::clone(&inner)));
    let store: Arc<dyn ProgressStore> = faulty.clone();
    runtime.spawn(Janitor::new(Arc::clone(&inner)).run());
    let job = runtime.block_on(inner.create(&NewProgress::new("prove"))).unwrap().id;
    let worker = runtime.spawn(Tracker::run(store, job, async move |tracker| {
        tokio::time::sleep(time).await;
        tracker.inc(1);
        tracker.checkpoint().await?;
        Ok(())
    }));
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let busy: Vec<_> = (0..2 * cores)
        .map(|_| {
            std::thread::spawn(move || {
                let begun = Instant::now();
                while begun.elapsed() < time {
                    std::hint::spin_loop();
                }
            })
        })
        .collect();
    std::thread::sleep(Duration::from_secs(10));
    faulty.set(Fault::Away);
    std::thread::sleep(Duration::from_secs(30));
    faulty.set(Fault::None);
    busy.into_iter().for_each(|thread| thread.join().unwrap());
    let ended = runtime.block_on(worker).unwrap();
    let status = ended.map_or_else(|error| error.to_string(), |ended| ended.status.to_string());
    Finding::new(
        status == Status::Completed.as_str(),
        format_args!("{status} after {time:?} of load with an outage of 30 s"),
        "completed: no false alarm",
    )
}
