//! Runs ten thousand jobs in one process, each with an item every 100 ms. Measures how often each
//! job is written, how long a completion takes meanwhile, and the processor time used; then the
//! same of jobs that only send heartbeats.
//!
//! Run it with `cargo xtask bench many-jobs`, or as `cargo bench -p progress-sqlx --bench many_jobs
//! -- [JOBS [SECONDS]]`: on an SQLite file, and on the server of PROGRESS_TEST_POSTGRES if it is
//! set.
#![allow(clippy::unwrap_used, reason = "a benchmark reports errors by panicking")]

use std::time::{Duration, Instant};

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use progress_core::{Jobs, NewProgress, ProgressStore, Tracker};
use sqlx::{AssertSqlSafe, Connection as _};

/// The pause between two measured completions.
const ENDINGS: Duration = Duration::from_millis(50);

fn main() {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let count = numbers.first().copied().unwrap_or(10_000);
    let time = Duration::from_secs(numbers.get(1).copied().unwrap_or(15));
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    metrics::set_global_recorder(recorder).ok().unwrap();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("progress.db").display());
        let aims = [" | >= 3.8", " | <= 1", " | <= 50"];
        measure("SQLite", &url, count, time, &metrics, aims).await;
        match std::env::var("PROGRESS_TEST_POSTGRES") {
            Ok(server) => {
                let url = database(&server).await;
                measure("PostgreSQL", &url, count, time, &metrics, [""; 3]).await;
            }
            Err(_) => {
                println!("not measured | many jobs, PostgreSQL | set PROGRESS_TEST_POSTGRES");
            }
        }
    });
}

async fn start(jobs: &Jobs) -> Tracker {
    let job = jobs.create(NewProgress::new("bench").with_total(1_000_000)).await.unwrap();
    jobs.tracker(job.id).await.unwrap()
}

/// What the process has done between two moments.
struct Span {
    begun: Instant,
    busy: Duration,
    calls: u64,
}

impl Span {
    fn begin(metrics: &PrometheusHandle) -> Self {
        Self { begun: Instant::now(), busy: processor_time(), calls: flushes(metrics) }
    }

    /// Returns the seconds, the processors used, and the flushes per second.
    fn end(self, metrics: &PrometheusHandle) -> (f64, f64, f64) {
        let seconds = self.begun.elapsed().as_secs_f64();
        let cores = (processor_time() - self.busy).as_secs_f64() / seconds;
        #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
        let calls = (flushes(metrics) - self.calls) as f64 / seconds;
        (seconds, cores, calls)
    }
}

async fn measure(
    name: &str,
    url: &str,
    count: u64,
    time: Duration,
    metrics: &PrometheusHandle,
    [writes_aim, cores_aim, ending_aim]: [&str; 3],
) {
    let jobs = Jobs::new(progress_sqlx::connect_any(url).await.unwrap());
    let janitor = tokio::spawn(jobs.janitor().run());
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
    let span = Span::begin(metrics);
    let mut endings = Vec::new();
    while span.begun.elapsed() < time {
        let ending = start(&jobs).await;
        let called = Instant::now();
        ending.complete(()).await.unwrap();
        endings.push(called.elapsed().as_secs_f64() * 1e3);
        tokio::time::sleep(ENDINGS).await;
    }
    let (seconds, cores, calls) = span.end(metrics);
    let written = versions(&jobs, &trackers).await - before;
    work.abort();
    endings.sort_by(f64::total_cmp);
    let percentile = |part: usize| endings[endings.len() * part / 100];
    #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
    let each = written as f64 / count as f64 / seconds;
    let of = format!("{count} running jobs, {name}");
    println!("writes per second of each of {of} | {each:.2} | - | -{writes_aim}");
    println!("processors used by {of} | {cores:.2} | - | -{cores_aim}");
    println!("transactions per second of {of} | {calls:.0} | - | -");
    println!("p50 of an ending among {of} | {:.1} ms | - | -{ending_aim}", percentile(50));
    println!("p99 of an ending among {of} | {:.1} ms | - | -", percentile(99));

    // The last items are written meanwhile.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let span = Span::begin(metrics);
    tokio::time::sleep(time).await;
    let (_, cores, calls) = span.end(metrics);
    let of = format!("{count} jobs that only send heartbeats, {name}");
    println!("processors used by {of} | {cores:.2} | - | -");
    println!("transactions per second of {of} | {calls:.0} | - | -");
    janitor.abort();
}

/// Returns the sum of all records' versions. Each write adds one.
async fn versions(jobs: &Jobs, trackers: &[Tracker]) -> u64 {
    let ids: Vec<_> = trackers.iter().map(Tracker::id).collect();
    let mut sum = 0;
    for ids in ids.chunks(100) {
        let records = jobs.store().get_many(ids).await.unwrap();
        sum += records.iter().flatten().map(|record| record.version).sum::<u64>();
    }
    sum
}

/// Returns how many calls of the flush loop the process has made so far.
fn flushes(metrics: &PrometheusHandle) -> u64 {
    let text = metrics.render();
    let count = text.lines().find_map(|line| line.strip_prefix("progress_flush_seconds_count "));
    count.map_or(0, |count| count.parse().unwrap())
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

/// Creates a database for this benchmark and returns its address.
async fn database(server: &str) -> String {
    let name = format!("progress_bench_jobs_{}", std::process::id());
    let mut connection = sqlx::PgConnection::connect(server).await.unwrap();
    let create = sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}")));
    create.execute(&mut connection).await.unwrap();
    format!("{}/{name}", server.rsplit_once('/').unwrap().0)
}
