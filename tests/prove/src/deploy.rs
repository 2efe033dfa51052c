//! Rolling restarts: workers get SIGTERM one after the other while their jobs run, as in a deploy.
//! Each job goes on at another worker within seconds and counts each item once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use progress_core::{Jobs, NewProgress, Progress, ProgressId, ProgressStore, Status};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use crate::place::{Place, open, runtime};
use crate::report::{Finding, Report};
use crate::signals::Worker;
use crate::worker::say;

const WORKERS: usize = 3;
const JOBS: usize = 30;
const ITEM: Duration = Duration::from_millis(5);
/// How long each worker runs before the next restart.
const BETWEEN: Duration = Duration::from_millis(700);
/// How long a job may wait for another worker.
const LIVE_WITHIN: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn run(report: &mut Report) {
    let restarts = report.rounds(20, 4);
    for place in Place::shared() {
        report.check(place.name, || restart(&place, restarts, true));
    }
    report.check("control", || restart(&Place::sqlite(), 2, false).must_fail());
}

fn restart(place: &Place, restarts: u32, has_attempts: bool) -> Finding {
    let runtime = runtime();
    let store = runtime.block_on(place.open());
    // Longer than all restarts, which the machine may slow down.
    let items = u64::from(restarts + 2) * u64::try_from((BETWEEN * 2).as_millis()).unwrap() / 5;
    let ids: Vec<_> = (0..JOBS)
        .map(|_| {
            let job = NewProgress::new("prove").with_total(items);
            let job = if has_attempts { job.with_attempts(100) } else { job };
            runtime.block_on(store.create(&job)).unwrap().id
        })
        .collect();
    let list = ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let start = || {
        let mut worker = Worker::start(&["serve-queue", place.url(), &list]);
        assert_eq!(worker.line().as_deref(), Some("ready"));
        worker
    };
    let mut workers: Vec<_> = (0..WORKERS).map(|_| start()).collect();
    let pauses = Pauses::watch(runtime.handle(), &store, &ids);
    for restart in 0..restarts {
        std::thread::sleep(BETWEEN);
        let worker = &mut workers[restart as usize % WORKERS];
        worker.signal("-TERM");
        assert!(worker.wait(Duration::from_secs(10)).1, "the worker failed");
        *worker = start();
    }
    for worker in &mut workers {
        assert!(worker.ends_within(PATIENCE), "the jobs do not end");
    }
    let longest = runtime.block_on(pauses.longest());
    let ended = runtime.block_on(store.get_many(&ids)).unwrap();
    let ended: Vec<_> = ended.into_iter().map(Option::unwrap).collect();
    let of = |status| ended.iter().filter(|job| job.status == status).count();
    let lost: u64 = ended.iter().map(|job| items.abs_diff(job.succeeded)).sum();
    let attempts: u32 = ended.iter().map(|job| job.attempt).sum();
    Finding::new(
        of(Status::Completed) == JOBS && lost == 0 && longest <= LIVE_WITHIN,
        format_args!(
            "{} of {JOBS} jobs complete, {} failed, {lost} counts differ, {attempts} attempts, \
             live again after {longest:.1?} at the latest",
            of(Status::Completed),
            of(Status::Failed)
        ),
        format_args!("all, 0, 0, {LIVE_WITHIN:?}, with {restarts} restarts of {WORKERS} workers"),
    )
}

/// Measures how long jobs wait between two attempts.
struct Pauses {
    is_over: Arc<AtomicBool>,
    watching: JoinHandle<Duration>,
}

impl Pauses {
    fn watch(
        runtime: &tokio::runtime::Handle,
        store: &Arc<dyn ProgressStore>,
        ids: &[ProgressId],
    ) -> Self {
        let (store, ids) = (Arc::clone(store), ids.to_vec());
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let watching = runtime.spawn(async move {
            let (mut since, mut longest) = (HashMap::new(), Duration::ZERO);
            while !over.load(Ordering::Relaxed) {
                let now = Instant::now();
                for job in store.get_many(&ids).await.unwrap().into_iter().flatten() {
                    if job.is_retrying() {
                        let begun = since.entry(job.id).or_insert(now);
                        longest = longest.max(begun.elapsed());
                    } else {
                        since.remove(&job.id);
                    }
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            longest
        });
        Self { is_over, watching }
    }

    async fn longest(self) -> Duration {
        self.is_over.store(true, Ordering::Relaxed);
        self.watching.await.unwrap()
    }
}

/// The worker process: takes pending jobs until all have ended, and ends on SIGTERM by returning.
pub(crate) async fn serve_queue(url: &str, ids: &str) {
    let ids: Vec<ProgressId> = ids.split(',').map(|id| id.parse().unwrap()).collect();
    let mut terminate = signal(SignalKind::terminate()).unwrap();
    let jobs = Jobs::new(open(url).await);
    tokio::spawn(jobs.janitor().run());
    say("ready");
    let mut running: HashMap<ProgressId, JoinHandle<()>> = HashMap::new();
    loop {
        running.retain(|_, task| !task.is_finished());
        let records = jobs.store().get_many(&ids).await.unwrap();
        let records: Vec<Progress> = records.into_iter().flatten().collect();
        if records.iter().all(|job| job.status.is_finished()) {
            return;
        }
        for job in records.iter().filter(|job| job.status == Status::Pending) {
            // A third of the jobs each, so that all workers have some.
            if running.len() < JOBS.div_ceil(WORKERS) + 5 {
                let has_attempts = job.max_attempts.is_some();
                let work = || tokio::spawn(work(jobs.clone(), job.id, has_attempts));
                running.entry(job.id).or_insert_with(work);
            }
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(50)) => {}
            _ = terminate.recv() => return,
        }
    }
}

async fn work(jobs: Jobs, id: ProgressId, has_attempts: bool) {
    let run = jobs.run(id, async move |tracker| {
        let total = tracker.total().unwrap_or(0);
        for item in tracker.cursor()?.unwrap_or(0)..total {
            tokio::time::sleep(ITEM).await;
            tracker.inc(1);
            // The control has no attempts, and nothing to continue.
            if has_attempts {
                tracker.save(&(item + 1))?;
            }
        }
        Ok(())
    });
    // Another worker may have been faster.
    drop(run.await);
}
