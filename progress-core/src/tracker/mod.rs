//! The worker's side.

mod failure;
mod handle;
mod hub;
mod member;
mod options;
mod shared;
#[cfg(test)]
mod tests;
mod track;

use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;

use tokio::sync::oneshot;

use self::shared::{Ending, EndingKind};
use crate::{Completion, Progress, ProgressError, ProgressId, ProgressStore, Status};

pub use self::failure::{Failure, Stopped};
pub use self::handle::TrackerHandle;
pub use self::options::TrackerOptions;
pub use self::track::{TrackIterator, TrackStream, Tracked};

/// What viewers read of a job whose worker died: the public error that
/// [`fail_stale`](crate::ProgressStore::fail_stale) writes.
pub const WORKER_LOST: &str = "worker lost";

/// What viewers read of a job whose tracker was dropped without an ending: a panic, an aborted task.
pub const WORKER_STOPPED: &str = "the worker stopped before finishing";

/// What became of a tracker.
#[derive(Debug, Clone)]
enum Outcome {
    /// The store took its ending, or told it that the job has ended.
    Ended(Box<Progress>),
    /// It left the job to the other workers, with nothing to add.
    Left,
    Refused(Status),
    Deleted,
    /// The store failed for good; the log says how.
    Broken,
}

/// The one owner of a running job's reports: it ends the job, once.
///
/// [`Tracker::run`] is the way to use it. By hand: [`start`](Self::start), report (it derefs to [`TrackerHandle`], whose
/// clones go to sub-tasks), then [`complete`](Self::complete), [`fail`](Self::fail) or [`cancel`](Self::cancel), which take
/// it by value, so that there is no second ending. Dropped without one, in a panic or an aborted task, the job becomes
/// failed ("the worker stopped before finishing") with its counts written; one that completes by itself only loses a worker.
///
/// An ending is remembered from the moment it is called for and written until the store has it, even when its future is
/// dropped; a store that is away delays it, and never turns it into another.
///
/// Needs a tokio runtime with time enabled. One that shuts down ends its jobs like a drop, and waits up to 2 s for that to
/// be written. When the process dies, what happens is what happens to every dead worker: [`Janitor`](crate::Janitor)
/// fails the job.
#[derive(Debug)]
pub struct Tracker {
    handle: TrackerHandle,
    store: Arc<dyn ProgressStore>,
    auto_complete: bool,
    is_ended: bool,
}

impl Tracker {
    /// Starts the pending job `id` and runs `work` on it, then ends it by what `work` returns:
    ///
    /// | `work` | the job is |
    /// |---|---|
    /// | returns `Ok`, of `()` or a [`Completion`] | completed |
    /// | returns the error of [`checkpoint`](TrackerHandle::checkpoint), a viewer having asked to cancel | cancelled |
    /// | returns another error | failed, with the public text of the [`Failure`] |
    /// | panics, or this future is dropped | failed, "the worker stopped before finishing" |
    ///
    /// A job that [completes by itself](crate::NewProgress::with_auto_complete) goes on without a worker that panics or is
    /// dropped, for others may work on it; it fails when the last of them gives no more signs of life.
    ///
    /// Returns the record as it ended; what goes wrong with the start or the ending is also said to `tracing`. Dropped
    /// before `work` has begun, the job is as it was, or lost when it had just been started.
    ///
    /// # Errors
    ///
    /// When the job cannot be started ([`NotFound`](ProgressError::NotFound); [`Refused`](ProgressError::Refused) unless
    /// it is pending; [`Unavailable`](ProgressError::Unavailable) when the store stayed away for 30 s): `work` has not
    /// begun then. When the ending was refused because the job had ended without us, or could not be stored for good.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use progress_core::{MemoryStore, NewProgress, ProgressStore, Status, Tracker};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let store: Arc<dyn ProgressStore> = Arc::new(MemoryStore::new());
    /// let job = store.create(&NewProgress::new("email_sending").with_total(3)).await?;
    ///
    /// let task = tokio::spawn(Tracker::run(store, job.id, async |tracker| {
    ///     for invoice in ["CCT123", "CCT124", "CCT125"] {
    ///         tracker.checkpoint().await?;
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
    pub async fn run<F, C>(
        store: Arc<dyn ProgressStore>,
        id: ProgressId,
        work: F,
    ) -> Result<Progress, ProgressError>
    where
        F: AsyncFnOnce(TrackerHandle) -> Result<C, Failure>,
        C: Into<Completion>,
    {
        TrackerOptions::new().run(store, id, work).await
    }

