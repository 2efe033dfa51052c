use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use super::tracked_job::{FollowUp, Step, TrackedJob, back_off};
use super::{FlushLoop, RunsOn};
use crate::tracker::Outcome;
use crate::{Progress, ProgressError, ProgressId, ProgressStore, ProgressUpdate, metering};

/// Maximum number of updates in one call: enough to share a transaction, few enough that an ending
/// in the next call does not wait long.
const MAX_BATCH: usize = 128;

/// Maximum time of one store call. It applies to stores without a shorter deadline of their own.
const CALL_DEADLINE: Duration = Duration::from_secs(10);

/// The pause between two attempts while a runtime waits to shut down.
const SHUTDOWN_RETRY_DELAY: Duration = Duration::from_millis(100);

/// How long the loop keeps running after its last job. The next job can use it, and tasks that a
/// store has spawned on this runtime can finish.
const IDLE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long jobs may run without a sweep of a janitor in this process before a warning is logged.
const JANITOR_WARNING_DELAY: Duration = Duration::from_secs(60);

/// The running flush loop.
pub(super) struct Driver {
    flush: Arc<FlushLoop>,
    /// Boxed, because a map keeps up to as many free places as it has entries.
    jobs: HashMap<u64, Box<TrackedJob>>,
    /// When to check each job again. An entry that differs from its job's `due` is out of date.
    due: BinaryHeap<Reverse<(Instant, u64)>>,
    /// Jobs to check before all others.
    urgent: VecDeque<u64>,
    batch: usize,
    outage: Option<Outage>,
    has_ended: bool,
}

/// The state while the store answers no call at all. Errors of single jobs are not an outage.
struct Outage {
    failures: u32,
    /// When the last call failed. The store is called again after `pause`.
    since: Instant,
    pause: Duration,
}

/// The keys of jobs, and the updates that they send to the store.
type Batch = (Vec<u64>, Vec<(ProgressId, ProgressUpdate)>);

/// One outcome for each update of a batch.
type Outcomes = Vec<Result<Progress, ProgressError>>;

impl Drop for Driver {
    /// Closes the jobs if the loop is dropped early, by a panic in a foreign destructor or with the
    /// runtime of a test. Without this, callers would wait forever.
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        let mut queue = self.flush.queue();
        queue.is_running = false;
        let new_jobs = std::mem::take(&mut queue.new_jobs);
        drop(queue);
        let jobs = self.jobs.drain().map(|(_, job)| job);
        jobs.chain(new_jobs).for_each(|job| job.close(Outcome::StoreFailed));
    }
}

impl Driver {
    pub(super) fn new(flush: Arc<FlushLoop>) -> Self {
        Self {
            flush,
            jobs: HashMap::new(),
            due: BinaryHeap::new(),
            urgent: VecDeque::new(),
            batch: MAX_BATCH,
            outage: None,
            has_ended: false,
        }
    }

