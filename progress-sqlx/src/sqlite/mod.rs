pub(crate) mod codes;
mod connect;
mod migrate;
mod statements;
mod turn;
mod watch;

use std::time::{Duration, Instant};

use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnection, SqlitePool, SqliteRow};
use tokio::sync::OwnedMutexGuard;

use self::turn::Turns;
use self::watch::{Running, Watch};
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
/// - **Times are those of the processes**, for SQLite has no clock of its own. A clock that is wrong makes wrong times, never
///   a negative duration, and it costs no job its life: a worker is lost when a janitor's store has seen the same heartbeat
///   for as long as that takes, by a clock that never jumps. So a store knows nothing from before it was opened: jobs whose
///   workers died while nobody looked are failed one lease after the janitor has come back, and a program that opens the
///   store for a single sweep fails none. And `stale`, which a reader cannot observe, is a comparison of clocks.
/// - **Network file systems** do not lock as SQLite needs; keep the file on a local disk.
/// - **A file that cannot be written for a while** is written again when it can be. A connection that is opened meanwhile can
///   only read, for good; `connect` opens another one then, but the application's own pool is not ours to replace.
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
    const DEADLINES: Deadlines =
        Deadlines { read: Duration::from_secs(6), write: Duration::from_secs(36) };
    /// They are threads of their own, and a database in memory is in one of them.
    const NEEDS_ITS_RUNTIME: bool = false;
    type Shared = Turns;
    type Guard = OwnedMutexGuard<Watch>;

    async fn begin(body: &Body<Self>) -> Result<Turn<Self>, progress_core::ProgressError> {
        turn::begin(body).await
    }

    /// By observation: there is no clock that all processes share.
    async fn silent(
        connection: &mut SqliteConnection,
        watch: &mut OwnedMutexGuard<Watch>,
        silent_for: Duration,
    ) -> Result<Vec<String>, sqlx::Error> {
        let now = Instant::now();
        let found = Self::fetch(connection, Self::STATEMENTS.silent, Vec::new()).await?;
        let running = found.iter().map(running).collect::<Result<Vec<_>, _>>()?;
        watch.look(running.into_iter(), now);
        Ok(watch.silent_for(silent_for).take(Self::BATCH as usize).cloned().collect())
    }

    returning_driver!(SqliteConnection, SqliteRow);
}

fn running(row: &SqliteRow) -> Result<Running, sqlx::Error> {
    let time = |column| Ok::<_, sqlx::Error>(Sqlite::integer(row, column)?.unwrap_or_default());
    Ok(Running {
        id: Sqlite::text(row, "id")?.unwrap_or_default().to_owned(),
        heartbeat_at: time("heartbeat_at")?,
        observed_at: time("observed_at")?,
    })
}
