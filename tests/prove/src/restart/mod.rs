//! A database server that is restarted while workers and pages use it, with and without a warning.
//!
//! All checks share this server. They run one after the other, and this one ends only when the
//! server is available again.

mod pages;
mod server;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use progress_core::{
    Jobs, NewProgress, Progress, ProgressError, ProgressId, ProgressStore, Record, TrackerOptions,
};
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, PgConnection};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use self::pages::Pages;
use self::server::Server;
use crate::place::{Place, runtime};
use crate::report::{Finding, Report};
use crate::worker::{join_all, running};

const WRITERS: u32 = 8;
const RECOVERS_WITHIN: Duration = Duration::from_secs(5);
/// Longer than a late recovery takes.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn run(report: &mut Report) {
    let rounds = report.rounds(10, 1);
    let pages = report.rounds(200, 40);
    let mut restarting = Vec::new();
    for place in Place::remote() {
        let name = place.name;
        if Server::of(&place).is_none() {
            report.not_run(name, "only cargo xtask prove says how to restart this server");
            continue;
        }
        // Most of the time is waiting, so all kinds run at the same time.
        let restart = move || restart(&place, &Server::of(&place).unwrap(), rounds, pages);
        restarting.push((name, std::thread::spawn(restart)));
    }
    for (name, thread) in restarting {
        let mut control = None;
        report.check(name, || {
            let (finding, careless) = thread.join().unwrap();
            control = Some(careless);
            finding
        });
        report.check(&format!("{name}-control"), || control.expect("the restarts should end"));
    }
}

/// Restarts the server while workers and pages use it, in turn with and without a warning. Returns
/// the finding, and that of the control, a worker without a store.
fn restart(place: &Place, server: &Server<'_>, rounds: u32, pages: u32) -> (Finding, Finding) {
    let runtime = runtime();
    let store = runtime.block_on(place.open());
    let work = Work::start(&runtime, place, &store);
    let pages = Pages::open(&runtime, runtime.block_on(place.open()), &work.jobs, pages);
    let mut slowest = Slowest::default();
    for round in 0..2 * rounds {
        std::thread::sleep(Duration::from_millis(300));
        server.restart(round % 2 == 1);
        slowest.see(&runtime, &*store, &work, &pages);
    }
    let (expected, kept, control) = runtime.block_on(work.end(&*store));
    let seen = pages.close();
    let Slowest { answered, written } = slowest;
    let is_well = kept == expected
        && seen.others.is_empty()
        && seen.backwards == 0
        && answered.max(written) <= RECOVERS_WITHIN;
    let finding = Finding::new(
        is_well,
        format_args!(
            "{:+} of {expected} counts, \
             pages answered after {answered:.1?} and jobs written after {written:.1?} at most, \
             of {} polls {} were 503, {} something else ({:?}), {} ran backwards, \
             in {rounds} + {rounds} restarts",
            kept - expected,
            seen.polls,
            seen.refused,
            seen.others.len(),
            seen.others.first(),
            seen.backwards,
        ),
        format_args!("0, {RECOVERS_WITHIN:?}, any, 0, 0"),
    );
    (finding, control)
}

/// The slowest recoveries, once the server was back.
#[derive(Default)]
struct Slowest {
    answered: Duration,
    written: Duration,
}

