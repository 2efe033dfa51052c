//! The worker's side.

mod failure;
mod handle;
mod options;
mod reports;
#[cfg(test)]
mod tests;
mod track;

use std::future::Future;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::{Completion, Progress, ProgressError, ProgressId, Status};

pub use self::failure::{Failure, Stopped};
pub use self::handle::TrackerHandle;
pub use self::options::TrackerOptions;
pub(crate) use self::reports::{EndingKind, Reports};
pub use self::track::{TrackIterator, TrackStream, Tracked};

/// What became of a tracker.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    /// The store took its ending, or told it that the job has ended.
    Ended(Box<Progress>),
    Refused(Status),
    Deleted,
    /// The store failed for good; the log says how.
    Broken,
}

/// The one owner of a running job's reports: it ends the job, once.
///
/// [`Jobs::run`](crate::Jobs::run) is the usual way to use it. By hand: get one from
/// [`Jobs::tracker`](crate::Jobs::tracker), report through its [`handle`](Self::handle), then
/// [`complete`](Self::complete), [`fail`](Self::fail) or [`cancel`](Self::cancel). These take the
/// tracker by value, so there is no second ending. A tracker that is dropped without one, in a panic
/// or an aborted task, fails the job with its counts written ("the worker stopped before finishing");
/// a shared job loses a worker.
///
/// An ending is remembered when it is called for, and written until the store has it, even if its
/// future is dropped. A store that is away delays an ending and never turns it into another.
///
/// A tracker needs a tokio runtime with time enabled. A runtime that shuts down drops its trackers,
/// and waits up to 2 s until that is written. When the process dies, a
/// [`Janitor`](crate::Janitor) fails the job.
#[derive(Debug)]
pub struct Tracker {
    handle: TrackerHandle,
    is_ended: bool,
}

impl Tracker {
    pub(crate) const fn new(reports: Arc<Reports>) -> Self {
        Self { handle: TrackerHandle { reports }, is_ended: false }
    }

    /// The job.
    #[must_use]
    pub fn id(&self) -> ProgressId {
        self.handle.id()
    }

    /// The handle to report with. Its clones go to sub-tasks.
    #[must_use]
    pub const fn handle(&self) -> &TrackerHandle {
        &self.handle
    }

    /// Says that the work has reached its end. The future returns the record as stored, once it is.
    ///
    /// For a job that completes by itself
    /// ([`with_auto_complete`](crate::NewProgress::with_auto_complete)) this marks only this worker as
    /// finished: the returned record may still be running.
    ///
    /// # Errors
    ///
    /// [`Refused`](ProgressError::Refused) or [`NotFound`](ProgressError::NotFound) when the job ended
    /// or was deleted without this worker; [`Store`](ProgressError::Store) when the store failed for
    /// good.
    pub fn complete<C: Into<Completion>>(
        self,
        completion: C,
    ) -> impl Future<Output = Result<Progress, ProgressError>> + Send + use<C> {
        self.end(EndingKind::Complete(completion.into()))
    }

    /// Says that the job cannot go on. Viewers read `public`; log the cause yourself.
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

    /// Says that the work was stopped because a viewer asked for it.
    ///
    /// # Errors
    ///
    /// As [`complete`](Self::complete).
    pub fn cancel(self) -> impl Future<Output = Result<Progress, ProgressError>> + Send {
        self.end(EndingKind::Cancel)
    }

    /// Not an `async fn`: the ending must be remembered now, not when the future is first polled.
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
                Ok(Outcome::Broken) | Err(_) => {
                    Err(ProgressError::store("the ending could not be written"))
                }
            }
        }
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        if !self.is_ended {
            self.handle.reports.abandon();
        }
    }
}
