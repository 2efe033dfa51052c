//! A worker that is killed without a warning: what the store acknowledged stays, what was counted since the last flush goes.

use std::time::Duration;

use progress_core::{NewProgress, ProgressId, ProgressStore};
use sqlx::{Connection, SqliteConnection};

use crate::place::{Place, runtime};
use crate::report::{Finding, Report};
use crate::signals::Worker;

/// The flush interval of the ticking worker, and its pace.
pub(crate) const INTERVAL: Duration = Duration::from_millis(50);
pub(crate) const TICK: Duration = Duration::from_millis(1);
/// What one write may take on top of the interval, on a machine that is busy.
const WRITE: Duration = Duration::from_millis(150);

pub(crate) fn run(report: &mut Report) {
    // A thousand for each store: half of them of a worker that writes each count, half of one that flushes.
    let kills = report.rounds(1_000, 50) / 2;
    for place in Place::shared() {
        report.check(&format!("{}-acknowledged", place.name), || acknowledged(&place, "acknowledge", kills));
        report.check(&format!("{}-ticks", place.name), || ticks(&place, "tick", kills));
    }
    // A worker that says what it has counted before anything is written, and one that writes once a minute.
    report.check("control-acknowledged", || acknowledged(&Place::sqlite(), "tick", 5).must_fail());
    report.check("control-ticks", || ticks(&Place::sqlite(), "tick-seldom", 10).must_fail());
}

/// Kills a worker that says what the store has acknowledged.
fn acknowledged(place: &Place, role: &str, kills: u32) -> Finding {
    let runtime = runtime();
    let store = runtime.block_on(place.open());
    let (mut lost, mut invented, mut most) = (0, 0, 0);
    for kill in 0..kills {
        let job = runtime.block_on(store.create(&NewProgress::new("prove"))).unwrap().id;
        let mut worker = Worker::start(&[role, place.url(), &job.to_string()]);
        let said = last_after(&mut worker, 1 + u64::from(kill % 20));
        let said = newest(&worker.kill()).unwrap_or(said);
        let kept = runtime.block_on(kept(&*store, job));
        lost += said.saturating_sub(kept);
        // One more may have been written whose acknowledgement the kill has cut off.
        invented += kept.saturating_sub(said + 1);
        most = most.max(kept);
    }
    let integrity = runtime.block_on(integrity(place));
    Finding::new(
        lost == 0 && invented == 0 && integrity.is_none_or(|is_well| is_well),
        format_args!(
            "{lost} acknowledged counts lost, {invented} invented, in {kills} kills after up to {most}{}",
            in_words(integrity)
        ),
        "0 and 0",
    )
}

/// Kills a worker that counts through a tracker.
fn ticks(place: &Place, role: &str, kills: u32) -> Finding {
    let runtime = runtime();
    let store = runtime.block_on(place.open());
    let (mut worst, mut invented) = (0, 0);
    for kill in 0..kills {
        let job = runtime.block_on(store.create(&NewProgress::new("prove"))).unwrap().id;
        let mut worker = Worker::start(&[role, place.url(), &job.to_string()]);
        // At any point of an interval, and often after more ticks than may be lost.
        let said = last_after(&mut worker, 1 + u64::from(kill * 37 % 300));
        let said = newest(&worker.kill()).unwrap_or(said);
        let kept = runtime.block_on(kept(&*store, job));
        worst = worst.max(said.saturating_sub(kept));
        // A tick is counted before it is said.
        invented += kept.saturating_sub(said + 1);
    }
    let limit = (INTERVAL + WRITE).as_millis();
    let integrity = runtime.block_on(integrity(place));
    Finding::new(
        u128::from(worst) <= limit && invented == 0 && integrity.is_none_or(|is_well| is_well),
        format_args!(
            "{worst} ticks of 1 ms lost at worst, {invented} invented, in {kills} kills{}",
            in_words(integrity)
        ),
        format_args!("{limit}: one interval of {INTERVAL:?}, and a write"),
    )
}

/// Whether the file is sound, by SQLite's own examination. A server looks after its files itself.
async fn integrity(place: &Place) -> Option<bool> {
    if place.name != "sqlite" {
        return None;
    }
    let mut connection = SqliteConnection::connect(place.url()).await.unwrap();
    let verdict: Vec<String> =
        sqlx::query_scalar("PRAGMA integrity_check").fetch_all(&mut connection).await.unwrap();
    Some(verdict == ["ok"])
}

fn in_words(integrity: Option<bool>) -> &'static str {
    match integrity {
        Some(true) => ", integrity ok",
        Some(false) => ", THE FILE IS DAMAGED",
        None => "",
    }
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
