//! Dead workers are found in time, live ones are not failed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use progress_core::testing::{Fault, FaultyStore};
use progress_core::{DEFAULT_LEASE, Jobs, NewProgress, ProgressStore, Status};

use crate::place::{Place, runtime};
use crate::report::{Finding, Report, Waiting};
use crate::signals::Worker;

/// The deadlines for finding a dead worker.
#[derive(Debug, Clone, Copy)]
struct Promise {
    stale_after: Duration,
    failed_within: Duration,
}

/// What the library promises at its default settings.
const PROMISE: Promise =
    Promise { stale_after: Duration::from_secs(15), failed_within: Duration::from_secs(60) };

/// Trouble for a worker: load for `time`, and after `before` an outage of its store.
#[derive(Debug, Clone, Copy)]
struct Trouble {
    time: Duration,
    before: Duration,
    outage: Duration,
}

pub(crate) fn run(report: &mut Report) {
    let workers = report.rounds(50, 5);
    let mut checks: Vec<(String, Waiting)> = Vec::new();
    for place in Place::shared() {
        checks.push((
            format!("{}-dead", place.name),
            Box::new(move || dead(&place, workers, PROMISE, Looks::WithAJanitor)),
        ));
    }
    // Control: no janitor runs. A much shorter time is enough to see that.
    let short =
        Promise { stale_after: Duration::from_secs(6), failed_within: Duration::from_secs(6) };
    checks.push((
        "control-dead".to_owned(),
        Box::new(move || dead(&Place::sqlite(), 1, short, Looks::Never).must_fail()),
    ));
    report.at_once(checks);

    let trouble = Trouble {
        time: Duration::from_secs(60) * report.rounds(5, 1),
        before: Duration::from_secs(10),
        outage: Duration::from_secs(30),
    };
    let mut checks: Vec<(String, Waiting)> = Vec::new();
    for place in Place::all() {
        checks.push((
            format!("{}-alive", place.name),
            Box::new(move || alive(&place, trouble, DEFAULT_LEASE)),
        ));
    }
    // Control: a lease shorter than the outage of the worker's store.
    let second = Duration::from_secs(1);
    let trouble = Trouble { time: 8 * second, before: second, outage: 5 * second };
    checks.push((
        "control-alive".to_owned(),
        Box::new(move || alive(&Place::sqlite(), trouble, 2 * second).must_fail()),
    ));
    report.at_once(checks);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Looks {
    WithAJanitor,
    Never,
}

/// Kills workers and checks their jobs every 100 ms.
fn dead(place: &Place, count: u32, promise: Promise, looks: Looks) -> Finding {
    let runtime = runtime();
    let store = runtime.block_on(place.open());
    if looks == Looks::WithAJanitor {
        runtime.spawn(Jobs::new(Arc::clone(&store)).janitor().run());
    }
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
    while failed_at.is_none() && killed.elapsed() < 2 * promise.failed_within {
        let records = runtime.block_on(store.get_many(&jobs)).unwrap();
        let records: Vec<_> = records.into_iter().flatten().collect();
        let is_over = |status| status == Status::Failed;
        if records.iter().all(|job| job.is_stale(promise.stale_after) || is_over(job.status)) {
            stale_at.get_or_insert(killed.elapsed());
        }
        if records.iter().all(|job| is_over(job.status)) {
            failed_at = Some(killed.elapsed());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let within = |at: Option<Duration>, limit: Duration| at.is_some_and(|at| at <= limit);
    Finding::new(
        within(stale_at, promise.stale_after + Duration::from_millis(500))
            && within(failed_at, promise.failed_within),
        format_args!(
            "all of {count} stale after {} and failed after {}",
            seconds(stale_at),
            seconds(failed_at)
        ),
        format_args!(
            "{:?} and {:?}, checked every 0.1 s",
            promise.stale_after, promise.failed_within
        ),
    )
}

fn seconds(at: Option<Duration>) -> String {
    at.map_or_else(|| "never".to_owned(), |at| format!("{:.1} s", at.as_secs_f64()))
}

/// A worker under load, whose store is away for half a minute, is not declared dead.
fn alive(place: &Place, trouble: Trouble, lease: Duration) -> Finding {
    let Trouble { time, before, outage } = trouble;
    let runtime = runtime();
    let inner = runtime.block_on(place.open());
    let faulty = Arc::new(FaultyStore::new(Arc::clone(&inner)));
    // The janitor's own store stays available, and there are nine sweeps in a lease, as by default.
    let janitor = Jobs::new(Arc::clone(&inner)).janitor().with_sweep_interval(lease / 9);
    runtime.spawn(janitor.run());
    let job = NewProgress::new("prove").with_lease(lease);
    let job = runtime.block_on(inner.create(&job)).unwrap().id;
    let worker = runtime.spawn(Jobs::new(faulty.clone()).run(job, async move |tracker| {
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
    std::thread::sleep(before);
    faulty.set(Fault::Away);
    std::thread::sleep(outage);
    faulty.set(Fault::None);
    busy.into_iter().for_each(|thread| thread.join().unwrap());
    let ended = runtime.block_on(worker).unwrap();
    let status = ended.map_or_else(|error| error.to_string(), |ended| ended.status.to_string());
    Finding::new(
        status == Status::Completed.as_str(),
        format_args!("{status} after {time:?} of load with an outage of {outage:?}"),
        "completed: no false alarm",
    )
}
