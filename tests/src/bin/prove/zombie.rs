//! A worker that sleeps past its lease and wakes up: it is refused, and told.

use std::time::Duration;

use progress_core::{NewProgress, Status};

use crate::place::{Place, runtime, unobserved};
use crate::report::{Finding, Report};
use crate::signals::Worker;

/// How often the worker writes, and the lease: short, so that fifty sleeps take less than a minute.
pub(crate) const INTERVAL: Duration = Duration::from_millis(50);
const LEASE: Duration = Duration::from_millis(400);

pub(crate) fn run(report: &mut Report) {
    let rounds = report.rounds(50, 5);
    for place in Place::shared() {
        report.check(place.name, || {
            let runtime = runtime();
            let store = runtime.block_on(place.open());
            let (mut changed, mut untold) = (0, 0);
            for _ in 0..rounds {
                let job =
                    runtime.block_on(async { store.create(&NewProgress::new("prove")).await.unwrap().id });
                let mut worker = Worker::start(&["sleepwalk", place.url(), &job.to_string()]);
                assert_eq!(worker.line().as_deref(), Some("ready"));
                std::thread::sleep(3 * INTERVAL);
                worker.signal("-STOP");
                std::thread::sleep(LEASE + INTERVAL);
                runtime.block_on(store.fail_stale(LEASE)).unwrap();
                let read = || unobserved(runtime.block_on(store.get(job)).unwrap().unwrap());
                let lost = read();
                assert_eq!(lost.status, Status::Failed, "the lease had run out");
                worker.signal("-CONT");
                let told = [worker.line(), worker.line()];
                untold += u32::from(!is_told(&told));
                worker.wait(Duration::from_secs(5));
                changed += u32::from(read() != lost);
            }
            Finding::new(
                changed == 0 && untold == 0,
                format_args!("{changed} records changed, {untold} workers not told, in {rounds} sleeps"),
                "0 and 0",
            )
        });
    }
}

/// First from its checkpoint, then from its attempt to complete.
fn is_told(lines: &[Option<String>]) -> bool {
    let says = |line: &Option<String>, words: &str| line.as_ref().is_some_and(|line| line.contains(words));
    says(&lines[0], "already ended: failed") && says(&lines[1], "is failed and refuses")
}
