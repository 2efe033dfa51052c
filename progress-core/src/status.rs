use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ProgressError;

/// The state of a job.
///
/// | from | to | because |
/// |---|---|---|
/// | `Pending` | `Running` | a worker took the job |
/// | `Pending` | `Failed` | the queue refused the job, or its input is gone |
/// | `Pending` | `Cancelled` | a viewer cancelled it, and no worker has to obey |
/// | `Running` | `Completed` | the worker reached the end; single items may have failed |
/// | `Running` | `Failed` | the worker gave up, or died and was declared lost |
/// | `Running` | `Cancelled` | the worker obeyed a cancel request |
/// | `Running` | `Pending` | the attempt ended, and [another](crate::NewProgress::with_attempts) may follow |
///
/// There is no other edge: what viewers see of a finished job never changes. The state machine is
/// complete, so this enum is exhaustive on purpose, and a `match` needs no wildcard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Created, or between two attempts; no worker has it.
    Pending,
    /// A worker has started it.
    Running,
    /// Ended: the worker reached the end. Single items may have failed.
    Completed,
    /// Ended: the worker gave up or was lost.
    Failed,
    /// Ended at the request of a viewer.
    Cancelled,
}

impl Status {
    /// Every status, in the order of a job's life.
    pub const ALL: [Self; 5] =
        [Self::Pending, Self::Running, Self::Completed, Self::Failed, Self::Cancelled];

    /// Returns the name used in storage and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether the job has ended. Its record does not change any more.
    #[must_use]
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// Whether the job is pending or running: the opposite of [`is_finished`](Self::is_finished).
    #[must_use]
    pub const fn is_active(self) -> bool {
        !self.is_finished()
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Status {
    type Err = ProgressError;

    /// # Errors
    ///
    /// [`ProgressError::Invalid`] unless the text is one of the five names of [`Status::as_str`].
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or_else(|| {
            ProgressError::invalid(
                "a status must be one of pending, running, completed, failed, cancelled",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_serde_agree() {
        for status in Status::ALL {
            assert_eq!(status.as_str().parse::<Status>().unwrap(), status);
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
            assert_ne!(status.is_active(), status.is_finished());
        }
        assert!("in_progress".parse::<Status>().is_err());
    }
}
