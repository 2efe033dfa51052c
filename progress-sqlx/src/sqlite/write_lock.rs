//! Lets one writer at a time write: first among the tasks of this process, in order of arrival,
//! then among processes.

use std::sync::Arc;
use std::time::Duration;

use progress_core::ProgressError;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::codes::is_busy;

/// How long a task waits for the others of its process: nearly as long as a call may take.
const LOCAL_LOCK_TIMEOUT: Duration = Duration::from_secs(9);
/// The pause between two attempts. SQLite itself would soon ask for the lock only every 100 ms, and
/// a busy process leaves gaps of less than 1 ms.
const RETRY_DELAY: Duration = Duration::from_millis(1);

/// The lock that the clones of a store share.
#[derive(Debug, Default)]
pub(crate) struct WriteLock {
    mutex: Arc<Mutex<()>>,
    /// How long to wait for other processes, beyond the busy timeout of the connection.
    busy_timeout: Duration,
}

impl WriteLock {
    pub(super) fn with_busy_timeout(busy_timeout: Duration) -> Self {
        Self { busy_timeout, ..Self::default() }
    }

    pub(super) async fn acquire(&self) -> Result<OwnedMutexGuard<()>, ProgressError> {
        let guard =
            tokio::time::timeout(LOCAL_LOCK_TIMEOUT, Arc::clone(&self.mutex).lock_owned()).await;
        guard.map_err(|_| ProgressError::unavailable("too many updates wait for the write lock"))
    }

    /// Returns the delay before another attempt to begin a transaction, unless it has waited long
    /// enough or the error is another one.
    pub(super) fn retry_delay(&self, error: &sqlx::Error, waited: Duration) -> Option<Duration> {
        (is_busy(error) && waited < self.busy_timeout).then_some(RETRY_DELAY)
    }
}
