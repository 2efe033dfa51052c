use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::{Instant, sleep, timeout};

use crate::endings::ANNOUNCEMENT_DELAY;
use crate::flush::FlushLoop;
use crate::{
    CachedStore, Heartbeat, HeartbeatWatch, Progress, ProgressError, ProgressStore, ProgressUpdate,
};

/// Records deleted, and jobs failed, in one call, so that the janitor's transactions stay short.
const CHUNK: u32 = 500;

/// How long one store call of a sweep may take. The next sweep tries again.
const CALL_DEADLINE: Duration = Duration::from_secs(5);

/// How many endings a sweep announces: as many as hooks run at the same time, so that none of them
/// waits until its claim is over.
const ANNOUNCEMENTS: u32 = 64;

/// The pause after a failed sweep. It is short because silence counts only from the first sweep
/// that succeeds after an outage.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// The longest sweep interval. A longer one would find a lost worker late.
const LONGEST_SWEEP_INTERVAL: Duration = Duration::from_secs(15);

/// A background task that fails the jobs of lost workers, announces endings that were not
/// [announced](crate::Jobs::on_ended), and deletes old records.
///
/// Run one in every process that serves requests or works on jobs; any number may run at once on
/// the same store. A janitor counts silence from its own first sweep, and only while the worker
/// could have sent a heartbeat (see [`HeartbeatWatch`]). So an outage of the store, a paused
/// machine or a wrong clock fails no living job. By default, a dead worker's job fails within 60 s
/// of the worker's death, of the janitor's start or of the end of an outage, whichever is latest.
///
/// ```
/// use std::time::Duration;
/// use progress_core::{Jobs, MemoryStore};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let jobs = Jobs::new(MemoryStore::new());
/// let janitor = jobs.janitor().with_retention(Duration::from_secs(7 * 86_400));
/// let sweep = janitor.sweep().await?;
/// assert_eq!((sweep.lost, sweep.deleted), (0, 0));
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

/// The result of one sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sweep {
    /// Number of jobs whose worker was lost. They have failed, or wait for their next attempt.
    pub lost: u64,
    /// Number of endings that were passed to the hook of [`Jobs::on_ended`](crate::Jobs::on_ended),
    /// because the process that wrote them died, or because the hook had failed.
    pub announced: u64,
    /// Number of records deleted because their job ended longer ago than the retention.
    pub deleted: u64,
}

impl Janitor {
    /// Creates a janitor that sweeps every 5 s and keeps finished records for 30 days.
    pub(crate) fn new(store: CachedStore, flush: Arc<FlushLoop>) -> Self {
        Self {
            store,
            flush,
            watch: Mutex::default(),
            retention: Duration::from_secs(30 * 86_400),
            sweep_interval: Duration::from_secs(5),
        }
    }

    /// Sets how long finished records are kept, by the store's clock; 30 days by default.
    #[must_use]
    pub fn with_retention(mut self, retention: Duration) -> Self {
        self.retention = retention;
        self
    }

    /// Sets how often to sweep: from 1 ms to 15 s, 5 s by default. A ninth of the shortest lease is
    /// a good choice.
    #[must_use]
    pub fn with_sweep_interval(mut self, interval: Duration) -> Self {
        self.sweep_interval = interval.clamp(Duration::from_millis(1), LONGEST_SWEEP_INTERVAL);
        self
    }

    /// Sweeps once. Finding a lost worker takes several sweeps during its job's
    /// [lease](crate::NewProgress::with_lease); the first sweep never finds one.
    ///
    /// # Errors
    ///
    /// Those of the store, and [`Unavailable`](ProgressError::Unavailable) if it does not answer
    /// within 5 s. Changes made before the error remain.
    pub async fn sweep(&self) -> Result<Sweep, ProgressError> {
        let swept = self.sweep_once().await;
        match &swept {
            Ok(_) => self.flush.note_sweep(),
            Err(_) => self.watch().interrupted(),
        }
        swept
    }

    async fn sweep_once(&self) -> Result<Sweep, ProgressError> {
        let lost = self.end_lost().await?;
        let announced = self.announce().await?;
        let mut deleted = 0;
        loop {
            let chunk = within(self.store.delete_finished(self.retention, CHUNK)).await?;
            deleted += chunk;
            if chunk < u64::from(CHUNK) {
                return Ok(Sweep { lost, announced, deleted });
            }
        }
    }

