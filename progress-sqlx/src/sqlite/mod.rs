mod connect;
mod delete;
mod migrate;
mod row;
mod statements;
mod store;
mod turn;
mod update;

use std::sync::Arc;
use std::time::Duration;

use progress_core::DEFAULT_LOG_LIMIT;
use sqlx::sqlite::SqlitePool;
use tokio::sync::Mutex;

/// Progress records in SQLite.
///
/// [`connect`](Self::connect) opens a file of its own; [`new`](Self::new) shares the application's pool. Clones are the
/// same store.
///
/// # Limits
///
/// - **One writer at a time**, in the whole file, whatever the number of processes: thousands of updates per second, not
///   tens of thousands. A writer that waits longer than the busy timeout (5 s) is told
///   [`Unavailable`](progress_core::ProgressError::Unavailable).
/// - **A power cut** may take the last commits: `connect` uses `synchronous = NORMAL`, which with the write-ahead log never
///   damages the file. A process that is killed loses nothing that was acknowledged. For the last commits too, share a
///   pool with `synchronous = FULL`.
/// - **Network file systems** do not lock as SQLite needs; keep the file on a local disk.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    writer: SqlitePool,
    reader: SqlitePool,
    log_limit: u32,
    /// Whose turn it is to write, among the tasks of this store.
    turn: Arc<Mutex<()>>,
    /// How long to wait for other processes, beyond the busy timeout of the connection.
    patience: Duration,
}

impl SqliteStore {
    /// A store in a database that the application has opened. The pool is used as it is, and nothing is created: call
    /// [`migrate`](Self::migrate).
    ///
    /// Give the pool the write-ahead log and a busy timeout. A database in memory needs a pool of one connection that is
    /// never recycled (no idle timeout, no maximal lifetime, `test_before_acquire(false)`).
    #[must_use]
    pub fn new(pool: SqlitePool) -> Self {
        Self {
            writer: pool.clone(),
            reader: pool,
            log_limit: DEFAULT_LOG_LIMIT,
            turn: Arc::default(),
            patience: Duration::ZERO,
        }
    }

    /// Keeps this many of the newest entries of each log, instead of 1,000. A log that is longer shrinks when it is next
    /// written to.
    #[must_use]
    pub fn with_log_limit(mut self, entries: u32) -> Self {
        self.log_limit = entries;
        self
    }
}
