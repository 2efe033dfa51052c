pub(crate) mod codes;
mod connect;
mod migrate;
mod statements;
mod turn;

use std::time::Duration;

use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnection, SqlitePool, SqliteRow};
use tokio::sync::OwnedMutexGuard;

use self::turn::Turns;
use crate::dialect::{Dialect, Turn, bind, returning_driver};
use crate::facade::store;
use crate::statements::Statements;
use crate::store::{Body, Deadlines};

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
    body: Body<Sqlite>,
}

store! {
    /// Give the pool the write-ahead log and a busy timeout. A database in memory needs a pool of one connection that is
    /// never recycled (no idle timeout, no maximal lifetime, `test_before_acquire(false)`).
    SqliteStore(SqlitePool)
}

bind!(Sqlite, SqliteArguments);

impl Dialect for Sqlite {
    const STATEMENTS: &'static Statements = &statements::STATEMENTS;
    const BATCH: u32 = 500;
    /// What a store waits for by itself ends first: its turn, other processes.
    const DEADLINES: Deadlines = Deadlines { read: Duration::from_secs(6), write: Duration::from_secs(36) };
    /// They are threads of their own, and a database in memory is in one of them.
    const NEEDS_ITS_RUNTIME: bool = false;
    type Shared = Turns;
    type Guard = OwnedMutexGuard<()>;

    async fn begin(body: &Body<Self>) -> Result<Turn<Self>, progress_core::ProgressError> {
        turn::begin(body).await
    }

    returning_driver!(SqliteConnection, SqliteRow);
}
