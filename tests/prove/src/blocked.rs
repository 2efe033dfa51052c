//! A worker that blocks the threads of its runtime: heartbeats go on, so the job is neither failed
//! nor shown as stale.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use progress_core::testing::jobs as jobs_of_the_runtime;
use progress_core::{Jobs, ProgressStore, Status};
use tokio::runtime::{Builder, Runtime};

use crate::pace::Pace;
use crate::place::{Place, runtime};
use crate::report::{Finding, Report, Waiting};
use crate::viewer::{Seen, Viewer};

/// How long one item blocks its thread, in seconds at default settings.
const BLOCKED: u64 = 62;
/// When viewers call a job stale, in seconds at default settings.
const STALE_AFTER: u64 = 15;
/// Threads of the runtime whose worker blocks.
const THREADS: [usize; 3] = [1, 4, 16];

pub(crate) fn run(report: &mut Report) {
    let pace = Pace::new(report, 5);
    let mut checks: Vec<(String, Waiting)> = Vec::new();
    for place in Place::all() {
        checks.push((
            place.name.to_owned(),
            Box::new(move || blocked(&place, pace, &THREADS, Jobs::new)),
        ));
    }
    // Control: the flush loop is a task of the runtime that the worker blocks.
    checks.push((
        "control".to_owned(),
        Box::new(move || {
            let pace = Pace::times_faster(5);
            blocked(&Place::memory(), pace, &[1], jobs_of_the_runtime).must_fail()
        }),
    ));
    report.at_once(checks);
}

type Store = Arc<dyn ProgressStore>;

/// Runs a worker on each of several runtimes at once.
fn blocked(place: &Place, pace: Pace, threads: &[usize], jobs: fn(Store) -> Jobs) -> Finding {
    let watching = runtime();
    let store = watching.block_on(place.open());
    let janitor = watching.spawn(pace.janitor(&Jobs::new(Arc::clone(&store))).run());
    let workers: Vec<_> = threads
        .iter()
        .map(|&threads| {
            let id = watching.block_on(store.create(&pace.job())).unwrap().id;
            let pause = Duration::from_millis(50);
            let viewer = Viewer::start(watching.handle(), Arc::clone(&store), vec![id], pause);
            let jobs = jobs(Arc::clone(&store));
            let work = async move |tracker: progress_core::TrackerHandle| {
                tracker.inc(1);
                // The count may still be in flight.
                thread::sleep(pace.time(BLOCKED));
                tracker.inc(1);
                Ok(())
            };
            let worker = thread::spawn(move || {
                let runtime = with_threads(threads);
                let work = jobs.run_with(pace.tracker(), id, work);
                // In a task, because the flush loop must not queue behind it.
                let ended = runtime.block_on(async { tokio::spawn(work).await.unwrap() });
                ended.is_ok_and(|job| (job.status, job.succeeded) == (Status::Completed, 2))
            });
            (worker, viewer)
        })
        .collect();
    let (mut completed, mut seen) = (0, Seen::default());
    for (worker, viewer) in workers {
        completed += usize::from(worker.join().unwrap());
        seen = seen.and(watching.block_on(viewer.stop()));
    }
    janitor.abort();
    let stale_after = pace.time(STALE_AFTER);
    Finding::new(
        completed == threads.len() && seen.failed.is_empty() && seen.is_silent_within(stale_after),
        format_args!(
            "{completed} of {} jobs complete, {} failed, {seen}, \
             blocked for {:?} on runtimes of {threads:?} threads",
            threads.len(),
            seen.failed.len(),
            pace.time(BLOCKED)
        ),
        format_args!("all, 0, {stale_after:?}, with a lease of {:?}", pace.lease()),
    )
}

fn with_threads(threads: usize) -> Runtime {
    let mut builder = match threads {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    if threads > 1 {
        builder.worker_threads(threads);
    }
    builder.enable_all().build().unwrap()
}
