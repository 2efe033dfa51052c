//! The worker's side: reports progress and ends the job.

#[cfg(test)]
mod attempts_tests;
mod failure;
mod handle;
mod in_order;
mod options;
mod reports;
mod saves;
#[cfg(test)]
mod stages_tests;
mod start_record;
#[cfg(test)]
mod tests;
mod track;

use std::future::Future;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::{Completion, Progress, ProgressError, ProgressId, Status};

pub use self::failure::{Failure, Stopped};
pub use self::handle::TrackerHandle;
pub use self::in_order::{OpenItem, SaveInOrder};
pub(crate) use self::options::Intervals;
pub use self::options::TrackerOptions;
pub(crate) use self::reports::{EndingKind, Reports};
pub use self::track::{Resumable, TrackIterator, TrackStream, Tracked};

/// How the job of a tracker left the flush loop.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    /// The store has the tracker's ending. A shared job may still be running.
    Ended(Box<Progress>),
    Refused(Status),
    Deleted,
    /// The store failed permanently; the log has the error.
    StoreFailed,
}

/// Owns the reports of a running job and ends the job exactly once.
///
/// [`Jobs::run`](crate::Jobs::run) is the usual way to use it. To use it directly, get one from
/// [`Jobs::tracker`](crate::Jobs::tracker) and report through its [`handle`](Self::handle). Then
/// call [`complete`](Self::complete), [`fail`](Self::fail) or [`cancel`](Self::cancel). They take
/// the tracker by value, so a job cannot end twice.
///
/// A tracker that is dropped without an ending, in a panic or an aborted task, writes its counts
/// and fails the job ("the worker stopped before finishing"). A shared job only loses this worker,
/// and a job with [attempts](crate::NewProgress::with_attempts) left waits for the next one.
///
/// An ending is recorded when the method is called, and retried until the store has it, even if the
/// returned future is dropped. An outage of the store delays an ending but never changes it.
///
/// A tracker needs a tokio runtime with time enabled. A runtime that shuts down drops its trackers,
/// and waits up to 2 s for their final updates. If the process dies, a [`Janitor`](crate::Janitor)
/// fails the job.
#[derive(Debug)]
pub struct Tracker {
    handle: TrackerHandle,
    is_ended: bool,
}

impl Tracker {
    pub(crate) const fn new(reports: Arc<Reports>) -> Self {
        Self { handle: TrackerHandle { reports }, is_ended: false }
    }

    /// Returns the job's id.
    #[must_use]
    pub fn id(&self) -> ProgressId {
        self.handle.id()
    }

    /// Returns the handle for reports. Clone it for sub-tasks.
    #[must_use]
    pub const fn handle(&self) -> &TrackerHandle {
        &self.handle
    }

    /// Completes the job. The future returns the stored record once the store has the ending.
    ///
    /// For a job that completes by itself
    /// ([`with_auto_complete`](crate::NewProgress::with_auto_complete)) this marks only this worker
    /// as finished: the returned record may still be running.
    ///
    /// # Errors
    ///
    /// Returns [`Refused`](ProgressError::Refused) if the job ended without this worker,
    /// [`NotFound`](ProgressError::NotFound) if it was deleted, or [`Store`](ProgressError::Store)
    /// if the store failed permanently.
    pub fn complete<C: Into<Completion>>(
        self,
        completion: C,
    ) -> impl Future<Output = Result<Progress, ProgressError>> + Send + use<C> {
        self.end(EndingKind::Complete(completion.into()))
    }

    /// Fails the job. Viewers read `public`; log the cause yourself.
    ///
    /// # Errors
    ///
    /// As [`complete`](Self::complete).
    pub fn fail<T: Into<String>>(
        self,
        public: T,
    ) -> impl Future<Output = Result<Progress, ProgressError>> + Send + use<T> {
        self.end(EndingKind::Fail(public.into()))
    }

    /// Ends the job as cancelled, because the work stopped at a viewer's request.
    ///
    /// # Errors
    ///
    /// As [`complete`](Self::complete).
    pub fn cancel(self) -> impl Future<Output = Result<Progress, ProgressError>> + Send {
        self.end(EndingKind::Cancel)
    }

    /// Ends this attempt, as [`Jobs::run`](crate::Jobs::run) does after an error: the returned
    /// record is pending if the job has [attempts](crate::NewProgress::with_attempts) left and the
    /// failure is not permanent, otherwise failed.
    ///
    /// # Errors
    ///
    /// As [`complete`](Self::complete).
    pub fn release(
        self,
        failure: &Failure,
    ) -> impl Future<Output = Result<Progress, ProgressError>> + Send + use<> {
        self.end(failure.ending())
    }

    /// Not an `async fn`: the ending must be recorded now, not when the future is first polled.
    fn end(
        mut self,
        kind: EndingKind,
    ) -> impl Future<Output = Result<Progress, ProgressError>> + Send + use<> {
        let (reply, outcome) = oneshot::channel();
        self.handle.reports.end(kind, Some(reply));
        self.is_ended = true;
        let id = self.id();
        async move {
            match outcome.await {
                Ok(Outcome::Ended(progress)) => Ok(*progress),
                Ok(Outcome::Refused(status)) => Err(ProgressError::Refused { id, status }),
                Ok(Outcome::Deleted) => Err(ProgressError::NotFound(id)),
                Ok(Outcome::StoreFailed) | Err(_) => {
                    Err(ProgressError::store("the final status of the job could not be written"))
                }
            }
        }
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        if !self.is_ended {
            if std::thread::panicking() {
                self.handle.reports.abandon();
            } else {
                // An aborted task, or a runtime that shuts down.
                self.handle.reports.shut_down();
            }
        }
    }
}
