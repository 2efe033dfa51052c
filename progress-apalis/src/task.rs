use std::sync::{Arc, Mutex, PoisonError};

use apalis_core::task::Task;
use apalis_core::task::from_request::FromRequest;
use progress_core::{Completion, TrackerHandle};

/// The progress of a task, as an argument of its handler.
///
/// ```
/// use apalis_core::error::BoxDynError;
/// use progress_apalis::TaskProgress;
/// use progress_core::Completion;
///
/// async fn count(words: Vec<String>, progress: TaskProgress) -> Result<(), BoxDynError> {
///     progress.tracker().set_total(words.len() as u64);
///     for word in &words {
///         progress.tracker().item_done(word);
///     }
///     progress.complete_with(Completion::new().with_message("All words are counted."));
///     Ok(())
/// }
/// ```
#[derive(Debug, Clone)]
pub struct TaskProgress {
    tracker: TrackerHandle,
    completion: Arc<Mutex<Completion>>,
}

/// The error of a handler that takes [`TaskProgress`], but whose task has no record or whose worker
/// has no [`ProgressLayer`](crate::ProgressLayer).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the task has no progress: push it with `progress_apalis::submit`, and add `ProgressLayer` to \
     the worker"
)]
#[non_exhaustive]
pub struct NoProgress;

impl TaskProgress {
    pub(crate) fn new(tracker: TrackerHandle) -> Self {
        Self { tracker, completion: Arc::default() }
    }

    /// Returns the handle for reports. Clone it for sub-tasks.
    #[must_use]
    pub const fn tracker(&self) -> &TrackerHandle {
        &self.tracker
    }

    /// Sets the message and the result of the record if the handler returns `Ok`.
    pub fn complete_with(&self, completion: Completion) {
        *self.completion.lock().unwrap_or_else(PoisonError::into_inner) = completion;
    }

    pub(crate) fn take_completion(&self) -> Completion {
        std::mem::take(&mut *self.completion.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<Args: Sync> FromRequest<Task<Args>> for TaskProgress {
    type Error = NoProgress;

    async fn from_request(task: &Task<Args>) -> Result<Self, NoProgress> {
        task.ctx().data().get::<Self>().cloned().ok_or(NoProgress)
    }
}
