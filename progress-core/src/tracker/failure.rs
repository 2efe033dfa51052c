use std::error::Error;
use std::fmt;

use crate::{BoxError, Status};

/// What viewers read of a job that failed without words meant for them.
const DEFAULT_ERROR: &str = "the job failed";

/// Why a worker should stop: what [`TrackerHandle::checkpoint`](super::TrackerHandle::checkpoint) says.
///
/// Return it with `?`, alone or wrapped in any other error: [`Jobs::run`](crate::Jobs::run) knows what
/// it told the worker, and ends the job as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Stopped {
    /// A viewer asked to cancel. Stop where it is safe to; what is done is counted.
    #[error("a viewer asked to cancel the job")]
    CancelRequested,
    /// The job has ended without this worker: it was taken for dead while it slept, or another worker ended it.
    /// Nothing this worker reports is taken any more.
    #[error("the job has already ended: {0}")]
    Ended(Status),
    /// Another worker of this shared job has failed. Stop where it is safe to; what is done is counted.
    #[error("another worker of the job has failed")]
    OtherWorkerFailed,
    /// The record is gone.
    #[error("the job's progress was deleted")]
    Deleted,
}

/// Why a job failed: one text for its viewers, and the cause for the log.
///
/// `?` turns any type that implements [`Error`] into one; for what does not, such as a text or a boxed error, there is
/// `.map_err(|error| Failure::new("…").with_source(error))`. The words of an error are then **not** shown to viewers, because
/// they may hold what is none of their business; they read "the job failed", and the chain of causes goes to `tracing`. Say
/// more with [`Failure::new`].
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
pub struct Failure {
    public: String,
    source: Option<BoxError>,
}

impl Failure {
    /// A failure in words for viewers; at most 2,000 characters reach them.
    #[must_use]
    pub fn new(public: impl Into<String>) -> Self {
        Self { public: public.into(), source: None }
    }

    /// Adds the cause, for the log.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What viewers read.
    #[must_use]
    pub fn public(&self) -> &str {
        &self.public
    }

    /// The cause.
    #[must_use]
    pub fn source(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        self.source.as_deref()
    }

    /// The causes in one line, for a log.
    pub(crate) fn chain(&self) -> String {
        match self.source.as_deref() {
            Some(source) => format!("{}: {}", self.public, chain(source)),
            None => self.public.clone(),
        }
    }
}

/// An error and its sources in one line, for a log.
fn chain(error: &(dyn Error + 'static)) -> String {
    causes(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

// Failure is not an Error itself: it could not have this impl then, which is what makes `?` work.
impl<E: Error + Send + Sync + 'static> From<E> for Failure {
    fn from(source: E) -> Self {
        Self::new(DEFAULT_ERROR).with_source(source)
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
    fn the_words_of_an_error_are_for_the_log_only() {
        let failure = Failure::from(std::io::Error::other("canary"));
        assert_eq!(failure.public(), DEFAULT_ERROR);
        assert_eq!(failure.chain(), "the job failed: canary");
    }
}
