use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::{ProgressError, ProgressStore};

/// Records deleted in one call, so that no transaction of the janitor's lasts.
const CHUNK: u32 = 500;

/// A background task that fails the jobs of dead workers and deletes old records.
///
/// Run one in every process that serves or works; any number may run at once, on the same store.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use progress_core::{Janitor, MemoryStore};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let janitor = Janitor::new(Arc::new(MemoryStore::new())).with_retention(Duration::from_secs(7 * 86_400));
/// let sweep = janitor.sweep().await?;
/// assert_eq!((sweep.failed, sweep.deleted), (0, 0));
/// let task = tokio::spawn(janitor.run());
/// task.abort();
/// # Ok::<(), progress_core::ProgressError>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct Janitor {
    store: Arc<dyn ProgressStore>,
    lease: Duration,
    retention: Duration,
    sweep_interval: Duration,
}

/// What one sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sweep {
    /// Jobs failed because their worker was lost.
    pub failed: u64,
    /// Records deleted because they ended long ago.
    pub deleted: u64,
}

impl Janitor {
    /// Fails a running job after 45 s of silence, looks every 10 s (so a dead worker's job is failed within 60 s, the
    /// time of a sweep included), and keeps finished records for 30 days.
    #[must_use]
    pub fn new(store: Arc<dyn ProgressStore>) -> Self {
        Self {
            store,
            lease: Duration::from_secs(45),
            retention: Duration::from_secs(30 * 86_400),
            sweep_interval: Duration::from_secs(10),
        }
    }

    /// After how long a silence a worker is lost. Several heartbeats and the outages that the store is known for should
    /// fit into it.
    #[must_use]
    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// How long finished records are kept; never less than this, by the store's clock. One that is a month ahead has waited
    /// for a month.
    #[must_use]
    pub fn with_retention(mut self, retention: Duration) -> Self {
        self.retention = retention;
        self
    }

    /// How often to look; at least every millisecond.
    #[must_use]
    pub fn with_sweep_interval(mut self, interval: Duration) -> Self {
        self.sweep_interval = interval.max(Duration::from_millis(1));
        self
    }

    /// Looks once.
    ///
    /// # Errors
    ///
    /// Those of the store; what was done before stays done.
    pub async fn sweep(&self) -> Result<Sweep, ProgressError> {
        let failed = self.store.fail_stale(self.lease).await?;
        let mut deleted = 0;
        loop {
            let chunk = self.store.delete_finished(self.retention, CHUNK).await?;
            deleted += chunk;
            if chunk < u64::from(CHUNK) {
                return Ok(Sweep { failed, deleted });
            }
        }
    }

    /// Looks for ever, from now on; a store that is away is asked again at the next turn. Spawn it, and abort the task to
    /// end it.
    pub async fn run(self) {
        let mut turns = interval(self.sweep_interval);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_failing = false;
        loop {
            turns.tick().await;
            match self.sweep().await {
                Ok(sweep) => {
                    if is_failing {
                        tracing::info!("old progress is looked after again");
                    }
                    is_failing = false;
                    if sweep.failed > 0 {
                        tracing::warn!(
                            jobs = sweep.failed,
                            "workers were lost, their jobs are failed"
                        );
                    }
                    if sweep.deleted > 0 {
                        tracing::info!(records = sweep.deleted, "old progress deleted");
                    }
                }
                Err(error) => {
                    if !is_failing {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "old progress cannot be looked after, it is tried again"
                        );
                    }
                    is_failing = true;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemoryStore, NewProgress, ProgressUpdate, Status, WORKER_LOST};

    #[tokio::test(start_paused = true)]
    async fn a_silent_worker_is_lost_within_a_minute_and_not_before_its_lease() {
        let store: Arc<dyn ProgressStore> = Arc::new(MemoryStore::new());
        let job = store.create(&NewProgress::new("test")).await.unwrap();
        store.update(job.id, &ProgressUpdate::start()).await.unwrap();
        let task = tokio::spawn(Janitor::new(Arc::clone(&store)).run());

        tokio::time::sleep(Duration::from_secs(45)).await;
        assert_eq!(store.get(job.id).await.unwrap().unwrap().status, Status::Running);
        tokio::time::sleep(Duration::from_secs(15)).await;
        let lost = store.get(job.id).await.unwrap().unwrap();
        assert_eq!((lost.status, lost.error.as_deref()), (Status::Failed, Some(WORKER_LOST)));

        tokio::time::sleep(Duration::from_secs(30 * 86_400 - 60)).await;
        assert!(store.get(job.id).await.unwrap().is_some(), "never deleted earlier than asked");
        tokio::time::sleep(Duration::from_secs(120)).await;
        assert_eq!(store.get(job.id).await.unwrap(), None);
        task.abort();
    }
}
