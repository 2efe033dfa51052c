//! A worker that is killed without a warning: acknowledged counts stay, and only those since the
//! last flush are lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use progress_core::{Delta, NewProgress, ProgressId, ProgressStore, ProgressUpdate};
use sqlx::{Connection, SqliteConnection};
use tokio::runtime::Runtime;

use crate::place::{Place, runtime};
use crate::report::{Finding, Report};
use crate::signals::Worker;
use crate::worker::running;

/// The flush interval of the ticking worker, and the time between its counts.
pub(crate) const INTERVAL: Duration = Duration::from_millis(50);
pub(crate) const TICK: Duration = Duration::from_millis(1);
/// How long load may hold up a process.
const PAUSE: Duration = Duration::from_millis(150);

pub(crate) fn run(report: &mut Report) {
    // A thousand kills for each store: half of a worker that writes each count, half of one that
    // flushes.
    let kills = report.rounds(1_000, 50) / 2;
    for place in Place::shared() {
        report.check(&format!("{}-acknowledged", place.name), || {
            acknowledged(&place, "acknowledge", kills)
        });
        report.check(&format!("{}-ticks", place.name), || ticks(&place, "tick", kills));
    }
    // Controls: a worker that reports counts before they are written, and one that writes once a
    // minute.
    report.check("control-acknowledged", || acknowledged(&Place::sqlite(), "tick", 5).must_fail());
    report.check("control-ticks", || ticks(&Place::sqlite(), "tick-seldom", 10).must_fail());
}

/// Kills a worker that reports what the store has acknowledged.
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
        // The kill may have cut off the acknowledgement of one more count.
        invented += kept.saturating_sub(said + 1);
        most = most.max(kept);
    }
    let integrity = runtime.block_on(integrity(place));
    Finding::new(
        lost == 0 && invented == 0 && integrity.is_none_or(|is_well| is_well),
        format_args!(
            "{lost} acknowledged counts lost, {invented} invented, \
             in {kills} kills after up to {most} counts{}",
            in_words(integrity)
        ),
        "0 and 0",
    )
}

/// Kills a worker that counts through a tracker.
fn ticks(place: &Place, role: &str, kills: u32) -> Finding {
    let runtime = runtime();
    let store = runtime.block_on(place.open());
    let writes = Writes::beside(&runtime, &store);
    let (mut worst, mut slowest, mut beyond, mut invented) = (0, Duration::ZERO, 0, 0);
    for kill in 0..kills {
        let job = runtime.block_on(store.create(&NewProgress::new("prove"))).unwrap().id;
        let mut worker = Worker::start(&[role, place.url(), &job.to_string()]);
        writes.slowest();
        // At any point of an interval, and often after more ticks than may be lost.
        let said = last_after(&mut worker, 1 + u64::from(kill * 37 % 300));
        let said = newest(&worker.kill()).unwrap_or(said);
        let write = writes.slowest();
        let kept = runtime.block_on(kept(&*store, job));
        let lost = said.saturating_sub(kept);
        // The last write that arrived, and one in flight.
        let allowed = INTERVAL + PAUSE + 2 * write;
        beyond += u32::from(u128::from(lost) > allowed.as_millis());
        worst = worst.max(lost);
        slowest = slowest.max(write);
        // A tick is counted before it is reported.
        invented += kept.saturating_sub(said + 1);
    }
    let integrity = runtime.block_on(integrity(place));
    Finding::new(
        beyond == 0 && invented == 0 && integrity.is_none_or(|is_well| is_well),
        format_args!(
            "{beyond} of {kills} kills cost more than an interval and two writes, \
             {worst} ticks of 1 ms at most, where a write took up to {slowest:.0?}, \
             {invented} invented{}",
            in_words(integrity)
        ),
        format_args!("0 and 0, with an interval of {INTERVAL:?}, and {PAUSE:?} of tolerance"),
    )
}

/// Writes like the worker's, one after the other, to measure how long a write takes meanwhile.
struct Writes {
    /// The longest write since the last call of `slowest`, in microseconds, and the number of
    /// writes.
    slowest: Arc<AtomicU64>,
    count: Arc<AtomicU64>,
}

impl Writes {
    fn beside(runtime: &Runtime, store: &Arc<dyn ProgressStore>) -> Self {
        let writes = Self { slowest: Arc::default(), count: Arc::default() };
        let (slowest, count) = (Arc::clone(&writes.slowest), Arc::clone(&writes.count));
        let store = Arc::clone(store);
        runtime.spawn(async move {
            let job = running(&store).await;
            loop {
                let begun = Instant::now();
                let one = ProgressUpdate::advance(Delta::new().with_succeeded(1));
                store.update(job, &one).await.unwrap();
                let took = u64::try_from(begun.elapsed().as_micros()).unwrap();
                slowest.fetch_max(took, Ordering::Relaxed);
                count.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(TICK).await;
            }
        });
        writes
    }

    /// Returns the longest write since the last call, including the one in flight.
    fn slowest(&self) -> Duration {
        let count = self.count.load(Ordering::Relaxed);
        while self.count.load(Ordering::Relaxed) == count {
            std::thread::sleep(TICK);
        }
        Duration::from_micros(self.slowest.swap(0, Ordering::Relaxed))
    }
}

/// Runs SQLite's integrity check; `None` for a server, which checks its files itself.
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

/// Reads until the worker has reported this count.
fn last_after(worker: &mut Worker, count: u64) -> u64 {
    loop {
        let said = worker
            .line()
            .and_then(|line| line.parse().ok())
            .expect("a worker counts until it is killed");
        if said >= count {
            return said;
        }
    }
}

/// Returns the count in the last complete line.
fn newest(lines: &[String]) -> Option<u64> {
    lines.iter().rev().find_map(|line| line.parse().ok())
}

async fn kept(store: &dyn ProgressStore, job: ProgressId) -> u64 {
    store.get(job).await.unwrap().unwrap().succeeded
}
