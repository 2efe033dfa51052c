use std::borrow::Cow;

use crate::{ProgressId, Status};

/// Any error, boxed, as the source of ours.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What can go wrong between a caller and a store.
///
/// `Display` says what we were doing and never prints the [source](std::error::Error::source): log the chain, and show
/// none of it to a browser.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProgressError {
    /// A record with this id exists. After a failed create with the same [`NewProgress`](crate::NewProgress) it means
    /// that the first attempt got through.
    #[error("progress {0} already exists")]
    AlreadyExists(ProgressId),
    /// There is no record with this id, or no longer.
    #[error("progress {0} does not exist")]
    NotFound(ProgressId),
    /// The state machine does not allow this while the job stands where it does. Nothing was changed.
    #[error("progress {id} is {status} and refuses this change")]
    Refused {
        /// The job.
        id: ProgressId,
        /// Where it stands.
        status: Status,
    },
    /// The caller's data cannot be taken; the text says what would be.
    #[error("invalid progress data: {0}")]
    Invalid(Cow<'static, str>),
    /// The store cannot do it now (no connection, locked, full, too slow); the same call may succeed later. It may also
    /// have happened: only a stamped update can be repeated blindly.
    #[error("the progress store is unavailable")]
    Unavailable(#[source] BoxError),
    /// The store is not set up: its tables are missing, its address is malformed. The text says what to
    /// do and repeats no password.
    #[error("{0}")]
    Setup(Cow<'static, str>),
    /// The store failed in a way that repeating will not mend: an unreadable row, a missing privilege.
    #[error("the progress store failed")]
    Store(#[source] BoxError),
}

impl ProgressError {
    /// [`Invalid`](Self::Invalid), with the reason.
    #[must_use]
    pub fn invalid(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Invalid(reason.into())
    }

    /// [`Unavailable`](Self::Unavailable), with its cause.
    #[must_use]
    pub fn unavailable(source: impl Into<BoxError>) -> Self {
        Self::Unavailable(source.into())
    }

    /// [`Setup`](Self::Setup), with what to do about it.
    #[must_use]
    pub fn setup(instruction: impl Into<Cow<'static, str>>) -> Self {
        Self::Setup(instruction.into())
    }

    /// [`Store`](Self::Store), with its cause.
    #[must_use]
    pub fn store(source: impl Into<BoxError>) -> Self {
        Self::Store(source.into())
    }

    /// Whether the same call may succeed later without anybody changing anything.
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