    async fn end_lost(&self) -> Result<u64, ProgressError> {
        // Taken before the read, because the silence that is counted must have passed.
        let now = Instant::now().into_std();
        let heartbeats = within(self.store.heartbeats()).await?;
        let silent = self.watch().look(&heartbeats, now);
        for (heartbeat, outcome) in self.write(&silent.unconfirmed, ProgressUpdate::probe).await {
            if outcome.is_ok() {
                self.watch().confirm(&heartbeat);
            }
        }
        let mut lost = 0;
        for (heartbeat, outcome) in self.write(&silent.lost, ProgressUpdate::lose).await {
            if let Ok(progress) = outcome {
                lost += 1;
                let update = ProgressUpdate::lose(heartbeat.at);
                self.flush.accepted(&update, &progress, false);
                tracing::warn!(
                    id = %heartbeat.id,
                    task_type = progress.task_type,
                    attempt = progress.attempt,
                    status = %progress.status,
                    "a worker was lost"
                );
            }
        }
        Ok(lost)
    }

    /// Calls the hook for endings that were not announced in time. Claims each first, so that of
    /// several janitors one calls it.
    async fn announce(&self) -> Result<u64, ProgressError> {
        if !self.flush.observer().has_hook() {
            return Ok(0);
        }
        let due = within(self.store.unannounced(ANNOUNCEMENTS)).await?;
        let claim = |progress: &Progress| {
            let announce_at = progress.announce_at?;
            let claim = ProgressUpdate::claim_announcement(announce_at, ANNOUNCEMENT_DELAY);
            Some((progress.id, claim))
        };
        let claims: Vec<_> = due.iter().filter_map(claim).collect();
        if claims.is_empty() {
            return Ok(0);
        }
        let late = |_| Vec::new();
        let call = timeout(CALL_DEADLINE, self.store.update_many(&claims));
        let mut announced = 0;
        // A claim that failed is left to the next sweep: another janitor was faster, or the record
        // is locked, which must not keep the janitor from finding lost workers.
        for claimed in call.await.unwrap_or_else(late).into_iter().flatten() {
            announced += 1;
            tracing::info!(id = %claimed.id, "announcing an ending again");
            self.flush.observer().announce(&self.store, claimed);
        }
        Ok(announced)
    }

    /// Updates the records of silent jobs. A failed write is left to the next sweep, because a
    /// record that another transaction has locked must not keep the janitor from finding other lost
    /// workers.
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
                tracing::debug!("timed out writing the records of silent jobs");
                break;
            };
            for (heartbeat, outcome) in chunk.iter().zip(outcomes) {
                // A refusal is expected: the worker is alive, or another janitor was faster.
                if let Err(error) = &outcome
                    && !matches!(error, ProgressError::Refused { .. } | ProgressError::NotFound(_))
                {
                    tracing::debug!(
                        id = %heartbeat.id,
                        error = error as &dyn std::error::Error,
                        "could not write the record of a silent job"
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

    /// Sweeps until the future is dropped: spawn it, and abort the task to end it. While the store
    /// is unavailable, it retries every second.
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
                        tracing::info!(records = sweep.deleted, "deleted old records");
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

/// Returns the outcome of a store call, or `Unavailable` if it takes too long.
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

        /// Returns how long it takes until the job is no longer running.
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
        assert!(scene.memory.get(id).await.unwrap().is_some(), "deleted before its retention");
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

    /// Runs a living worker and a dead one through an outage of the store. Returns the record of
    /// the living one, and how long after the outage the dead one is found.
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
            // Outages that begin and end at different moments between two sweeps and two writes.
            let lengths = (40_000..62_000).step_by(1_700).chain([30_000, 120_000]);
            for millis in lengths {
                let before = Duration::from_millis(20_000 + millis % 5_000);
                let outage = Duration::from_millis(millis);
                let (living, lost_after) = survive(fault, before, outage).await;
                assert!(
                    lost_after <= Duration::from_secs(60),
                    "{fault:?} {millis}: {lost_after:?}"
                );
                // Workers give up after a minute in which the store reports that it is broken.
                if fault != Fault::Broken || millis < 55_000 {
                    let state = (living.status, living.succeeded);
                    assert_eq!(state, (Status::Running, 1), "{fault:?} {millis}");
                }
            }
        }
    }
}
