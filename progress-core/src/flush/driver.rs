use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use super::tracked_job::{Answer, Step, TrackedJob, back_off};
use super::{FlushLoop, RunsOn};
use crate::tracker::Outcome;
use crate::{Progress, ProgressError, ProgressId, ProgressStore, ProgressUpdate};

/// Updates handed to the store in one call: enough to share a transaction, few enough that an ending
/// in the next call does not wait long.
const BATCH: usize = 128;

/// How long a store may take for one call. Stores have deadlines of their own, which are shorter; this
/// one is for those that have not.
const CALL_DEADLINE: Duration = Duration::from_secs(10);

/// The pause between two attempts while a runtime waits to shut down.
const HURRIED_PAUSE: Duration = Duration::from_millis(100);

/// How long the loop stays when its last job has ended: the next job finds it running, and what a
/// store has spawned on this runtime can end.
const LINGER: Duration = Duration::from_secs(1);

/// For how long jobs may run in a process in which no janitor sweeps.
const JANITOR_PATIENCE: Duration = Duration::from_secs(60);

/// The loop itself.
pub(super) struct Driver {
    flush: Arc<FlushLoop>,
    jobs: HashMap<u64, TrackedJob>,
    /// When to look at each job again. Entries that do not agree with their job are out of date.
    due: BinaryHeap<Reverse<(Instant, u64)>>,
    /// Jobs to look at before all others.
    urgent: VecDeque<u64>,
    batch: usize,
    outage: Option<Outage>,
    has_ended: bool,
}

/// The store answers no call at all. What it says of single jobs is those jobs' own trouble.
struct Outage {
    failures: u32,
    /// When the last call failed, and how long after that the store is asked again.
    since: Instant,
    pause: Duration,
}

/// Updates on their way to the store, and which jobs sent them.
type Batch = (Vec<u64>, Vec<(ProgressId, ProgressUpdate)>);

/// What became of each.
type Outcomes = Vec<Result<Progress, ProgressError>>;

impl Drop for Driver {
    /// Dropped before its time by the panic of a foreign destructor, or with the runtime of a test:
    /// the jobs are closed, so that no caller waits for an answer that will not come.
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        let mut queue = self.flush.queue();
        queue.is_running = false;
        let arrivals = std::mem::take(&mut queue.arrivals);
        drop(queue);
        let jobs = self.jobs.drain().map(|(_, job)| job);
        jobs.chain(arrivals).for_each(|job| job.close(Outcome::Broken));
    }
}

impl Driver {
    pub(super) fn new(flush: Arc<FlushLoop>) -> Self {
        Self {
            flush,
            jobs: HashMap::new(),
            due: BinaryHeap::new(),
            urgent: VecDeque::new(),
            batch: BATCH,
            outage: None,
            has_ended: false,
        }
    }

