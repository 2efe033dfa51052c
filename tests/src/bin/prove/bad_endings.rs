//! A worker that leaves without a word: the job is failed, with its counts, within a second.

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

/// Runs a job on a runtime of its own, and lets it end badly.
type Ending = fn(&Store, ProgressId);

const ENDINGS: [(&str, Ending); 5] = [
    ("panic", |store, job| work(store, job, async |_| panic!("as it happens"))),
    ("error", |store, job| {
        work(store, job, async |_| {
            std::fs::read("/no/such/file")?;
            Ok(())
        });
    }),
    ("child-panic", |store, job| {
        work(store, job, async |_| {
            tokio::spawn(async { panic!("as it happens in a child") }).await?;
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

/// Runs a job that counts and then goes wrong, on a runtime of its own.
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
        panic!("the ending was not recorded: {error:?}");
    }
}

/// The same panic in a worker that writes its counts itself.
fn without_tracker(store: &Store, job: ProgressId) {
    let store = Arc::clone(store);
    let worker = runtime().block_on(async {
        tokio::spawn(async move {
            let counts = Delta::new().with_succeeded(COUNTS);
            store.update(job, &ProgressUpdate::advance(counts)).await.unwrap();
            panic!("as it happens");
        })
        .await
    });
    assert!(worker.is_err(), "it panicked");
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
        format_args!("failed after {LIMIT:?} with all"),
    )
}

/// Nothing runs in a process that aborts: it is a dead worker like one that was killed.
fn abort(place: &Place) -> Finding {
    let runtime = runtime();
    let store = runtime.block_on(place.open());
    let lease = Duration::from_millis(150);
    let job = NewProgress::new("prove").with_lease(lease);
    let job = runtime.block_on(store.create(&job)).unwrap().id;
    let mut worker = Worker::start(&["abort", place.url(), &job.to_string()]);
    let (_, is_well) = worker.wait(Duration::from_secs(10));
    assert!(!is_well, "it aborts");
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
        "running with all that was flushed, then failed as lost",
    )
}
