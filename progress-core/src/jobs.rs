use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};
use tracing::Instrument as _;

use crate::flush::{FlushLoop, RunsOn, StartResult, TrackedJob};
use crate::tracker::Reports;
use crate::{
    BoxError, CachedStore, Completion, Delta, Failure, Janitor, MAX_PAGE, NewProgress, Progress,
    ProgressError, ProgressId, ProgressPage, ProgressQuery, ProgressStore, ProgressUpdate, Status,
    Stopped, Tracker, TrackerHandle, TrackerOptions, metering,
};

/// How often a start looks whether the attempt of a dead worker has ended.
const TAKEOVER_INTERVAL: Duration = Duration::from_secs(1);

/// How long after its lease a janitor has ended the attempt of a dead worker.
const JANITOR_TIMEOUT: Duration = Duration::from_secs(60);

/// How many records of an owner are deleted in one call.
const ERASURE_CHUNK: u32 = 500;

/// How long a check of the store may take. A health route is usually given a few seconds.
const PING_DEADLINE: Duration = Duration::from_secs(2);

/// The result of [`Jobs::delete_owner`].
#[must_use = "active jobs are not deleted"]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erasure {
    /// Number of records that were deleted.
    pub deleted: u64,
    /// Number of jobs that were active when the call began. They were not deleted, unless they
    /// ended meanwhile.
    pub active: u64,
}

/// The application's handle on its jobs.
///
/// It owns what the process shares: the store, the cache that page requests read through, and the
/// flush loop that writes the workers' reports. Create one at the start of the program and clone it
/// where it is needed. Clones share their state, so a write through one is visible through the
/// others at once.
///
/// ```
/// use progress_core::{Jobs, MemoryStore, NewProgress, Status};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let jobs = Jobs::new(MemoryStore::new());
/// tokio::spawn(jobs.janitor().run());
///
/// // In the request: the record exists before the work is queued.
/// let job = jobs.create(NewProgress::new("email_sending").with_total(3)).await?;
///
/// // In the worker.
/// let task = tokio::spawn(jobs.run(job.id, async |tracker| {
///     for invoice in ["CCT123", "CCT124", "CCT125"] {
///         tracker.checkpoint().await?; // an error once a viewer has asked to cancel
///         match invoice {
///             "CCT124" => tracker.item_failed(invoice, "550 no such mailbox"),
///             sent => tracker.item_done(format!("{sent} sent")),
///         }
///     }
///     Ok(())
/// }));
///
/// let ended = task.await.unwrap()?;
/// assert_eq!((ended.status, ended.succeeded, ended.failed), (Status::Completed, 2, 1));
/// # Ok::<(), progress_core::ProgressError>(())
/// # }).unwrap();
/// ```
///
/// The flush loop runs on a thread of its own, from the start of the first job to the end of the
/// last. A worker that blocks its thread therefore delays no heartbeat.
#[derive(Debug, Clone)]
pub struct Jobs {
    store: CachedStore,
    flush: Arc<FlushLoop>,
}

impl Jobs {
    /// Creates the handle for a store. Reads through it may be up to 250 ms old, but always include
    /// what was written through it (see [`CachedStore`]).
    #[must_use]
    pub fn new(store: impl ProgressStore) -> Self {
        Self::on(CachedStore::new(metering::watched(Arc::new(store))), RunsOn::Thread)
    }

    /// Creates the handle with another maximum age of reads than 250 ms.
    #[must_use]
    pub fn with_freshness(store: impl ProgressStore, freshness: Duration) -> Self {
        let store = metering::watched(Arc::new(store));
        Self::on(CachedStore::with_freshness(store, freshness), RunsOn::Thread)
    }

    pub(crate) fn on(store: CachedStore, runs_on: RunsOn) -> Self {
        metering::describe();
        Self { flush: Arc::new(FlushLoop::new(store.clone(), runs_on)), store }
    }

    #[cfg(test)]
    pub(crate) fn flush(&self) -> &FlushLoop {
        &self.flush
    }

