//! Eight processes that start at once on an empty database.

use std::time::Duration;

use progress_core::ProgressQuery;

use crate::place::{Place, runtime};
use crate::report::{Finding, Report};
use crate::signals::Worker;

const PROCESSES: usize = 8;

pub(crate) fn run(report: &mut Report) {
    let rounds = report.rounds(20, 5);
    for kind in Place::shared() {
        report.check(kind.name, || {
            let mut failures = 0;
            for _ in 0..rounds {
                let place = kind.another();
                let mut workers = [(); PROCESSES].map(|()| Worker::start(&["start", place.url()]));
                for worker in &mut workers {
                    failures += u32::from(!worker.wait(Duration::from_secs(60)).1);
                }
                let made = runtime().block_on(async {
                    place.open().await.list(&ProgressQuery::new()).await.unwrap().items.len()
                });
                failures += u32::from(made != PROCESSES);
            }
            Finding::new(
                failures == 0,
                format_args!("{failures} failures in {rounds} × {PROCESSES} starts"),
                "0",
            )
        });
    }
}
