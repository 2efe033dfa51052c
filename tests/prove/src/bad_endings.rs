//! A worker that ends without completing its job: the job fails, with its counts, within a second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use progress_core::{
    Delta, Failure, Jobs, NewProgress, Progress, ProgressId, ProgressStore, ProgressUpdate, Status,
    TrackerHandle, WORKER_LOST,
};

use crate::place::{Place, runtime};
use crate::report::{Finding, Report, quietly};
use crate::signals::Worker;
use crate::worker::{running, sweep_until_ended};

const LIMIT: Duration = Duration::from_secs(1);
const COUNTS: u64 = 1_234;
type Store = Arc<dyn ProgressStore>;

pub(crate) fn run(report: &mut Report) {
    for place in Place::all() {
        for (name, end) in ENDINGS {
            report.check(&format!("{}-{name}", place.name), || {
                // The store outlives the runtime that the worker runs on.
                let home = runtime();
                let store = home.block_on(place.open());
                let job = home.block_on(store.create(&NewProgress::new("prove"))).unwrap().id;
                let begun = Instant::now();
                quietly(|| end(&store, job));
                let ended = home.block_on(wait_for_end(&store, job));
                judge(&ended, begun.elapsed(), COUNTS)
            });
        }
    }
    for place in Place::shared() {
        report.check(&format!("{}-abort", place.name), || abort(&place));
    }
    report.check("control", || {
        let home = runtime();
        let store = home.block_on(Place::memory().open());
        let job = home.block_on(running(&store));
        let begun = Instant::now();
        quietly(|| without_tracker(&store, job));
        let left = home.block_on(wait_for_end(&store, job));
        judge(&left, begun.elapsed(), COUNTS).must_fail()
    });
}

/// Runs a job on its own runtime and ends it badly.
type Ending = fn(&Store, ProgressId);

const ENDINGS: [(&str, Ending); 5] = [
    ("panic", |store, job| work(store, job, async |_| panic!("a panic on purpose"))),
    ("error", |store, job| {
        work(store, job, async |_| {
            std::fs::read("/no/such/file")?;
            Ok(())
        });
    }),
    ("child-panic", |store, job| {
        work(store, job, async |_| {
            tokio::spawn(async { panic!("a panic on purpose in a child") }).await?;
            Ok(())
        });
    }),
    ("drop", |store, job| {
        let runtime = runtime();
        runtime.block_on(async {
            let tracker = Jobs::new(Arc::clone(store)).tracker(job).await.unwrap();
            tracker.handle().inc(COUNTS);
            drop(tracker);
            wait_for_end(store, job).await;
        });
    }),
    ("shutdown", |store, job| {
        let runtime = runtime();
        let tracker = runtime.block_on(Jobs::new(Arc::clone(store)).tracker(job)).unwrap();
        tracker.handle().inc(COUNTS);
        runtime.spawn(async move {
            let _tracker = tracker;
            std::future::pending::<()>().await;
        });
        drop(runtime);
    }),
];

/// Runs a job that counts and then goes wrong, on its own runtime.
fn work(
    store: &Store,
    job: ProgressId,
    goes_wrong: impl AsyncFnOnce(TrackerHandle) -> Result<(), Failure>,
) {
    let runtime = runtime();
    let run = Jobs::new(Arc::clone(store)).run(job, async move |tracker| {
        tracker.inc(COUNTS);
        goes_wrong(tracker).await
    });
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(run)));
    if let Ok(Err(error)) = outcome {
        panic!("the final status was not recorded: {error:?}");
    }
}

/// Control: the same panic in a worker that writes its counts without a tracker.
fn without_tracker(store: &Store, job: ProgressId) {
    let store = Arc::clone(store);
    let worker = runtime().block_on(async {
        tokio::spawn(async move {
            let counts = Delta::new().with_succeeded(COUNTS);
            store.update(job, &ProgressUpdate::advance(counts)).await.unwrap();
            panic!("a panic on purpose");
        })
        .await
    });
    assert!(worker.is_err(), "the worker should panic");
}

async fn wait_for_end(store: &Store, job: ProgressId) -> Progress {
    let deadline = Instant::now() + 5 * LIMIT;
    loop {
        let progress = store.get(job).await.unwrap().unwrap();
        if progress.status.is_finished() || Instant::now() > deadline {
            return progress;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn judge(ended: &Progress, after: Duration, counts: u64) -> Finding {
    Finding::new(
        ended.status == Status::Failed && ended.succeeded == counts && after <= LIMIT,
        format_args!(
            "{} after {after:.2?} with {} of {counts} counts",
            ended.status, ended.succeeded
        ),
        format_args!("failed within {LIMIT:?} with all counts"),
    )
}

/// A process that aborts runs no clean-up: its worker is lost, like one that was killed.
fn abort(place: &Place) -> Finding {
    let runtime = runtime();
    let store = runtime.block_on(place.open());
    let lease = Duration::from_millis(150);
    let job = NewProgress::new("prove").with_lease(lease);
    let job = runtime.block_on(store.create(&job)).unwrap().id;
    let mut worker = Worker::start(&["abort", place.url(), &job.to_string()]);
    let (_, is_well) = worker.wait(Duration::from_secs(10));
    assert!(!is_well, "the worker should abort");
    let before = runtime.block_on(store.get(job)).unwrap().unwrap();
    let after = runtime.block_on(sweep_until_ended(&store, job, lease / 9));
    Finding::new(
        before.status == Status::Running
            && after.error.as_deref() == Some(WORKER_LOST)
            && after.succeeded == 5,
        format_args!(
            "{} with {} of 5 counts, then {}",
            before.status, before.succeeded, after.status
        ),
        "running with all flushed counts, then failed as lost",
    )
}
