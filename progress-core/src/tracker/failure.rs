use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::EndingKind;
use crate::{BoxError, Status};

/// The text that viewers read if the worker gave no public one.
const DEFAULT_ERROR: &str = "the job failed";

/// Why a worker should stop; returned by
/// [`TrackerHandle::checkpoint`](super::TrackerHandle::checkpoint).
///
/// Return it with `?`, alone or wrapped in any other error. [`Jobs::run`](crate::Jobs::run) knows
/// that the worker was told to stop, and gives the job the matching final status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Stopped {
    /// A viewer asked to cancel. Stop at the next safe point; finished items stay counted.
    #[error("a viewer asked to cancel the job")]
    CancelRequested,
    /// The job has already ended: another worker ended it, or a janitor failed it because this
    /// worker sent no heartbeat in time. Further reports of this worker are discarded.
    #[error("the job has already ended: {0}")]
    Ended(Status),
    /// The job's attempt is over for this worker, because it sent no heartbeat in time. Another
    /// attempt may be running. Further reports of this worker are discarded.
    #[error("another attempt has taken the place of this one")]
    Superseded,
    /// Another worker of this shared job has failed. Stop at the next safe point; finished items
    /// stay counted.
    #[error("another worker of the job has failed")]
    OtherWorkerFailed,
    /// The job's record was deleted.
    #[error("the job's progress was deleted")]
    Deleted,
}

/// Why a job failed: a text for viewers, and the cause for the log.
///
/// `?` converts any type that implements [`Error`] into a `Failure`. The text of such an error is
/// **not** shown to viewers, because it may hold private details. They read "the job failed", and
/// the chain of causes goes to `tracing`. Use [`Failure::new`] to tell viewers more.
///
/// For a type that does not implement [`Error`], such as a text or a boxed error, use
/// `.map_err(|error| Failure::new("…").with_source(error))`.
///
/// ```
/// use progress_core::Failure;
///
/// fn connect() -> Result<(), Failure> {
///     let refused = std::io::Error::other("smtp://user:secret@mail:25 refused us");
///     Err(Failure::new("the mail server cannot be reached").with_source(refused))
/// }
/// let failure = connect().unwrap_err();
/// assert_eq!(failure.public(), "the mail server cannot be reached");
/// ```
///
/// If the job [may run again](crate::NewProgress::with_attempts), a failure ends only this attempt,
/// unless it is [`permanent`](Self::permanent).
pub struct Failure {
    public: String,
    source: Option<BoxError>,
    retry_after: Option<Duration>,
    is_permanent: bool,
}

impl Failure {
    /// Creates a failure with a text for viewers, who read at most 2,000 characters of it.
    #[must_use]
    pub fn new(public: impl Into<String>) -> Self {
        Self { public: public.into(), source: None, retry_after: None, is_permanent: false }
    }

    /// Adds the cause for the log.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Sets how long the next attempt should wait, from 1 ms to 365 days. It is shown to viewers;
    /// the queue that delivers the job should be told as well.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// Fails the job even if it has attempts left, because another attempt would fail as well.
    #[must_use]
    pub fn permanent(mut self) -> Self {
        self.is_permanent = true;
        self
    }

    /// Restores a failure from a boxed error, in which queues and other libraries pass it on. Any
    /// other error becomes the cause of "the job failed".
    ///
    /// ```
    /// use progress_core::{BoxError, Failure};
    ///
    /// let boxed: BoxError = Failure::new("the disk is full").into();
    /// assert_eq!(Failure::from_boxed(boxed).public(), "the disk is full");
    /// assert_eq!(Failure::from_boxed("private".into()).public(), "the job failed");
    /// ```
    #[must_use]
    pub fn from_boxed(error: BoxError) -> Self {
        match error.downcast::<BoxedFailure>() {
            Ok(failure) => failure.0,
            Err(error) => Self::new(DEFAULT_ERROR).with_source(error),
        }
    }

    /// Returns how the worker leaves the job.
    pub(crate) fn ending(&self) -> EndingKind {
        if self.is_permanent {
            EndingKind::Fail(self.public.clone())
        } else {
            EndingKind::Release(self.public.clone(), self.retry_after)
        }
    }

    /// Returns the text for viewers.
    #[must_use]
    pub fn public(&self) -> &str {
        &self.public
    }

    /// Returns the cause, if one was given.
    #[must_use]
    pub fn source(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        self.source.as_deref()
    }

    /// Returns the text and all causes in one line for the log.
    pub(crate) fn chain(&self) -> String {
        match self.source.as_deref() {
            Some(source) => format!("{}: {}", self.public, chain(source)),
            None => self.public.clone(),
        }
    }
}

/// Joins an error and its sources in one line for the log.
fn chain(error: &(dyn Error + 'static)) -> String {
    causes(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

// `Failure` does not implement `Error`, which would conflict with this impl. `?` needs it.
impl<E: Error + Send + Sync + 'static> From<E> for Failure {
    fn from(source: E) -> Self {
        Self::new(DEFAULT_ERROR).with_source(source)
    }
}

/// A failure as an error.
#[derive(Debug)]
struct BoxedFailure(Failure);

impl fmt::Display for BoxedFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.public)
    }
}

impl Error for BoxedFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl From<Failure> for BoxError {
    fn from(failure: Failure) -> Self {
        Box::new(BoxedFailure(failure))
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure")
            .field("public", &self.public)
            .field("source", &self.source)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_an_error_is_only_logged() {
        let failure = Failure::from(std::io::Error::other("canary"));
        assert_eq!(failure.public(), DEFAULT_ERROR);
        assert_eq!(failure.chain(), "the job failed: canary");
    }
}
