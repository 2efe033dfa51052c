use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::{Instant, sleep, timeout};

use crate::flush::FlushLoop;
use crate::{
    CachedStore, Heartbeat, HeartbeatWatch, Progress, ProgressError, ProgressStore, ProgressUpdate,
};

/// Records deleted, and jobs failed, in one call, so that no transaction of the janitor's lasts.
const CHUNK: u32 = 500;

/// How long one call of a sweep may take. A store that does not answer is looked at again.
const CALL_DEADLINE: Duration = Duration::from_secs(5);

/// The pause after a sweep that failed: silence counts from the first that succeeds, so an outage
/// should not be followed by a long wait.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Sweeps further apart than this would find a lost worker late.
const LONGEST_SWEEP_INTERVAL: Duration = Duration::from_secs(15);

/// A background task that fails the jobs of lost workers and deletes old records.
///
/// Run one in every process that serves or works; any number may run at once, on the same store. A
/// janitor counts silence from its own first sweep, and only silence that a worker could have broken
/// (see [`HeartbeatWatch`]). So an outage of the store, a machine that was paused or a wrong clock
/// fails no living job. A dead worker's job is failed within 60 s, by default, of its death, of the
/// start of the janitor or of the end of an outage, whichever was last.
///
/// ```
/// use std::time::Duration;
/// use progress_core::{Jobs, MemoryStore};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let jobs = Jobs::new(MemoryStore::new());
/// let janitor = jobs.janitor().with_retention(Duration::from_secs(7 * 86_400));
/// let sweep = janitor.sweep().await?;
/// assert_eq!((sweep.failed, sweep.deleted), (0, 0));
/// let task = tokio::spawn(janitor.run());
/// task.abort();
/// # Ok::<(), progress_core::ProgressError>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Janitor {
    store: CachedStore,
    flush: Arc<FlushLoop>,
    watch: Mutex<HeartbeatWatch>,
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
    /// Sweeps every 5 s, and keeps finished records for 30 days.
    pub(crate) fn new(store: CachedStore, flush: Arc<FlushLoop>) -> Self {
        Self {
            store,
            flush,
            watch: Mutex::default(),
            retention: Duration::from_secs(30 * 86_400),
            sweep_interval: Duration::from_secs(5),
        }
    }

    /// How long finished records are kept, by the store's clock; 30 days unless set.
    #[must_use]
    pub fn with_retention(mut self, retention: Duration) -> Self {
        self.retention = retention;
        self
    }

    /// How often to sweep: from 1 ms to 15 s, 5 s unless set. A ninth of the shortest lease is a good
    /// choice.
    #[must_use]
    pub fn with_sweep_interval(mut self, interval: Duration) -> Self {
        self.sweep_interval = interval.clamp(Duration::from_millis(1), LONGEST_SWEEP_INTERVAL);
        self
    }

    /// Sweeps once. A worker is found lost by several sweeps in the course of its job's
    /// [lease](crate::NewProgress::with_lease), never by the first.
    ///
    /// # Errors
    ///
    /// Those of the store, and [`Unavailable`](ProgressError::Unavailable) when it does not answer
    /// within 5 s. What was done before stays done.
    pub async fn sweep(&self) -> Result<Sweep, ProgressError> {
        let swept = self.sweep_once().await;
        match &swept {
            Ok(_) => self.flush.note_sweep(),
            Err(_) => self.watch().interrupted(),
        }
        swept
    }

    async fn sweep_once(&self) -> Result<Sweep, ProgressError> {
        let failed = self.fail_lost().await?;
        let mut deleted = 0;
        loop {
            let chunk = within(self.store.delete_finished(self.retention, CHUNK)).await?;
            deleted += chunk;
            if chunk < u64::from(CHUNK) {
                return Ok(Sweep { failed, deleted });
            }
        }
    }

    async fn fail_lost(&self) -> Result<u64, ProgressError> {
        // Before the read: what is counted as silence has certainly passed.
        let now = Instant::now();
        let heartbeats = within(self.store.heartbeats()).await?;
        let silent = self.watch().look(&heartbeats, now);
        for (heartbeat, outcome) in self.write(&silent.unconfirmed, ProgressUpdate::probe).await {
            if outcome.is_ok() {
                self.watch().confirm(&heartbeat);
            }
        }
        let mut failed = 0;
        for (heartbeat, outcome) in self.write(&silent.lost, ProgressUpdate::lose).await {
            if let Ok(progress) = outcome {
                failed += 1;
                tracing::warn!(
                    progress = %heartbeat.id,
                    status = %progress.status,
                    "ended a job whose worker was lost"
                );
            }
        }
        Ok(failed)
    }

    /// Writes to records. What cannot be written now stays as it is, and is tried at the next sweep: a
    /// record that another session has locked must not keep the lost workers of others from being
    /// found.
    async fn write(
        &self,
        heartbeats: &[Heartbeat],
        update: fn(DateTime<Utc>) -> ProgressUpdate,
    ) -> Vec<(Heartbeat, Result<Progress, ProgressError>)> {
        let mut written = Vec::with_capacity(heartbeats.len());
        for chunk in heartbeats.chunks(CHUNK as usize) {
            let updates: Vec<_> =
                chunk.iter().map(|heartbeat| (heartbeat.id, update(heartbeat.at))).collect();
            let Ok(outcomes) = timeout(CALL_DEADLINE, self.store.update_many(&updates)).await
            else {
                tracing::debug!("the records of silent jobs could not be written in time");
                break;
            };
            for (heartbeat, outcome) in chunk.iter().zip(outcomes) {
                // A refusal is good news: the worker is alive, or another janitor was faster.
                if let Err(error) = &outcome
                    && !matches!(error, ProgressError::Refused { .. } | ProgressError::NotFound(_))
                {
                    tracing::debug!(
                        progress = %heartbeat.id,
                        error = error as &dyn std::error::Error,
                        "the record of a silent job could not be written"
                    );
                }
                written.push((*heartbeat, outcome));
            }
        }
        written
    }

    fn watch(&self) -> MutexGuard<'_, HeartbeatWatch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sweeps from now on until the future is dropped: spawn it, and abort the task to end it. While
    /// the store is away it tries every second.
    pub async fn run(self) {
        let mut is_failing = false;
        loop {
            let began = Instant::now();
            let pause = match self.sweep().await {
                Ok(sweep) => {
                    if is_failing {
                        tracing::info!("janitor recovered");
                    }
                    is_failing = false;
                    if sweep.deleted > 0 {
                        tracing::info!(records = sweep.deleted, "old progress deleted");
                    }
                    self.sweep_interval
                }
                Err(error) => {
                    if !is_failing {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "janitor sweep failed, will retry"
                        );
                    }
                    is_failing = true;
                    self.sweep_interval.min(RETRY_PAUSE)
                }
            };
            sleep(pause.saturating_sub(began.elapsed())).await;
        }
    }
}

