//! Lets one writer at a time write: first among the tasks of this process, in order of arrival,
//! then among processes.

use std::sync::Arc;
use std::time::Duration;

use progress_core::ProgressError;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::codes::is_busy;

/// How long a task waits for the others of its process: nearly as long as a call may take.
const TURN_TIMEOUT: Duration = Duration::from_secs(9);
/// The pause between two attempts. SQLite itself would soon ask for the lock only every 100 ms, and
/// a busy process leaves gaps of less than 1 ms.
const PAUSE: Duration = Duration::from_millis(1);

/// The lock that the clones of a store share.
#[derive(Debug, Default)]
pub(crate) struct WriteLock {
    turn: Arc<Mutex<()>>,
    /// How long to wait for other processes, beyond the busy timeout of the connection.
    patience: Duration,
}

impl WriteLock {
    pub(super) fn with_patience(patience: Duration) -> Self {
        Self { patience, ..Self::default() }
    }

    pub(super) async fn acquire(&self) -> Result<OwnedMutexGuard<()>, ProgressError> {
        let turn = tokio::time::timeout(TURN_TIMEOUT, Arc::clone(&self.turn).lock_owned()).await;
        turn.map_err(|_| ProgressError::unavailable("too many updates wait for the write lock"))
    }

    /// Returns the pause before another attempt to begin a transaction, unless it has waited long
    /// enough or the error is another one.
    pub(super) fn pause(&self, error: &sqlx::Error, waited: Duration) -> Option<Duration> {
        (is_busy(error) && waited < self.patience).then_some(PAUSE)
    }
}