    /// Runs the loop where it belongs.
    pub(super) fn start(self) {
        match self.flush.runs_on {
            RunsOn::Thread => {
                let thread = std::thread::Builder::new().name("progress-flush".to_owned());
                if let Err(error) = thread.spawn(move || self.run_on_this_thread()) {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "the thread that writes progress could not be started; \
                         the jobs that have just started are not reported"
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
                "the runtime that writes progress could not be made; \
                 the jobs that have just started are not reported"
            ),
        }
    }

    async fn run(mut self) {
        let mut linger_until = None;
        while self.accept_new(linger_until) {
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
            linger_until = self
                .jobs
                .is_empty()
                .then(|| linger_until.unwrap_or_else(|| Instant::now() + LINGER));
            let wake_at = linger_until.or_else(|| retry_at.max(self.next_due()));
            tokio::select! {
                () = sleep_until(wake_at.unwrap_or_else(|| Instant::now() + LINGER)) => {}
                () = self.flush.wake.notified() => {}
            }
        }
    }

    /// Takes in new jobs and what is urgent; false when there has been no job for long enough.
    fn accept_new(&mut self, linger_until: Option<Instant>) -> bool {
        let mut queue = self.flush.queue();
        for job in queue.arrivals.drain(..) {
            self.jobs.insert(job.reports().key, job);
        }
        self.urgent.extend(queue.urgent.drain(..));
        if self.jobs.is_empty() && linger_until.is_some_and(|until| until <= Instant::now()) {
            // Both under the lock, so that no job joins a loop that has just decided to end.
            queue.is_running = false;
            self.has_ended = true;
        }
        !self.has_ended
    }

    /// When to ask a store again that answers no call. Sooner when a runtime waits to shut down.
    fn retry_at(&mut self) -> Option<Instant> {
        let is_hurried = self.flush.hurrying.load(Ordering::Relaxed) > 0;
        if is_hurried {
            self.retry_all();
        }
        let outage = self.outage.as_ref()?;
        let pause = outage.pause;
        Some(outage.since + if is_hurried { pause.min(HURRIED_PAUSE) } else { pause })
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

    /// What to send next: first what is urgent, then what is due.
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
        // One that is looked at twice in a row is in the batch already.
        let Some(job) = self.jobs.get_mut(&key).filter(|_| !keys.contains(&key)) else { return };
        match job.step(now) {
            Step::Send(update) => {
                keys.push(key);
                updates.push((job.reports().id, update));
            }
            Step::Wait => self.due.push(Reverse((job.due, key))),
            Step::Gone => drop(self.jobs.remove(&key)),
        }
    }

    /// One outcome for each update, whatever the store does: one that takes too long, or panics, has
    /// failed for all of them.
    async fn call(&self, updates: Vec<(ProgressId, ProgressUpdate)>) -> Outcomes {
        let (store, count) = (self.flush.store.clone(), updates.len());
        let call =
            tokio::spawn(async move { timeout(CALL_DEADLINE, store.update_many(&updates)).await });
        let all = |error: fn(&'static str) -> ProgressError, text: &'static str| {
            (0..count).map(|_| Err(error(text))).collect()
        };
        match call.await {
            Ok(Ok(mut outcomes)) => {
                let missing = count.saturating_sub(outcomes.len());
                let unanswered = || ProgressError::unavailable("the store gave too few outcomes");
                outcomes.extend((0..missing).map(|_| Err(unanswered())));
                outcomes
            }
            Ok(Err(_)) => {
                all(ProgressError::unavailable, "the store took more than 10 s for a call")
            }
            Err(_) => all(ProgressError::store, "the store panicked"),
        }
    }

    fn handle(&mut self, keys: &[u64], outcomes: Outcomes) {
        let has_no_answer = outcomes.iter().all(|outcome| !is_answer(outcome));
        if has_no_answer {
            // Fewer at once may be in time, and tell which of them the store cannot take.
            self.batch = (self.batch.min(keys.len()) / 2).max(1);
            self.note_failure(&outcomes);
        } else {
            self.batch = (self.batch * 2).min(BATCH);
            self.note_answer();
        }
        // Where others were answered, or there are no others, an error is the job's own.
        let is_own = keys.len() == 1 || !has_no_answer;
        for (&key, outcome) in keys.iter().zip(outcomes) {
            let Some(job) = self.jobs.get_mut(&key) else { continue };
            match job.handle(outcome, is_own) {
                Answer::Continue => self.due.push(Reverse((job.due, key))),
                Answer::Urgent => self.urgent.push_back(key),
                Answer::Close(outcome) => {
                    if let Some(job) = self.jobs.remove(&key) {
                        job.close(outcome);
                    }
                }
            }
        }
    }

    /// Said once when it begins and once when it ends, not once per job and attempt.
    fn note_failure(&mut self, outcomes: &Outcomes) {
        let failures = self.outage.as_ref().map_or(0, |outage| outage.failures).saturating_add(1);
        if failures == 1
            && let Some(Err(error)) = outcomes.first()
        {
            tracing::warn!(
                error = error as &dyn std::error::Error,
                "progress cannot be written; counts are kept and writing is retried"
            );
        }
        let longest = self.jobs.values().map(|job| job.longest_pause).min().unwrap_or_default();
        let pause = back_off(failures).min(longest);
        self.outage = Some(Outage { failures, since: Instant::now(), pause });
    }

    fn note_answer(&mut self) {
        if self.outage.take().is_some() {
            self.retry_all();
            tracing::info!("progress is written again");
        }
    }

    /// Says once that jobs run here and no janitor sweeps.
    fn warn_without_janitor(&self) {
        let is_missing = self.flush.last_sweep().elapsed() > JANITOR_PATIENCE;
        if is_missing && !self.flush.has_warned_of_no_janitor.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "no janitor has swept in this process for a minute: the jobs of a worker that dies \
                 stay running; spawn `jobs.janitor().run()`"
            );
        }
    }
}

/// Whether the store has looked at the update, whatever it made of it.
fn is_answer(outcome: &Result<Progress, ProgressError>) -> bool {
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
