//! A worker that is suspended past its lease: when it goes on, its writes are refused and it is
//! told.

use std::time::Duration;

use progress_core::{NewProgress, ProgressUpdate, Status, TrackerOptions};

use crate::place::{Place, runtime, unobserved};
use crate::report::{Finding, Report};
use crate::signals::Worker;
use crate::worker::sweep_until_ended;

/// How often the worker writes, and the lease: short, so that fifty sleeps take less than a minute.
const INTERVAL: Duration = Duration::from_millis(50);
const LEASE: Duration = Duration::from_millis(400);
/// How long the worker may take to end when it goes on.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) fn run(report: &mut Report) {
    let rounds = report.rounds(50, 5);
    for place in Place::shared() {
        report.check(place.name, || sleeps(&place, "sleepwalk", rounds, false));
    }
    let control = || sleeps(&Place::sqlite(), "sleepwalk-carelessly", 1, false);
    report.check("control", || control().must_fail());
}

/// The same with a job that runs again: the worker wakes while another one works on it.
pub(crate) fn run_superseded(report: &mut Report) {
    let rounds = report.rounds(50, 5);
    for place in Place::shared() {
        report.check(place.name, || sleeps(&place, "sleepwalk", rounds, true));
    }
    let control = || sleeps(&Place::sqlite(), "sleepwalk-carelessly", 1, true);
    report.check("control", || control().must_fail());
}

pub(crate) fn options() -> TrackerOptions {
    TrackerOptions::new().with_flush_interval(INTERVAL).with_heartbeat_interval(INTERVAL)
}

fn sleeps(place: &Place, role: &str, rounds: u32, runs_again: bool) -> Finding {
    let runtime = runtime();
    let store = runtime.block_on(place.open());
    let (mut changed, mut untold) = (0, 0);
    for _ in 0..rounds {
        let mut job = NewProgress::new("prove").with_lease(LEASE);
        if runs_again {
            job = job.with_attempts(2);
        }
        let job = runtime.block_on(store.create(&job)).unwrap().id;
        let mut worker = Worker::start(&[role, place.url(), &job.to_string()]);
        assert_eq!(worker.line().as_deref(), Some("ready"));
        std::thread::sleep(3 * INTERVAL);
        worker.signal("-STOP");
        // Not in the middle of a write, which would hold a lock: this heartbeat must get through.
        while runtime.block_on(store.update(job, &ProgressUpdate::heartbeat())).is_err() {
            worker.signal("-CONT");
            std::thread::sleep(INTERVAL / 3);
            worker.signal("-STOP");
        }
        let lost = unobserved(runtime.block_on(sweep_until_ended(&store, job, INTERVAL)));
        let lost = if runs_again {
            assert_eq!(lost.status, Status::Pending, "the lease has expired");
            unobserved(runtime.block_on(store.update(job, &ProgressUpdate::start())).unwrap())
        } else {
            assert_eq!(lost.status, Status::Failed, "the lease has expired");
            lost
        };
        let read = || unobserved(runtime.block_on(store.get(job)).unwrap().unwrap());
        worker.signal("-CONT");
        worker.ends_within(PATIENCE);
        untold += u32::from(!is_told(&worker.kill(), runs_again));
        changed += u32::from(read() != lost);
    }
    Finding::new(
        changed == 0 && untold == 0,
        format_args!("{changed} records changed, {untold} workers not told, in {rounds} sleeps"),
        "0 and 0",
    )
}

/// Whether the worker was told by its checkpoint, and then by its attempt to complete.
fn is_told(lines: &[String], runs_again: bool) -> bool {
    let words = if runs_again {
        ["another attempt", "is running and does not allow"]
    } else {
        ["already ended: failed", "is failed and does not allow"]
    };
    matches!(
        lines,
        [first, second] if first.contains(words[0]) && second.contains(words[1])
    )
}
