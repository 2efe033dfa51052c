use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::flush::{FlushLoop, RunsOn, TrackedJob};
use crate::tracker::Reports;
use crate::{
    CachedStore, Completion, Delta, Failure, Janitor, NewProgress, Progress, ProgressError,
    ProgressId, ProgressPage, ProgressQuery, ProgressStore, ProgressUpdate, Stopped, Tracker,
    TrackerHandle, TrackerOptions,
};

/// The application's handle on its jobs.
///
/// It owns what a process shares about them: the store, the cache that page requests read through,
/// and the flush loop that writes what workers report. Make one at the start of the program and clone
/// it wherever it is needed. Clones are the same handle, so what one of them writes the others see at
/// once.
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
///             "CCT124" => tracker.failure(invoice, "550 no such mailbox"),
///             sent => tracker.success(format!("{sent} sent")),
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
/// The flush loop runs on a thread of its own, from the first job that starts to the last that ends.
/// A worker that blocks its thread therefore delays no heartbeat.
#[derive(Debug, Clone)]
pub struct Jobs {
    store: CachedStore,
    flush: Arc<FlushLoop>,
}

impl Jobs {
    /// The jobs of a store. Reads through this handle may be up to 250 ms old, except for what was
    /// written through it (see [`CachedStore`]).
    #[must_use]
    pub fn new(store: impl ProgressStore) -> Self {
        Self::on(CachedStore::new(Arc::new(store)), RunsOn::Thread)
    }

    /// The same, with another age of reads than 250 ms.
    #[must_use]
    pub fn with_freshness(store: impl ProgressStore, freshness: Duration) -> Self {
        Self::on(CachedStore::with_freshness(Arc::new(store), freshness), RunsOn::Thread)
    }

    pub(crate) fn on(store: CachedStore, runs_on: RunsOn) -> Self {
        Self { flush: Arc::new(FlushLoop::new(store.clone(), runs_on)), store }
    }

    #[cfg(test)]
    pub(crate) fn flush(&self) -> &FlushLoop {
        &self.flush
    }

    /// The store, read through the cache and written so that the cache knows.
    #[must_use]
    pub const fn store(&self) -> &CachedStore {
        &self.store
    }

    /// Makes the record of a new job, pending.
    ///
    /// # Errors
    ///
    /// As [`ProgressStore::create`].
    pub async fn create(&self, job: NewProgress) -> Result<Progress, ProgressError> {
        self.store.create(&job).await
    }

    /// Reads one job's progress; `None` when there is none.
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

    /// Asks a job to stop, as a viewer does: a pending job is cancelled at once, a running one when its
    /// worker obeys. Asking again changes nothing.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ProgressError::NotFound); [`Refused`](ProgressError::Refused) when it has ended.
    pub async fn cancel(&self, id: ProgressId) -> Result<Progress, ProgressError> {
        self.store.update(id, &ProgressUpdate::request_cancel()).await
    }

    /// Fails a job that no worker will take, such as one that could not be queued. Viewers read
    /// `public`.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ProgressError::NotFound); [`Refused`](ProgressError::Refused) when it has ended.
    pub async fn fail(
        &self,
        id: ProgressId,
        public: impl Into<String> + Send,
    ) -> Result<Progress, ProgressError> {
        self.store.update(id, &ProgressUpdate::fail(Delta::new(), public)).await
    }

    /// The background task that fails the jobs of lost workers and deletes old records.
    #[must_use]
    pub fn janitor(&self) -> Janitor {
        Janitor::new(self.store.clone(), Arc::clone(&self.flush))
    }

    /// Starts the pending job `id` and runs `work` on it, then ends the job by what `work` returns:
    ///
    /// | `work` | the job is |
    /// |---|---|
    /// | returns `Ok`, of `()` or a [`Completion`] | completed |
    /// | returns an error after [`checkpoint`](TrackerHandle::checkpoint) said that a viewer asked to cancel | cancelled |
    /// | returns another error | failed, with the public text of the [`Failure`] |
    /// | panics, or the returned future is dropped | failed, "the worker stopped before finishing" |
    ///
    /// A job shared by several workers
    /// ([`with_auto_complete`](NewProgress::with_auto_complete)) ends when the last of them has left.
    ///
    /// Returns the record as it ended. What goes wrong with the start or the ending is also logged by
    /// `tracing`. If the future is dropped before `work` has begun, the job is as it was, or lost when
    /// it had just been started.
    ///
    /// # Errors
    ///
    /// When the job cannot be started, `work` does not begin:
    /// [`NotFound`](ProgressError::NotFound); [`Refused`](ProgressError::Refused) unless the job is
    /// pending; [`Unavailable`](ProgressError::Unavailable) when the store was away for 30 s (should the
    /// start have arrived all the same, a janitor fails the job). Also when
    /// the ending was refused because the job had ended without this worker, or could not be stored.
    ///
    /// # Examples
    ///
    /// Async closures and closures that return async blocks both work:
    ///
    /// ```
    /// # use progress_core::{Jobs, MemoryStore, NewProgress};
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
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

    /// As [`run`](Self::run), with options.
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
            let tracker = jobs.tracker_with(options, id).await.inspect_err(|error| {
                log_unless_refused(id, error, "the job was not started");
            })?;
            // Released, so that a worker does not keep what it does not use.
            drop(jobs);
            let ended = match work(tracker.handle().clone()).await {
                Ok(completion) => tracker.complete(completion).await,
                Err(failure) => match tracker.handle().reports.told() {
                    Some(Stopped::CancelRequested) => tracker.cancel().await,
                    // The job's ending is known; this worker only leaves.
                    Some(_) => tracker.complete(Completion::new()).await,
                    None => {
                        tracing::error!(progress = %id, error = %failure.chain(), "the job failed");
                        tracker.fail(failure.public()).await
                    }
                },
            };
            ended.inspect_err(|error| {
                log_unless_refused(id, error, "the store rejected the job's final status");
            })
        }
    }

    /// Starts the pending job `id`: it is running when this returns.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run) when the job cannot be started.
    pub fn tracker(
        &self,
        id: ProgressId,
    ) -> impl Future<Output = Result<Tracker, ProgressError>> + Send + use<> {
        self.tracker_with(TrackerOptions::new(), id)
    }

    /// As [`tracker`](Self::tracker), with options.
    ///
    /// # Errors
    ///
    /// As [`tracker`](Self::tracker).
    pub fn tracker_with(
        &self,
        options: TrackerOptions,
        id: ProgressId,
    ) -> impl Future<Output = Result<Tracker, ProgressError>> + Send + use<> {
        let flush = Arc::clone(&self.flush);
        async move {
            let reports = Arc::new(Reports::new(id, Arc::clone(&flush)));
            let (reply, started) = oneshot::channel();
            flush.join(TrackedJob::new(reports, options, reply));
            drop(flush);
            started.await.unwrap_or_else(|_| {
                Err(ProgressError::store("the thread that writes progress has ended"))
            })
        }
    }
}

/// A refusal is normal behind a queue that delivers twice, and when a janitor was faster.
fn log_unless_refused(id: ProgressId, error: &ProgressError, what: &'static str) {
    let error_value = error as &dyn std::error::Error;
    if matches!(error, ProgressError::Refused { .. }) {
        tracing::debug!(progress = %id, error = error_value, "{what}");
    } else {
        tracing::warn!(progress = %id, error = error_value, "{what}");
    }
}
