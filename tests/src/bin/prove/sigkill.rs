//! A worker that is killed without a warning: what the store acknowledged stays, what was counted since the last flush goes.

use std::time::Duration;

use progress_core::{NewProgress, ProgressId, ProgressStore};

use crate::place::{Place, runtime};
use crate::report::{Finding, Report};
use crate::signals::Worker;
use crate::worker::running;

/// The flush interval of the ticking worker, and its pace.
pub(crate) const INTERVAL: Duration = Duration::from_millis(50);
pub(crate) const TICK: Duration = Duration::from_millis(1);
/// What one write may take on top of the interval, on a machine that is busy.
const WRITE: Duration = Duration::from_millis(150);

pub(crate) fn run(report: &mut Report) {
    let kills = report.rounds(500, 25);
    for place in Place::shared() {
        report.check(&format!("{}-acknowledged", place.name), || acknowledged(&place, kills));
        report.check(&format!("{}-ticks", place.name), || ticks(&place, kills));
    }
}

/// Kills a worker that writes each count by itself.
fn acknowledged(place: &Place, kills: u32) -> Finding {
    let runtime = runtime();
    let store = runtime.block_on(place.open());
    let (mut lost, mut invented, mut most) = (0, 0, 0);
    for kill in 0..kills {
        let job = runtime.block_on(running(&store));
        let mut worker = Worker::start(&["acknowledge", place.url(), &job.to_string()]);
        let said = last_after(&mut worker, 1 + u64::from(kill % 20));
        let said = newest(&worker.kill()).unwrap_or(said);
        let kept = runtime.block_on(kept(&*store, job));
        lost += said.saturating_sub(kept);
        // One more may have been written whose acknowledgement the kill has cut off.
        invented += kept.saturating_sub(said + 1);
        most = most.max(kept);
    }
    let figure = format_args!(
        "{lost} acknowledged counts lost, {invented} invented, in {kills} kills after up to {most}"
    )
    .to_string();
    Finding::new(lost == 0 && invented == 0, figure, "0 and 0")
}

/// Kills a worker that counts through a tracker.
fn ticks(place: &Place, kills: u32) -> Finding {
    let runtime = runtime();
    let store = runtime.block_on(place.open());
    let (mut worst, mut invented) = (0, 0);
    for kill in 0..kills {
        let job = runtime.block_on(async { store.create(&NewProgress::new("prove")).await.unwrap().id });
        let mut worker = Worker::start(&["tick", place.url(), &job.to_string()]);
        let said = last_after(&mut worker, 1 + u64::from(kill % 100));
        let said = newest(&worker.kill()).unwrap_or(said);
        let kept = runtime.block_on(kept(&*store, job));
        worst = worst.max(said.saturating_sub(kept));
        // A tick is counted before it is said.
        invented += kept.saturating_sub(said + 1);
    }
    let limit = (INTERVAL + WRITE).as_millis();
    Finding::new(
        u128::from(worst) <= limit && invented == 0,
        format_args!("{worst} ticks of 1 ms lost at worst, {invented} invented, in {kills} kills"),
        format_args!("{limit}: one interval of {INTERVAL:?}, and a write"),
    )
}

/// Reads until the worker has said so much.
fn last_after(worker: &mut Worker, count: u64) -> u64 {
    loop {
        let said =
            worker.line().and_then(|line| line.parse().ok()).expect("a worker counts until it is killed");
        if said >= count {
            return said;
        }
    }
}

/// The last of the lines that was said to its end.
fn newest(lines: &[String]) -> Option<u64> {
    lines.iter().rev().find_map(|line| line.parse().ok())
}

async fn kept(store: &dyn ProgressStore, job: ProgressId) -> u64 {
    store.get(job).await.unwrap().unwrap().succeeded
}
