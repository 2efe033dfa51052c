//! A worker that gets SIGTERM loses nothing.

use std::time::Duration;

use progress_core::{NewProgress, Status, WORKER_STOPPED};

use crate::place::{Place, runtime};
use crate::report::{Finding, Report};
use crate::signals::Worker;

/// The counts that the worker has not yet written when it gets SIGTERM.
pub(crate) const COUNTS: u64 = 10_000;

pub(crate) fn run(report: &mut Report) {
    let rounds = report.rounds(100, 5);
    report.check("control", control);
    for place in Place::shared() {
        report.check(place.name, || {
            let runtime = runtime();
            let store = runtime.block_on(place.open());
            let (mut lost, mut unsaid, mut slowest) = (0, 0, Duration::ZERO);
            for _ in 0..rounds {
                let job = runtime
                    .block_on(async { store.create(&NewProgress::new("prove")).await.unwrap().id });
                let mut worker = Worker::start(&["buffer", place.url(), &job.to_string()]);
                assert_eq!(worker.line().as_deref(), Some("ready"));
                worker.signal("-TERM");
                let (time, is_well) = worker.wait(Duration::from_secs(10));
                assert!(is_well, "the worker failed");
                slowest = slowest.max(time);
                let ended = runtime.block_on(store.get(job)).unwrap().unwrap();
                lost += COUNTS - ended.succeeded;
                let is_said = ended.status == Status::Failed
                    && ended.error.as_deref() == Some(WORKER_STOPPED);
                unsaid += u32::from(!is_said);
            }
            Finding::new(
                lost == 0 && unsaid == 0 && slowest <= Duration::from_secs(5),
                format_args!(
                    "{lost} counts lost, {unsaid} jobs left running, \
                     slowest end {slowest:.1?}, in {rounds} rounds"
                ),
                "0, 0 and 5 s",
            )
        });
    }
}

/// Control: the same worker, killed, must lose its counts, or the check would show nothing.
fn control() -> Finding {
    let place = Place::sqlite();
    let runtime = runtime();
    let store = runtime.block_on(place.open());
    let job =
        runtime.block_on(async { store.create(&NewProgress::new("prove")).await.unwrap().id });
    let mut worker = Worker::start(&["buffer", place.url(), &job.to_string()]);
    assert_eq!(worker.line().as_deref(), Some("ready"));
    worker.kill();
    let left = runtime.block_on(store.get(job)).unwrap().unwrap();
    Finding::new(
        left.succeeded == 0 && left.status == Status::Running,
        format_args!(
            "a worker that is killed loses {} of {COUNTS} counts",
            COUNTS - left.succeeded
        ),
        "all lost",
    )
}