    /// Takes the pending job `id`: it is running when this returns.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run) when it cannot be started.
    pub async fn start(
        store: Arc<dyn ProgressStore>,
        id: ProgressId,
    ) -> Result<Self, ProgressError> {
        TrackerOptions::new().start(store, id).await
    }

    /// A handle to report with.
    #[must_use]
    pub fn handle(&self) -> TrackerHandle {
        self.handle.clone()
    }

    /// The job has reached its end. The future gives the record as the store has it, once it has it.
    ///
    /// Of a job that completes by itself ([`with_auto_complete`](crate::NewProgress::with_auto_complete)) it only says
    /// that this worker is done: the record given may still be running, and the message and result of `completion` are
    /// nobody's, for of several workers none knows that it is the last.
    ///
    /// # Errors
    ///
    /// [`Refused`](ProgressError::Refused) or [`NotFound`](ProgressError::NotFound) when the job ended or was deleted
    /// without us; [`Store`](ProgressError::Store) when the store failed for good.
    pub fn complete<C: Into<Completion>>(
        self,
        completion: C,
    ) -> impl Future<Output = Result<Progress, ProgressError>> + Send + use<C> {
        let kind = if self.auto_complete {
            EndingKind::Leave
        } else {
            EndingKind::Complete(completion.into())
        };
        self.end(kind)
    }

    /// The job cannot go on. Viewers read `public`; the cause belongs into the log, which is the caller's to write.
    ///
    /// # Errors
    ///
    /// As [`complete`](Self::complete).
    pub fn fail<T: Into<String>>(
        self,
        public: T,
    ) -> impl Future<Output = Result<Progress, ProgressError>> + Send + use<T> {
        let kind = EndingKind::Fail(public.into());
        self.end(kind)
    }

    /// The job was stopped because a viewer asked for it.
    ///
    /// # Errors
    ///
    /// As [`complete`](Self::complete).
    pub fn cancel(self) -> impl Future<Output = Result<Progress, ProgressError>> + Send {
        self.end(EndingKind::Cancel)
    }

    /// Not an `async fn`: the ending must be remembered now, not when somebody first polls.
    fn end(
        mut self,
        kind: EndingKind,
    ) -> impl Future<Output = Result<Progress, ProgressError>> + Send + use<> {
        let (reply, outcome) = oneshot::channel();
        self.handle.shared.end(Ending { kind, reply: Some(reply) });
        self.is_ended = true;
        let (id, store) = (self.id(), Arc::clone(&self.store));
        async move {
            match outcome.await {
                Ok(Outcome::Ended(progress)) => Ok(*progress),
                Ok(Outcome::Left) => store.get(id).await?.ok_or(ProgressError::NotFound(id)),
                Ok(Outcome::Refused(status)) => Err(ProgressError::Refused { id, status }),
                Ok(Outcome::Deleted) => Err(ProgressError::NotFound(id)),
                Ok(Outcome::Broken) | Err(_) => {
                    Err(ProgressError::store("the ending could not be written"))
                }
            }
        }
    }
}

impl Deref for Tracker {
    type Target = TrackerHandle;

    fn deref(&self) -> &TrackerHandle {
        &self.handle
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        if !self.is_ended {
            self.handle.shared.end_unfinished();
        }
    }
}
