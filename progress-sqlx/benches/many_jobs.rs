//! Runs ten thousand jobs in one process, each with an item every 100 ms. Measures how often each
//! job is written, how long a completion takes meanwhile, and the processor time used.
//!
//! `cargo bench -p progress-sqlx --bench many_jobs -- [JOBS [SECONDS]]` runs on an SQLite file, or
//! on the database that `PROGRESS_BENCH` names.
#![allow(clippy::expect_used, reason = "a benchmark reports errors by panicking")]

use std::time::{Duration, Instant};

use progress_core::{Jobs, NewProgress, ProgressStore, Tracker};

/// The performance goal of the library.
const AIM: &str = "goal: 3.8 writes per second and job, completions p50 <= 50 ms, <= 0.5 cores";
/// The pause between two measured completions.
const ENDINGS: Duration = Duration::from_millis(50);

fn main() {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let jobs = numbers.first().copied().unwrap_or(10_000);
    let seconds = numbers.get(1).copied().unwrap_or(15);
    let folder = tempfile::tempdir().expect("create a folder");
    let file = format!("sqlite://{}", folder.path().join("progress.db").display());
    let url = std::env::var("PROGRESS_BENCH").unwrap_or(file);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("start a runtime");
    runtime.block_on(measure(&url, jobs, Duration::from_secs(seconds)));
}

async fn start(jobs: &Jobs) -> Tracker {
    let job =
        jobs.create(NewProgress::new("bench").with_total(1_000_000)).await.expect("create a job");
    jobs.tracker(job.id).await.expect("start the job")
}

async fn measure(url: &str, count: u64, time: Duration) {
    let jobs = Jobs::new(progress_sqlx::connect_any(url).await.expect("connect to the database"));
    let _janitor = tokio::spawn(jobs.janitor().run());
    let mut trackers = Vec::new();
    while (trackers.len() as u64) < count {
        trackers.push(start(&jobs).await);
    }
    let handles: Vec<_> = trackers.iter().map(|tracker| tracker.handle().clone()).collect();
    let work = tokio::spawn(async move {
        let mut turns = tokio::time::interval(Duration::from_millis(100));
        loop {
            turns.tick().await;
            handles.iter().for_each(|handle| handle.inc(1));
        }
    });
    tokio::time::sleep(Duration::from_secs(2)).await;

    let before = versions(&jobs, &trackers).await;
    let (begun, busy) = (Instant::now(), processor_time());
    let mut endings = Vec::new();
    let mut ending = Vec::new();
    while begun.elapsed() < time {
        ending.push(start(&jobs).await);
        let called = Instant::now();
        ending.pop().expect("just started").complete(()).await.expect("complete the job");
        endings.push(called.elapsed());
        tokio::time::sleep(ENDINGS).await;
    }
    let (elapsed, busy) = (begun.elapsed().as_secs_f64(), processor_time() - busy);
    let written = versions(&jobs, &trackers).await - before;
    work.abort();

    endings.sort();
    let percentile = |part: usize| endings[endings.len() * part / 100].as_secs_f64() * 1e3;
    #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
    let each = written as f64 / count as f64 / elapsed;
    println!("{AIM}");
    println!(
        "{count} jobs: {each:.2} writes per second and job, \
         completions p50 {:.1} ms p99 {:.1} ms, {:.2} cores",
        percentile(50),
        percentile(99),
        busy.as_secs_f64() / elapsed,
    );
}

/// Returns the sum of all records' versions. Each write adds one.
async fn versions(jobs: &Jobs, trackers: &[Tracker]) -> u64 {
    let ids: Vec<_> = trackers.iter().map(Tracker::id).collect();
    let mut sum = 0;
    for ids in ids.chunks(100) {
        let records = jobs.store().get_many(ids).await.expect("read the records");
        sum += records.iter().flatten().map(|record| record.version).sum::<u64>();
    }
    sum
}

/// Returns the processor time that this process has used so far.
fn processor_time() -> Duration {
    // proc(5): utime and stime are fields 14 and 15, in ticks of 10 ms, after a name in
    // parentheses.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks =
        fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok());
    Duration::from_millis(10 * ticks.sum::<u64>())
}
