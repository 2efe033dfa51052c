//! Delays the shutdown of a runtime until the reports of its jobs are written.
//!
//! A runtime that shuts down drops its tasks, and the process often exits soon after that.
//! Therefore a small task in each runtime that runs jobs waits for their end. If this task is
//! dropped earlier, the runtime is shutting down. The task then ends the jobs like dropped trackers
//! and waits for the flush thread, 2 s at most. Blocking is right here, because it blocks only a
//! shutdown.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::{Handle, Id};
use tokio::sync::Notify;

use super::FlushLoop;
use crate::tracker::Reports;

/// How long the shutdown of a runtime is delayed at most.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// The guards of the runtimes in use.
#[derive(Debug, Default)]
pub(super) struct RuntimeGuards(Mutex<Vec<(Id, Arc<RuntimeGuard>)>>);

/// One runtime's jobs whose final updates are not written yet.
#[derive(Debug)]
pub(crate) struct RuntimeGuard {
    jobs: Mutex<OpenJobs>,
    /// Wakes the guard's task, and a shutdown that waits.
    all_closed: (Notify, Condvar),
    flush: Weak<FlushLoop>,
}

#[derive(Debug, Default)]
struct OpenJobs {
    reports: HashMap<u64, Arc<Reports>>,
    /// Set when the guard's task has ended. A job that starts later needs another guard.
    is_over: bool,
}

/// A job's registration with its runtime's guard; dropped when the job is closed.
#[derive(Debug)]
pub(crate) struct GuardRegistration {
    guard: Arc<RuntimeGuard>,
    key: u64,
}

impl Drop for GuardRegistration {
    fn drop(&mut self) {
        let mut jobs = self.guard.jobs();
        jobs.reports.remove(&self.key);
        if jobs.reports.is_empty() {
            self.guard.all_closed.0.notify_one();
            self.guard.all_closed.1.notify_all();
        }
    }
}

impl RuntimeGuards {
    /// Adds a job to the guard of the current runtime; returns `None` outside of a runtime. The
    /// caller [starts](NewGuard::start) a new guard once the flush loop has the job.
    pub(super) fn register(
        &self,
        flush: &Arc<FlushLoop>,
        reports: &Arc<Reports>,
    ) -> Option<(GuardRegistration, Option<NewGuard>)> {
        let runtime = Handle::try_current().ok()?;
        let (guard, is_new) = {
            let mut guards = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            guards.retain(|(_, guard)| !guard.jobs().is_over);
            let known = guards.iter().find(|(id, _)| *id == runtime.id());
            // A guard that has ended since the line above does not accept the job.
            match known.filter(|(_, guard)| guard.add(reports)) {
                Some((_, guard)) => (Arc::clone(guard), false),
                None => {
                    let guard = Arc::new(RuntimeGuard {
                        jobs: Mutex::default(),
                        all_closed: (Notify::new(), Condvar::new()),
                        flush: Arc::downgrade(flush),
                    });
                    guard.add(reports);
                    guards.push((runtime.id(), Arc::clone(&guard)));
                    (guard, true)
                }
            }
        };
        let new = is_new.then(|| NewGuard { runtime, guard: Arc::clone(&guard) });
        Some((GuardRegistration { guard, key: reports.key }, new))
    }
}

/// A guard whose task does not run yet.
#[must_use]
pub(super) struct NewGuard {
    runtime: Handle,
    guard: Arc<RuntimeGuard>,
}

impl NewGuard {
    /// Spawns the guard's task. On a runtime that is shutting down, this waits until the jobs are
    /// written, so the flush loop must already have them.
    pub(super) fn start(self) {
        self.runtime.spawn(OnShutdown(self.guard).wait_for_jobs());
    }
}

impl RuntimeGuard {
    fn jobs(&self) -> MutexGuard<'_, OpenJobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a job. Returns false if the guard's task has ended.
    fn add(&self, reports: &Arc<Reports>) -> bool {
        let mut jobs = self.jobs();
        if !jobs.is_over {
            jobs.reports.insert(reports.key, Arc::clone(reports));
        }
        !jobs.is_over
    }
}

/// Dropped with the guard's task, because all jobs are closed or the runtime shuts down.
struct OnShutdown(Arc<RuntimeGuard>);

impl OnShutdown {
    async fn wait_for_jobs(self) {
        loop {
            self.0.all_closed.0.notified().await;
            let mut jobs = self.0.jobs();
            if jobs.reports.is_empty() {
                jobs.is_over = true;
                return;
            }
        }
    }
}

impl Drop for OnShutdown {
    fn drop(&mut self) {
        let open: Vec<_> = {
            let mut jobs = self.0.jobs();
            if std::mem::replace(&mut jobs.is_over, true) {
                return;
            }
            jobs.reports.values().map(Arc::clone).collect()
        };
        let Some(flush) = self.0.flush.upgrade() else { return };
        open.iter().for_each(|reports| reports.shut_down());
        drop(open);
        flush.waiting_shutdowns.fetch_add(1, Ordering::Relaxed);
        flush.wake.notify_one();
        let (jobs, waited) = self
            .0
            .all_closed
            .1
            .wait_timeout_while(self.0.jobs(), SHUTDOWN_TIMEOUT, |jobs| !jobs.reports.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        flush.waiting_shutdowns.fetch_sub(1, Ordering::Relaxed);
        if waited.timed_out() {
            tracing::warn!(
                jobs = jobs.reports.len(),
                "the runtime shut down before the last progress was written"
            );
        }
    }
}
