//! The flush loop: one for all jobs of a [`Jobs`](crate::Jobs), however many this process runs.
//!
//! A loop per job would be simpler, but ten thousand jobs would need ten thousand timers and as
//! many separate writes. The loop has its own thread, so that no worker can block it. It starts
//! with the first job and ends after the last.

mod driver;
mod runtime_guard;
#[cfg(test)]
mod tests;
mod tracked_job;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use self::driver::Driver;
use self::runtime_guard::RuntimeGuards;
pub(crate) use self::tracked_job::{StartResult, TrackedJob};
use crate::endings::Observer;
use crate::{CachedStore, Progress, ProgressUpdate};

/// Where the loop runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunsOn {
    /// Its own thread, which no worker can block.
    Thread,
    /// A task of the current runtime, which follows a test's paused time.
    #[cfg(any(test, feature = "testing"))]
    Task,
}

#[derive(Debug)]
pub(crate) struct FlushLoop {
    store: CachedStore,
    runs_on: RunsOn,
    queue: Mutex<Queue>,
    wake: Notify,
    keys: AtomicU64,
    guards: RuntimeGuards,
    /// How many runtimes delay their shutdown until their jobs are written.
    waiting_shutdowns: AtomicUsize,
    /// When a janitor of this process last swept; before the first sweep, when the loop was
    /// created.
    last_sweep: Mutex<Instant>,
    has_warned_of_no_janitor: AtomicBool,
    observer: Observer,
    begun: Instant,
}

#[derive(Debug, Default)]
struct Queue {
    #[allow(clippy::vec_box, reason = "the loop keeps them boxed, in a map")]
    new_jobs: Vec<Box<TrackedJob>>,
    /// Jobs with an update that should not wait: a start or an ending.
    urgent: Vec<u64>,
    is_running: bool,
}

impl FlushLoop {
    pub(crate) fn new(store: CachedStore, runs_on: RunsOn) -> Self {
        Self {
            store,
            runs_on,
            queue: Mutex::default(),
            wake: Notify::new(),
            keys: AtomicU64::new(0),
            guards: RuntimeGuards::default(),
            waiting_shutdowns: AtomicUsize::new(0),
            last_sweep: Mutex::new(Instant::now()),
            has_warned_of_no_janitor: AtomicBool::new(false),
            observer: Observer::default(),
            begun: Instant::now(),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Every change below is complete before anything can panic.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a new key for a tracked job.
    pub(crate) fn next_key(&self) -> u64 {
        self.keys.fetch_add(1, Ordering::Relaxed)
    }

    /// Returns the time since the loop was created, in milliseconds, which wrap around after 49
    /// days.
    pub(crate) fn millis(&self) -> u32 {
        let wrapped = self.begun.elapsed().as_millis() & u128::from(u32::MAX);
        u32::try_from(wrapped).unwrap_or_default()
    }

    /// Makes the loop check this job before all others.
    pub(crate) fn prioritize(&self, key: u64) {
        self.queue().urgent.push(key);
        self.wake.notify_one();
    }

    /// Adds a job that is about to start, and starts the loop if it is not running.
    ///
    /// Nothing is spawned under a lock, because a runtime that shuts down drops a spawned task at
    /// once, and the destructor of that task may call the loop again.
    pub(crate) fn add_job(self: &Arc<Self>, mut job: TrackedJob) {
        let mut new_guard = None;
        if self.runs_on == RunsOn::Thread
            && let Some((registration, new)) = self.guards.register(self, job.reports())
        {
            job.guard = Some(registration);
            new_guard = new;
        }
        let must_start = {
            let mut queue = self.queue();
            queue.urgent.push(job.reports().key);
            queue.new_jobs.push(Box::new(job));
            !std::mem::replace(&mut queue.is_running, true)
        };
        if must_start {
            Driver::new(Arc::clone(self)).start();
        }
        self.wake.notify_one();
        if let Some(guard) = new_guard {
            guard.start();
        }
    }

    /// Returns what follows the jobs.
    pub(crate) const fn observer(&self) -> &Observer {
        &self.observer
    }

    /// Follows an update that the store has accepted: see [`Observer::accepted`].
    pub(crate) fn accepted(
        &self,
        update: &ProgressUpdate,
        progress: &Progress,
        is_repetition: bool,
    ) {
        self.observer.accepted(&self.store, update, progress, is_repetition);
    }

    /// Records that a janitor of this process has swept.
    pub(crate) fn note_sweep(&self) {
        *self.last_sweep.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn last_sweep(&self) -> Instant {
        *self.last_sweep.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