impl Slowest {
    /// Waits until every page was answered and every job written to.
    fn see(&mut self, runtime: &Runtime, store: &dyn ProgressStore, work: &Work, pages: &Pages) {
        let back = Instant::now();
        pages.forget();
        let before = runtime.block_on(work.counts(store));
        let (mut answered, mut written) = (None, None);
        while (answered.is_none() || written.is_none()) && back.elapsed() < PATIENCE {
            if pages.were_all_answered() {
                answered.get_or_insert(back.elapsed());
            }
            let counts = runtime.block_on(work.counts(store));
            if counts.iter().zip(&before).all(|(now, before)| now > before) {
                written.get_or_insert(back.elapsed());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // A page that was answered may have been refused afterwards.
        let answered = answered
            .map(|answered| answered.max(pages.last_refused().saturating_duration_since(back)));
        self.answered = self.answered.max(answered.unwrap_or(PATIENCE));
        self.written = self.written.max(written.unwrap_or(PATIENCE));
    }
}

/// Jobs with a tracker each, and one that is written to without a store.
struct Work {
    is_over: Arc<AtomicBool>,
    jobs: Vec<ProgressId>,
    trackers: JoinSet<Result<u64, ProgressError>>,
    careless_job: ProgressId,
    careless: JoinSet<()>,
    attempts: Arc<AtomicU64>,
}

impl Work {
    fn start(runtime: &Runtime, place: &Place, store: &Arc<dyn ProgressStore>) -> Self {
        runtime.block_on(async {
            let mut work = Self {
                is_over: Arc::default(),
                jobs: Vec::new(),
                trackers: JoinSet::new(),
                careless_job: running(store).await,
                careless: JoinSet::new(),
                attempts: Arc::default(),
            };
            for _ in 0..WRITERS {
                // With its own pool, as in a separate process.
                let job = store.create(&NewProgress::new("prove")).await.unwrap().id;
                work.jobs.push(job);
                work.trackers.spawn(track(place.open().await, job, Arc::clone(&work.is_over)));
            }
            work.careless.spawn(count(
                place.name,
                place.url().to_owned(),
                work.careless_job,
                Arc::clone(&work.is_over),
                Arc::clone(&work.attempts),
            ));
            work
        })
    }

    /// Returns the count of each job; nothing while the store is unavailable.
    async fn counts(&self, store: &dyn ProgressStore) -> Vec<u64> {
        let found = store.get_many(&self.jobs).await.unwrap_or_default();
        found.into_iter().flatten().map(|job| job.succeeded).collect()
    }

    /// Ends all work. Returns the counts that were made, those that were kept, and the control's
    /// finding.
    async fn end(self, store: &dyn ProgressStore) -> (i128, i128, Finding) {
        self.is_over.store(true, Ordering::Relaxed);
        let counted = join_all(self.trackers).await;
        let expected = counted.into_iter().map(|counted| i128::from(counted.unwrap())).sum();
        let jobs = store.get_many(&self.jobs).await.unwrap();
        let kept = jobs.into_iter().map(|job| i128::from(job.unwrap().succeeded)).sum();
        join_all(self.careless).await;
        let attempts = self.attempts.load(Ordering::Relaxed);
        let careless: Progress = store.get(self.careless_job).await.unwrap().unwrap();
        let lost = i128::from(attempts) - i128::from(careless.succeeded);
        let control = Finding::new(
            lost > 0,
            format_args!("without a store {lost} of {attempts} counts are lost"),
            "some lost",
        );
        (expected, kept, control)
    }
}

/// Counts through a tracker.
async fn track(
    store: Arc<dyn ProgressStore>,
    job: ProgressId,
    is_over: Arc<AtomicBool>,
) -> Result<u64, ProgressError> {
    let options = TrackerOptions::new().with_flush_interval(Duration::from_millis(50));
    let tracker = Jobs::new(store).tracker_with(options, job).await?;
    let mut counted = 0;
    while !is_over.load(Ordering::Relaxed) {
        tracker.handle().inc(1);
        counted += 1;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tracker.complete(()).await?;
    Ok(counted)
}

/// Counts on a bare connection, ignoring errors (the control).
async fn count(
    database: &'static str,
    url: String,
    job: ProgressId,
    is_over: Arc<AtomicBool>,
    attempts: Arc<AtomicU64>,
) {
    if database == "redis" {
        return count_in_redis(url, job, is_over, attempts).await;
    }
    let one = format!("UPDATE progress_records SET succeeded = succeeded + 1 WHERE id = '{job}'");
    while !is_over.load(Ordering::Relaxed) {
        attempts.fetch_add(1, Ordering::Relaxed);
        let one = sqlx::raw_sql(AssertSqlSafe(one.clone()));
        let _ = match database {
            "postgres" => match PgConnection::connect(&url).await {
                Ok(mut connection) => one.execute(&mut connection).await.map(drop),
                Err(error) => Err(error),
            },
            _ => match MySqlConnection::connect(&url).await {
                Ok(mut connection) => one.execute(&mut connection).await.map(drop),
                Err(error) => Err(error),
            },
        };
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The same on Redis: reads the record, adds, and writes it back.
async fn count_in_redis(
    url: String,
    job: ProgressId,
    is_over: Arc<AtomicBool>,
    attempts: Arc<AtomicU64>,
) {
    let client = redis::Client::open(url).unwrap();
    let key = format!("{{progress}}:record:{job}");
    while !is_over.load(Ordering::Relaxed) {
        attempts.fetch_add(1, Ordering::Relaxed);
        let _ = async {
            let mut connection = client.get_multiplexed_async_connection().await?;
            let mut get = redis::cmd("HGET");
            let text: String = get.arg(&key).arg("document").query_async(&mut connection).await?;
            let mut record: Record = serde_json::from_str(&text).unwrap();
            record.progress.succeeded += 1;
            let text = serde_json::to_string(&record).unwrap();
            let mut set = redis::cmd("HSET");
            set.arg(&key).arg("document").arg(text).query_async::<()>(&mut connection).await
        }
        .await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