/// The outcome of a store's call, or that it took too long.
async fn within<T>(
    call: impl Future<Output = Result<T, ProgressError>>,
) -> Result<T, ProgressError> {
    timeout(CALL_DEADLINE, call).await.unwrap_or_else(|late| Err(ProgressError::unavailable(late)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, Fault, FaultyStore};
    use crate::{Jobs, MemoryStore, NewProgress, ProgressId, Status, WORKER_LOST};

    struct Scene {
        jobs: Jobs,
        faulty: Arc<FaultyStore>,
        memory: Arc<MemoryStore>,
    }

    impl Scene {
        fn new() -> Self {
            let memory = Arc::new(MemoryStore::new());
            let faulty = Arc::new(FaultyStore::new(memory.clone()));
            Self { jobs: testing::jobs(faulty.clone()), faulty, memory }
        }

        async fn running(&self, job: NewProgress) -> ProgressId {
            let id = self.memory.create(&job).await.unwrap().id;
            self.memory.update(id, &ProgressUpdate::start()).await.unwrap();
            id
        }

        async fn read(&self, id: ProgressId) -> Progress {
            self.memory.get(id).await.unwrap().unwrap()
        }

        /// How long it takes from now until the job is no longer running.
        async fn lost_after(&self, id: ProgressId) -> Duration {
            let began = Instant::now();
            while self.read(id).await.status == Status::Running {
                sleep(Duration::from_millis(500)).await;
            }
            began.elapsed()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_worker_is_lost_within_a_minute_and_not_before_its_lease() {
        let scene = Scene::new();
        let id = scene.running(NewProgress::new("test")).await;
        let task = tokio::spawn(scene.jobs.janitor().run());
        let lost_after = scene.lost_after(id).await;
        assert!((45..60).contains(&lost_after.as_secs()), "{lost_after:?}");
        let lost = scene.read(id).await;
        assert_eq!((lost.status, lost.error.as_deref()), (Status::Failed, Some(WORKER_LOST)));

        sleep(Duration::from_secs(30 * 86_400 - 60)).await;
        assert!(scene.memory.get(id).await.unwrap().is_some(), "not deleted earlier than asked");
        sleep(Duration::from_secs(120)).await;
        assert_eq!(scene.memory.get(id).await.unwrap(), None);
        task.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn the_lease_is_the_jobs_own() {
        let scene = Scene::new();
        let job = NewProgress::new("test").with_lease(Duration::from_secs(600));
        let id = scene.running(job).await;
        let _task = tokio::spawn(scene.jobs.janitor().run());
        let lost_after = scene.lost_after(id).await;
        assert!((600..615).contains(&lost_after.as_secs()), "{lost_after:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn settings_are_obeyed() {
        let scene = Scene::new();
        let id = scene.running(NewProgress::new("test").with_lease(Duration::from_secs(9))).await;
        let janitor = scene
            .jobs
            .janitor()
            .with_sweep_interval(Duration::from_secs(1))
            .with_retention(Duration::from_secs(100));
        let _task = tokio::spawn(janitor.run());
        let lost_after = scene.lost_after(id).await;
        assert!((9..12).contains(&lost_after.as_secs()), "{lost_after:?}");
        sleep(Duration::from_secs(98)).await;
        assert!(scene.memory.get(id).await.unwrap().is_some());
        sleep(Duration::from_secs(5)).await;
        assert_eq!(scene.memory.get(id).await.unwrap(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_lease_survives_an_outage_as_well() {
        for millis in (9_000..14_000).step_by(300) {
            let scene = Scene::new();
            let janitor = scene.jobs.janitor().with_sweep_interval(Duration::from_millis(300));
            let _janitor = tokio::spawn(janitor.run());
            let job = NewProgress::new("test").with_lease(Duration::from_secs(3));
            let id = scene.memory.create(&job).await.unwrap().id;
            let tracker = scene.jobs.tracker(id).await.unwrap();
            scene.faulty.set(Fault::Full);
            sleep(Duration::from_millis(millis)).await;
            scene.faulty.set(Fault::None);
            sleep(Duration::from_secs(20)).await;
            assert_eq!(scene.read(id).await.status, Status::Running, "{millis}");
            drop(tracker);
        }
    }

    /// A living worker and a dead one, and a store in trouble for so long: how the living one fares,
    /// and how long after the trouble the dead one is found.
    async fn survive(fault: Fault, before: Duration, outage: Duration) -> (Progress, Duration) {
        let scene = Scene::new();
        let _janitor = tokio::spawn(scene.jobs.janitor().run());
        let dead = scene.running(NewProgress::new("test")).await;
        let id = scene.memory.create(&NewProgress::new("test")).await.unwrap().id;
        let tracker = scene.jobs.tracker(id).await.unwrap();
        sleep(before).await;
        tracker.handle().inc(1);
        scene.faulty.set(fault);
        sleep(outage).await;
        scene.faulty.set(Fault::None);
        let lost_after = scene.lost_after(dead).await;
        sleep(Duration::from_secs(120)).await;
        (scene.read(id).await, lost_after)
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_of_any_length_fails_no_living_job_and_keeps_no_dead_one() {
        for fault in [Fault::Away, Fault::Silent, Fault::Full, Fault::Broken] {
            // At any moment between two sweeps and two attempts to write.
            let lengths = (40_000..62_000).step_by(1_700).chain([30_000, 120_000]);
            for millis in lengths {
                let before = Duration::from_millis(20_000 + millis % 5_000);
                let outage = Duration::from_millis(millis);
                let (living, lost_after) = survive(fault, before, outage).await;
                assert!(
                    lost_after <= Duration::from_secs(60),
                    "{fault:?} {millis}: {lost_after:?}"
                );
                // A store that says it is broken for a minute is believed.
                if fault != Fault::Broken || millis < 55_000 {
                    let state = (living.status, living.succeeded);
                    assert_eq!(state, (Status::Running, 1), "{fault:?} {millis}");
                }
            }
        }
    }
}