    /// Sets the hook that is called after a job has ended, whatever ended it: its worker, a viewer
    /// who cancels a pending job, or a janitor that found the worker dead. Use it to send a mail,
    /// to call a webhook or to tell a page.
    ///
    /// **At least once.** The hook is called in the process that wrote the end, as soon as the
    /// store has it. If that process dies first, or if the hook returns an error, panics or takes
    /// more than 30 s, the [`Janitor`] of a process with a hook calls it again a minute later,
    /// until it returns `Ok`. So it may be called again after a success that could not be noted:
    /// use [`Progress::id`] to recognise a repetition. It is called for each job that was created
    /// while its process had a hook, or [`with_announcement`](NewProgress::with_announcement), but
    /// not for a record that is deleted before.
    ///
    /// Set it in every process that creates, runs or cancels jobs or runs a janitor, and before the
    /// first job. There is one hook; a second call replaces it, in all clones. It runs in tasks of
    /// the current runtime, at most 64 at a time, and receives the finished record.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// # use progress_core::{Jobs, MemoryStore, NewProgress, Status};
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
    /// # .block_on(async {
    /// let (sender, mut mails) = tokio::sync::mpsc::unbounded_channel();
    /// let jobs = Jobs::new(MemoryStore::new()).on_ended(move |job| {
    ///     let sender = sender.clone();
    ///     async move {
    ///         // Here an application sends a mail. An error is retried.
    ///         sender.send((job.id, job.status))?;
    ///         Ok(())
    ///     }
    /// });
    /// let job = jobs.create(NewProgress::new("import")).await?;
    /// jobs.run(job.id, async |_| Ok(())).await?;
    /// assert_eq!(mails.recv().await, Some((job.id, Status::Completed)));
    /// # Ok::<(), progress_core::ProgressError>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn on_ended<F, Fut>(self, hook: F) -> Self
    where
        F: Fn(Progress) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        self.flush.observer().set_hook(hook);
        self
    }

    /// Returns the store. Reads go through the cache, and the cache sees every write. An end that
    /// is written with [`ProgressStore::update`] is [announced](Self::on_ended) by a janitor, and
    /// is not counted by the metrics of this process.
    #[must_use]
    pub const fn store(&self) -> &CachedStore {
        &self.store
    }

    /// Creates the pending record of a new job.
    ///
    /// # Errors
    ///
    /// As [`ProgressStore::create`].
    pub async fn create(&self, mut job: NewProgress) -> Result<Progress, ProgressError> {
        job.announces |= self.flush.observer().has_hook();
        let created = self.store.create(&job).await?;
        if created.status.is_finished() {
            // An empty shared job.
            self.flush.observer().ended(&self.store, &created);
        }
        Ok(created)
    }

    /// Reads one job's progress; `None` if there is no such job.
    ///
    /// # Errors
    ///
    /// Only those of the store itself.
    pub async fn get(&self, id: ProgressId) -> Result<Option<Progress>, ProgressError> {
        self.store.get(id).await
    }

    /// Lists jobs, newest first.
    ///
    /// # Errors
    ///
    /// Only those of the store itself.
    pub async fn list(&self, query: &ProgressQuery) -> Result<ProgressPage, ProgressError> {
        self.store.list(query).await
    }

    /// Requests cancellation, as a viewer does: a pending job is cancelled at once, a running one
    /// when its worker obeys. Repeating the request changes nothing.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ProgressError::NotFound); [`Refused`](ProgressError::Refused) if it has ended.
    pub async fn cancel(&self, id: ProgressId) -> Result<Progress, ProgressError> {
        self.update(id, &ProgressUpdate::request_cancel()).await
    }

    /// Fails a job that no worker will start, such as one that could not be queued. Viewers see
    /// `public` as the reason.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ProgressError::NotFound); [`Refused`](ProgressError::Refused) if it has ended.
    pub async fn fail(
        &self,
        id: ProgressId,
        public: impl Into<String> + Send,
    ) -> Result<Progress, ProgressError> {
        self.update(id, &ProgressUpdate::fail(Delta::new(), public)).await
    }

    async fn update(
        &self,
        id: ProgressId,
        update: &ProgressUpdate,
    ) -> Result<Progress, ProgressError> {
        let updated = self.store.update(id, update).await?;
        self.flush.accepted(update, &updated, false);
        Ok(updated)
    }

    /// Deletes all finished jobs of an owner, with their logs: the erasure of a person's data.
    ///
    /// Active jobs stay, because their workers still write to them. The result says how many there
    /// were: [`cancel`](Self::cancel) them, and call this again when they have ended. The titles,
    /// metadata and log entries of other owners' jobs are not searched for the person.
    ///
    /// Records are deleted in short transactions, so an owner with many jobs delays no other write
    /// for long. A job that is created during the call is not covered.
    ///
    /// # Errors
    ///
    /// Only those of the store itself. Some records may then have been deleted; call it again.
    ///
    /// # Examples
    ///
    /// ```
    /// # use progress_core::{Erasure, Jobs, MemoryStore, NewProgress, ProgressQuery};
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
    /// # .block_on(async {
    /// # let jobs = Jobs::new(MemoryStore::new());
    /// let ended = jobs.create(NewProgress::new("export").with_owner("user-7")).await?;
    /// jobs.cancel(ended.id).await?;
    /// let active = jobs.create(NewProgress::new("export").with_owner("user-7")).await?;
    ///
    /// let erasure = jobs.delete_owner("user-7").await?;
    /// assert_eq!(erasure, Erasure { deleted: 1, active: 1 });
    ///
    /// jobs.cancel(active.id).await?;
    /// assert_eq!(jobs.delete_owner("user-7").await?, Erasure { deleted: 1, active: 0 });
    /// # Ok::<(), progress_core::ProgressError>(())
    /// # }).unwrap();
    /// ```
    pub async fn delete_owner(&self, owner: &str) -> Result<Erasure, ProgressError> {
        // Counted first: a job that ends meanwhile is then counted as active although it may be
        // deleted, and the next call tells. The other order would miss it.
        let mut query = ProgressQuery::new().with_owner(owner).with_active().with_limit(MAX_PAGE);
        let mut erasure = Erasure { deleted: 0, active: 0 };
        loop {
            let page = self.store.list(&query).await?;
            erasure.active += page.items.len() as u64;
            let Some(next) = page.next else { break };
            query = query.with_cursor(next);
        }
        loop {
            let deleted = self.store.delete_owned(owner, ERASURE_CHUNK).await?;
            erasure.deleted += deleted;
            if deleted < u64::from(ERASURE_CHUNK) {
                return Ok(erasure);
            }
        }
    }

    /// Checks that the store answers, past the cache: for a health route. It is one short read, so
    /// it may be called every second. It checks no write.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](ProgressError::Unavailable) if the store does not answer within 2 s, and the
    /// errors of the store itself: [`Setup`](ProgressError::Setup) if its tables are missing.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use progress_core::{Jobs, MemoryStore, ProgressError};
    /// # use progress_core::testing::{Fault, FaultyStore};
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
    /// # .block_on(async {
    /// # let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    /// # let jobs = Jobs::new(store.clone());
    /// assert!(jobs.ping().await.is_ok());
    /// # store.set(Fault::Away);
    /// // When the store is away:
    /// assert!(matches!(jobs.ping().await, Err(ProgressError::Unavailable(_))));
    /// # });
    /// ```
    pub async fn ping(&self) -> Result<(), ProgressError> {
        let late = |late| Err(ProgressError::unavailable(late));
        timeout(PING_DEADLINE, self.store.ping()).await.unwrap_or_else(late)
    }

    /// Creates the background task that fails the jobs of lost workers and deletes old records.
    #[must_use]
    pub fn janitor(&self) -> Janitor {
        Janitor::new(self.store.clone(), Arc::clone(&self.flush))
    }

    /// Creates a job and runs `work` on it in a Tokio task of its own, as [`run`](Self::run) does.
    /// Returns the pending record, so that the caller can answer with its id.
    ///
    /// The job is created and runs even if the caller stops waiting, such as when the client has
    /// closed the connection. Errors of the task are logged by `tracing`.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create); `work` is dropped then.
    /// [`Invalid`](ProgressError::Invalid) also for a job with
    /// [attempts](NewProgress::with_attempts), because nothing would start the next one.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// # use progress_core::{Jobs, MemoryStore, NewProgress, Status};
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
    /// # .block_on(async {
    /// # let jobs = Jobs::new(MemoryStore::new());
    /// let (done, is_done) = tokio::sync::oneshot::channel();
    /// let job = jobs.spawn(NewProgress::new("import"), async |tracker| {
    ///     tracker.inc(1);
    ///     drop(done.send(()));
    ///     Ok(())
    /// });
    /// let job = job.await?;
    /// assert_eq!(job.status, Status::Pending);
    /// is_done.await.expect("the work runs");
    /// # Ok::<(), progress_core::ProgressError>(())
    /// # }).unwrap();
    /// ```
    pub async fn spawn<F, Fut, C>(
        &self,
        job: NewProgress,
        work: F,
    ) -> Result<Progress, ProgressError>
    where
        F: FnOnce(TrackerHandle) -> Fut + Send + 'static,
        Fut: Future<Output = Result<C, Failure>> + Send + 'static,
        C: Into<Completion> + Send + 'static,
    {
        if job.max_attempts.is_some() {
            return Err(ProgressError::invalid(
                "`spawn` runs a job once, and nothing would start its next attempt: create the job \
                 and call `run` for each delivery of your queue",
            ));
        }
        let jobs = self.clone();
        let (created, answer) = oneshot::channel();
        tokio::spawn(async move {
            let outcome = jobs.create(job).await.inspect_err(|error| {
                let error = error as &dyn std::error::Error;
                tracing::warn!(error, "the job could not be created");
            });
            let run = outcome.as_ref().ok().map(|job| jobs.run(job.id, work));
            drop(jobs);
            // A caller that has stopped waiting changes nothing for the job.
            drop(created.send(outcome));
            if let Some(run) = run {
                // Already logged.
                drop(run.await);
            }
        });
        answer.await.map_err(ProgressError::unavailable)?
    }

    /// Starts the pending job `id`, runs `work` on it, and ends the job by what `work` returns:
    ///
    /// | `work` | the job is |
    /// |---|---|
    /// | returns `Ok`, of `()` or a [`Completion`] | completed |
    /// | returns an error after [`checkpoint`](TrackerHandle::checkpoint) reported a cancel request | cancelled |
    /// | returns another error | failed, with the public text of the [`Failure`] |
    /// | panics, or the returned future is dropped | failed, "the worker stopped before finishing" |
    ///
    /// If the job has [attempts](NewProgress::with_attempts) left, it is pending instead of failed,
    /// and another call of `run` continues it. Only a [permanent](Failure::permanent) failure fails
    /// it at once. If an earlier attempt is still running when this is called, and its worker is
    /// dead, the start waits until a janitor has ended that attempt.
    ///
    /// A job shared by several workers ([`with_auto_complete`](NewProgress::with_auto_complete))
    /// ends when the last of them has left.
    ///
    /// `work` runs in a span named `job` with the fields `id`, `task_type` and `attempt`, so that
    /// the log lines of the application tell jobs apart. Start and end are logged at level `info`.
    ///
    /// Returns the record at the end of this run. Errors of the start and of the final update are
    /// also logged by
    /// `tracing`. If the future is dropped before `work` has begun, the job stays pending, or is
    /// lost if it had just been started.
    ///
    /// # Errors
    ///
    /// If the job cannot be started, `work` does not begin: [`NotFound`](ProgressError::NotFound);
    /// [`Refused`](ProgressError::Refused) unless the job is pending (for a queue that delivers a
    /// job twice, the first worker counts);
    /// [`Unavailable`](ProgressError::Unavailable) if the store was unavailable for 30 s (if the
    /// start was stored nevertheless, a janitor fails the job).
    ///
    /// Also if the final update could not be stored, or was refused because the job had ended
    /// without this worker.
    ///
    /// # Examples
    ///
    /// Async closures and closures that return async blocks both work:
    ///
    /// ```
    /// # use progress_core::{Jobs, MemoryStore, NewProgress};
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
    /// # .block_on(async {
    /// # let jobs = Jobs::new(MemoryStore::new());
    /// # let job = jobs.create(NewProgress::new("import")).await?;
    /// let ended = jobs.run(job.id, |tracker| async move {
    ///     tracker.checkpoint().await?;
    ///     tracker.inc(1);
    ///     Ok(())
    /// });
    /// assert_eq!(ended.await?.succeeded, 1);
    /// # Ok::<(), progress_core::ProgressError>(())
    /// # }).unwrap();
    /// ```
    pub fn run<F, Fut, C>(
        &self,
        id: ProgressId,
        work: F,
    ) -> impl Future<Output = Result<Progress, ProgressError>> + use<F, Fut, C>
    where
        F: FnOnce(TrackerHandle) -> Fut,
        Fut: Future<Output = Result<C, Failure>>,
        C: Into<Completion>,
    {
        self.run_with(TrackerOptions::new(), id, work)
    }

    /// Like [`run`](Self::run), with options.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub fn run_with<F, Fut, C>(
        &self,
        options: TrackerOptions,
        id: ProgressId,
        work: F,
    ) -> impl Future<Output = Result<Progress, ProgressError>> + use<F, Fut, C>
    where
        F: FnOnce(TrackerHandle) -> Fut,
        Fut: Future<Output = Result<C, Failure>>,
        C: Into<Completion>,
    {
        let jobs = self.clone();
        async move {
            // Boxed, so that the future of a job is not much deeper than the application's own.
            let start = Box::pin(jobs.start_when_free(options, id)).await;
            // Dropped so that a worker does not keep resources that it does not use.
            drop(jobs);
            let (tracker, span) = match start {
                Ok((tracker, Progress { task_type, attempt, .. })) => {
                    (tracker, tracing::info_span!("job", %id, task_type, attempt))
                }
                Err(error) => {
                    log_unless_refused(id, &error, "the job could not be started");
                    return Err(error);
                }
            };
            let ended = match work(tracker.handle().clone()).instrument(span).await {
                Ok(completion) => tracker.complete(completion).await,
                Err(failure) => match tracker.handle().reports.acknowledged_stop() {
                    Some(Stopped::CancelRequested) => tracker.cancel().await,
                    // How the job ends is already decided; this worker only leaves.
                    Some(_) => tracker.complete(Completion::new()).await,
                    None => {
                        let ended = tracker.release(&failure).await;
                        let error = failure.chain();
                        if ended.as_ref().is_ok_and(Progress::is_retrying) {
                            tracing::warn!(%id, %error, "the attempt failed");
                        } else {
                            tracing::error!(%id, %error, "the job failed");
                        }
                        ended
                    }
                },
            };
            match &ended {
                Ok(Progress { status, succeeded, failed, .. }) => {
                    tracing::debug!(%id, %status, succeeded, failed, "worker finished");
                }
                Err(error) => {
                    log_unless_refused(id, error, "the store rejected the job's final status");
                }
            }
            ended
        }
    }

    /// Starts the pending job `id`. It is running when this returns.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run) if the job cannot be started.
    pub fn tracker(
        &self,
        id: ProgressId,
    ) -> impl Future<Output = Result<Tracker, ProgressError>> + Send + use<> {
        self.tracker_with(TrackerOptions::new(), id)
    }

    /// Like [`tracker`](Self::tracker), with options.
    ///
    /// # Errors
    ///
    /// As [`tracker`](Self::tracker).
    pub fn tracker_with(
        &self,
        options: TrackerOptions,
        id: ProgressId,
    ) -> impl Future<Output = Result<Tracker, ProgressError>> + Send + use<> {
        let jobs = self.clone();
        async move { jobs.start_when_free(options, id).await.map(|(tracker, _)| tracker) }
    }

    async fn start_when_free(&self, options: TrackerOptions, id: ProgressId) -> StartResult {
        loop {
            let started = self.start(options, id).await;
            let is_running =
                matches!(&started, Err(ProgressError::Refused { status: Status::Running, .. }));
            if !is_running || !self.attempt_ends(id).await {
                return started;
            }
        }
    }

    async fn start(&self, options: TrackerOptions, id: ProgressId) -> StartResult {
        let reports = Arc::new(Reports::new(id, Arc::clone(&self.flush)));
        let (reply, started) = oneshot::channel();
        self.flush.add_job(TrackedJob::new(reports, options, reply));
        started.await.unwrap_or_else(|_| {
            Err(ProgressError::store("the thread that writes progress has ended"))
        })
    }

    /// Waits for the end of a running attempt whose worker sends no heartbeat: a queue may deliver
    /// a job again before a janitor has noticed that the worker is dead. Returns false if the
    /// worker is alive, if the job runs only once, or if no janitor ends the attempt.
    async fn attempt_ends(&self, id: ProgressId) -> bool {
        let begun = Instant::now();
        let mut first_heartbeat = None;
        loop {
            match self.store.get(id).await {
                Ok(Some(progress)) if progress.status != Status::Running => {
                    return progress.max_attempts.is_some();
                }
                Ok(Some(progress)) => {
                    let heartbeat = *first_heartbeat.get_or_insert(progress.heartbeat_at);
                    let is_alive = heartbeat != progress.heartbeat_at;
                    let is_too_long = begun.elapsed() > progress.lease + JANITOR_TIMEOUT;
                    if progress.max_attempts.is_none() || is_alive || is_too_long {
                        return false;
                    }
                }
                Ok(None) => return false,
                // A job that runs once is refused at once, so a failed read waits only if an
                // earlier one has shown attempts.
                Err(_) if first_heartbeat.is_some() && begun.elapsed() < JANITOR_TIMEOUT => {}
                Err(_) => return false,
            }
            sleep(TAKEOVER_INTERVAL).await;
        }
    }
}

