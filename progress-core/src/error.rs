use std::borrow::Cow;

use crate::{ProgressId, Status};

/// A boxed error, as the source of a [`ProgressError`].
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// An error of a store call, or of the data that a caller passes.
///
/// `Display` never includes the [source](std::error::Error::source). Log the whole chain, and show
/// none of it to a browser.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProgressError {
    /// A record with this id exists. After a failed create with the same
    /// [`NewProgress`](crate::NewProgress), this means that the first attempt succeeded.
    #[error("progress {0} already exists")]
    AlreadyExists(ProgressId),
    /// No record has this id, or it was deleted.
    #[error("progress {0} does not exist")]
    NotFound(ProgressId),
    /// The state machine does not allow the change in the job's current state. Nothing was changed.
    #[error("progress {id} is {status} and does not allow this change")]
    Refused {
        /// The job.
        id: ProgressId,
        /// The job's status.
        status: Status,
    },
    /// The caller's data is invalid; the text says what is allowed.
    #[error("invalid progress data: {0}")]
    Invalid(Cow<'static, str>),
    /// The store cannot serve the call now (no connection, locked, full, too slow); it may succeed
    /// later. The failed call may have taken effect, so only a stamped update is safe to repeat.
    #[error("the progress store is unavailable")]
    Unavailable(#[source] BoxError),
    /// The store is not set up: its tables are missing, or its address is malformed. The text says
    /// what to do and contains no password.
    #[error("{0}")]
    Setup(Cow<'static, str>),
    /// The store failed in a way that a retry does not solve: an unreadable row, a missing
    /// privilege.
    #[error("the progress store failed")]
    Store(#[source] BoxError),
}

impl ProgressError {
    /// Creates an [`Invalid`](Self::Invalid) error with the reason.
    #[must_use]
    pub fn invalid(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Invalid(reason.into())
    }

    /// Creates an [`Unavailable`](Self::Unavailable) error with its cause.
    #[must_use]
    pub fn unavailable(source: impl Into<BoxError>) -> Self {
        Self::Unavailable(source.into())
    }

    /// Creates a [`Setup`](Self::Setup) error with the instruction that solves it.
    #[must_use]
    pub fn setup(instruction: impl Into<Cow<'static, str>>) -> Self {
        Self::Setup(instruction.into())
    }

    /// Creates a [`Store`](Self::Store) error with its cause.
    #[must_use]
    pub fn store(source: impl Into<BoxError>) -> Self {
        Self::Store(source.into())
    }

    /// Whether the store failed, and not the caller.
    #[cfg(feature = "metrics")]
    pub(crate) const fn is_of_store(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Setup(_) | Self::Store(_))
    }

    /// Whether the same call may succeed later without any other change.
    ///
    /// ```
    /// use progress_core::{ProgressError, ProgressId};
    ///
    /// assert!(ProgressError::unavailable("connection reset").is_transient());
    /// assert!(!ProgressError::NotFound(ProgressId::new()).is_transient());
    /// ```
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    #[test]
    fn display_never_prints_the_source() {
        for error in
            [ProgressError::unavailable("password=canary"), ProgressError::store("SELECT canary")]
        {
            assert!(!error.to_string().contains("canary"));
            assert!(error.source().unwrap().to_string().contains("canary"));
        }
    }
}