    /// Starts the loop on its own thread, or as a task of a test.
    pub(super) fn start(self) {
        match self.flush.runs_on {
            RunsOn::Thread => {
                let thread = std::thread::Builder::new().name("progress-flush".to_owned());
                if let Err(error) = thread.spawn(move || self.run_on_this_thread()) {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "the flush thread could not be started; \
                         progress of the new jobs is not written"
                    );
                }
            }
            #[cfg(any(test, feature = "testing"))]
            RunsOn::Task => drop(tokio::spawn(self.run())),
        }
    }

    fn run_on_this_thread(self) {
        match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime.block_on(self.run()),
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "the runtime of the flush thread could not be created; \
                 progress of the new jobs is not written"
            ),
        }
    }

    async fn run(mut self) {
        let mut idle_until = None;
        while self.accept_new(idle_until) {
            self.warn_without_janitor();
            let retry_at = self.retry_at();
            if retry_at.is_none_or(|at| at <= Instant::now()) {
                let (keys, updates) = self.collect();
                if !updates.is_empty() {
                    let outcomes = self.call(updates).await;
                    self.handle(&keys, outcomes);
                    continue;
                }
            }
            idle_until = self
                .jobs
                .is_empty()
                .then(|| idle_until.unwrap_or_else(|| Instant::now() + IDLE_TIMEOUT));
            let wake_at = idle_until.or_else(|| retry_at.max(self.next_due()));
            tokio::select! {
                () = sleep_until(wake_at.unwrap_or_else(|| Instant::now() + IDLE_TIMEOUT)) => {}
                () = self.flush.wake.notified() => {}
            }
        }
    }

    /// Accepts new jobs and urgent keys. Returns false if there was no job until `idle_until`.
    fn accept_new(&mut self, idle_until: Option<Instant>) -> bool {
        let mut queue = self.flush.queue();
        for job in queue.new_jobs.drain(..) {
            self.jobs.insert(job.reports().key, job);
        }
        self.urgent.extend(queue.urgent.drain(..));
        if self.jobs.is_empty() && idle_until.is_some_and(|until| until <= Instant::now()) {
            // Under the lock, so that no job joins a loop that has just decided to end.
            queue.is_running = false;
            self.has_ended = true;
        }
        !self.has_ended
    }

    /// When to call the store again in an outage; sooner if a runtime waits to shut down.
    fn retry_at(&mut self) -> Option<Instant> {
        let is_shutting_down = self.flush.waiting_shutdowns.load(Ordering::Relaxed) > 0;
        if is_shutting_down {
            self.retry_all();
        }
        let outage = self.outage.as_ref()?;
        let pause = outage.pause;
        Some(outage.since + if is_shutting_down { pause.min(SHUTDOWN_RETRY_DELAY) } else { pause })
    }

    /// Ends the pause of every job whose last update failed.
    fn retry_all(&mut self) {
        let now = Instant::now();
        for (key, job) in self.jobs.iter_mut().filter(|(_, job)| job.is_failing()) {
            if job.due > now {
                job.due = now;
                self.due.push(Reverse((now, *key)));
            }
        }
    }

    fn next_due(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse((at, _))| *at)
    }

    /// Collects the next batch: urgent jobs first, then jobs that are due.
    fn collect(&mut self) -> Batch {
        let now = Instant::now();
        let mut batch = (Vec::new(), Vec::new());
        while batch.0.len() < self.batch {
            let Some(key) = self.urgent.pop_front() else { break };
            self.prepare(key, now, &mut batch);
        }
        while batch.0.len() < self.batch {
            let Some(Reverse((at, key))) = self.due.peek().copied() else { break };
            if at > now {
                break;
            }
            self.due.pop();
            if self.jobs.get(&key).is_some_and(|job| job.due == at) {
                self.prepare(key, now, &mut batch);
            }
        }
        batch
    }

    fn prepare(&mut self, key: u64, now: Instant, (keys, updates): &mut Batch) {
        // A job that comes up twice is already in the batch.
        let Some(job) = self.jobs.get_mut(&key).filter(|_| !keys.contains(&key)) else { return };
        match job.step(now) {
            Step::Send(update) => {
                keys.push(key);
                updates.push((job.reports().id, *update));
            }
            Step::Wait => self.due.push(Reverse((job.due, key))),
            Step::Discard => drop(self.jobs.remove(&key)),
        }
    }

    /// Calls the store and returns one outcome for each update. If the store takes too long or
    /// panics, all updates have failed.
    async fn call(&self, updates: Vec<(ProgressId, ProgressUpdate)>) -> Outcomes {
        let (store, count) = (self.flush.store.clone(), updates.len());
        let begun = Instant::now();
        let call =
            tokio::spawn(async move { timeout(CALL_DEADLINE, store.update_many(&updates)).await });
        let all = |error: fn(&'static str) -> ProgressError, text: &'static str| {
            (0..count).map(|_| Err(error(text))).collect()
        };
        let returned = call.await;
        metering::flushed(begun.elapsed());
        match returned {
            Ok(Ok(mut outcomes)) => {
                let missing = count.saturating_sub(outcomes.len());
                let missing_outcome =
                    || ProgressError::unavailable("the store returned too few outcomes");
                outcomes.extend((0..missing).map(|_| Err(missing_outcome())));
                outcomes
            }
            Ok(Err(_)) => {
                metering::store_failed("update_many");
                all(ProgressError::unavailable, "a call of the store took more than 10 s")
            }
            Err(_) => {
                metering::store_failed("update_many");
                all(ProgressError::store, "the store panicked")
            }
        }
    }

    fn handle(&mut self, keys: &[u64], outcomes: Outcomes) {
        let all_failed = outcomes.iter().all(|outcome| !was_processed(outcome));
        if all_failed {
            // A smaller batch may meet the deadline, and shows which update the store cannot write.
            self.batch = (self.batch.min(keys.len()) / 2).max(1);
            self.note_failure(&outcomes);
        } else {
            self.batch = (self.batch * 2).min(MAX_BATCH);
            self.note_response();
        }
        // The error is the job's own if others were answered, or if there were no others.
        let is_own = keys.len() == 1 || !all_failed;
        for (&key, outcome) in keys.iter().zip(outcomes) {
            let Some(job) = self.jobs.get_mut(&key) else { continue };
            match job.handle(outcome, is_own) {
                FollowUp::Wait => self.due.push(Reverse((job.due, key))),
                FollowUp::SendNow => self.urgent.push_back(key),
                FollowUp::Close(outcome) => {
                    if let Some(job) = self.jobs.remove(&key) {
                        job.close(outcome);
                    }
                }
            }
        }
    }

    /// Records a failed call. An outage is logged when it begins and when it ends, not once per job
    /// and attempt.
    fn note_failure(&mut self, outcomes: &Outcomes) {
        let failures = self.outage.as_ref().map_or(0, |outage| outage.failures).saturating_add(1);
        if failures == 1
            && let Some(Err(error)) = outcomes.first()
        {
            tracing::warn!(
                error = error as &dyn std::error::Error,
                "writing progress failed, counts are kept, will retry"
            );
        }
        let longest = self.jobs.values().map(|job| job.max_retry_delay()).min().unwrap_or_default();
        let pause = back_off(failures).min(longest);
        self.outage = Some(Outage { failures, since: Instant::now(), pause });
    }

    fn note_response(&mut self) {
        if self.outage.take().is_some() {
            self.retry_all();
            tracing::info!("writing progress recovered");
        }
    }

    /// Warns once if jobs run in this process and no janitor sweeps.
    fn warn_without_janitor(&self) {
        let is_missing = self.flush.last_sweep().elapsed() > JANITOR_WARNING_DELAY;
        if is_missing && !self.flush.has_warned_of_no_janitor.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "no janitor has swept in this process for a minute; without one, jobs of a dead \
                 worker stay running: spawn `jobs.janitor().run()`"
            );
        }
    }
}

/// Whether the store has processed the update, with any result.
fn was_processed(outcome: &Result<Progress, ProgressError>) -> bool {
    match outcome {
        Ok(_) => true,
        Err(error) => matches!(
            error,
            ProgressError::AlreadyExists(_)
                | ProgressError::NotFound(_)
                | ProgressError::Refused { .. }
                | ProgressError::Invalid(_)
        ),
    }
}