/// Logs an error. A refusal gets the debug level, because it is normal with a queue that delivers
/// twice, and when a janitor was faster.
fn log_unless_refused(id: ProgressId, error: &ProgressError, what: &'static str) {
    let error_value = error as &dyn std::error::Error;
    if matches!(error, ProgressError::Refused { .. }) {
        tracing::debug!(%id, error = error_value, "{what}");
    } else {
        tracing::warn!(%id, error = error_value, "{what}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryStore;
    use crate::testing::{self, Fault, FaultyStore};

    #[tokio::test(start_paused = true)]
    async fn a_store_that_does_not_answer_fails_a_ping_in_time() {
        let faulty = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
        let jobs = testing::jobs(faulty.clone());
        jobs.ping().await.unwrap();
        faulty.set(Fault::Silent);
        let begun = Instant::now();
        assert!(matches!(jobs.ping().await, Err(ProgressError::Unavailable(_))));
        assert_eq!(begun.elapsed(), Duration::from_secs(2), "as documented");
        faulty.set(Fault::Broken);
        assert!(matches!(jobs.ping().await, Err(ProgressError::Store(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn an_owner_with_more_jobs_than_one_call_deletes_is_erased() {
        let jobs = testing::jobs(MemoryStore::new());
        let new = || NewProgress::new("test").with_owner("ann");
        for number in 0..(ERASURE_CHUNK + 1) {
            let id = jobs.create(new()).await.unwrap().id;
            // More active ones than a page holds.
            if number % 3 > 0 {
                jobs.cancel(id).await.unwrap();
            }
        }
        for _ in 0..ERASURE_CHUNK {
            let id = jobs.create(new()).await.unwrap().id;
            jobs.cancel(id).await.unwrap();
        }
        let active = u64::from(ERASURE_CHUNK + 1).div_ceil(3);
        let deleted = u64::from(2 * ERASURE_CHUNK + 1) - active;
        assert_eq!(jobs.delete_owner("ann").await.unwrap(), Erasure { deleted, active });
        assert_eq!(jobs.delete_owner("ann").await.unwrap(), Erasure { deleted: 0, active });
    }
}
