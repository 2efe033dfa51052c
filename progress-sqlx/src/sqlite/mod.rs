mod changes;
pub(crate) mod codes;
mod connect;
mod statements;
mod write_lock;

use std::time::Duration;

use progress_core::{Changes, ProgressError, Status};
use serde_json::Value as Cell;
use sqlx::Row as _;
use sqlx::sqlite::{Sqlite, SqliteConnection};
use tokio::sync::OwnedMutexGuard;

use self::write_lock::WriteLock;
use crate::dialect::{Deadlines, Dialect, ListPage, query};
use crate::impl_store::impl_progress_store;
use crate::statements::Statements;
use crate::store::SqlStore;
use crate::value::{Value, values};

/// A store of progress records in SQLite.
///
/// [`connect`](Self::connect) opens a file of its own; [`new`](Self::new) shares the application's
/// pool. Clones are the same store.
///
/// # Limits
///
/// - **One writer at a time** in the whole file, whatever the number of processes. A write that
///   waits longer than 9 s for its own process or 5 s for others fails as
///   [`Unavailable`](progress_core::ProgressError::Unavailable).
/// - **A power cut** may lose the last commits: `connect` uses `synchronous = NORMAL`, which never
///   damages the file when it has a write-ahead log. A killed process loses nothing that was
///   acknowledged. To keep the last commits too, share a pool with `synchronous = FULL`.
/// - **Times come from the clocks of the processes**, because SQLite has no clock of its own. A
///   wrong clock causes wrong times, but no negative durations. It fails no job, because janitors
///   observe whether heartbeats change. `stale` compares clocks, because a reader cannot observe
///   changes.
/// - **Network file systems** do not lock as SQLite needs. Keep the file on a local disk.
/// - **A file that cannot be written for a while** is written again when it can be. A connection
///   that is opened meanwhile stays read-only. A store from `connect` then opens another one; a
///   store from `new` never replaces the application's pool.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    store: SqlStore<Sqlite>,
}

impl_progress_store!(SqliteStore);

impl Dialect for Sqlite {
    const STATEMENTS: &'static Statements = &statements::STATEMENTS;
    /// A write waits up to 9 s for its turn in this process, and up to 5 s for other processes. The
    /// deadline is longer than 9 s, so that the error names what the write waited for. It is
    /// shorter than the 10 s that the flush loop of a tracker gives a call.
    const DEADLINES: Deadlines =
        Deadlines { read: Duration::from_secs(1), write: Duration::from_millis(9_500) };
    /// Each connection is a thread of its own, and one of them holds an in-memory database.
    const NEEDS_RUNTIME: bool = false;
    const MAX_ROWS_LENGTH: usize = usize::MAX;
    type DialectState = WriteLock;
    type WriteGuard = OwnedMutexGuard<()>;
    /// The elements of a JSON array.
    type Cells = Vec<Cell>;

    async fn write_lock(store: &SqlStore<Self>) -> Result<Self::WriteGuard, ProgressError> {
        store.state.dialect_state.acquire().await
    }

    fn changes(store: &SqlStore<Self>) -> Option<Changes> {
        changes::subscribe(store)
    }

    fn list(page: ListPage) -> Result<Vec<Value>, ProgressError> {
        let mut values = values![page.before, page.before_id, page.limit];
        if let Some(statuses) = page.statuses {
            let names = (0..Status::ALL.len())
                .map(|place| statuses.get(place).map(|status| status.as_str()));
            values.extend(names.map(Value::from));
        }
        values.extend(page.task_type.map(Value::from));
        values.extend(page.owner.map(Value::from));
        Ok(values)
    }

    fn retry_delay(
        store: &SqlStore<Self>,
        error: &sqlx::Error,
        waited: Duration,
    ) -> Option<Duration> {
        store.state.dialect_state.retry_delay(error, waited)
    }

    async fn fetch(
        connection: &mut SqliteConnection,
        statement: &'static str,
        values: Vec<Value>,
        is_kept: bool,
    ) -> Result<Vec<Self::Cells>, sqlx::Error> {
        let rows = query!(statement, values, is_kept).fetch_all(connection).await?;
        let mut cells = Vec::new();
        for row in rows {
            // A value that another program has damaged must not make other rows unreadable.
            let text: Option<&[u8]> = row.try_get_unchecked(0)?;
            let text = String::from_utf8_lossy(text.unwrap_or_default());
            let arrays = serde_json::Deserializer::from_str(&text).into_iter();
            cells.extend(arrays.map(|array| array.map_err(decode)).collect::<Result<Vec<_>, _>>()?);
        }
        Ok(cells)
    }

    async fn execute(
        connection: &mut SqliteConnection,
        statement: &'static str,
        values: Vec<Value>,
        is_kept: bool,
    ) -> Result<u64, sqlx::Error> {
        let query = query!(statement, values, is_kept);
        query.execute(connection).await.map(|done| done.rows_affected())
    }

    async fn script(
        connection: &mut SqliteConnection,
        script: &'static str,
    ) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(script).execute(connection).await.map(|_| ())
    }

    fn integer(cells: &Self::Cells, column: usize) -> Result<Option<i64>, sqlx::Error> {
        match cells.get(column) {
            Some(Cell::Null) => Ok(None),
            Some(Cell::Number(number)) => {
                number.as_i64().map(Some).ok_or_else(|| decode("not an integer"))
            }
            _ => Err(decode("not an integer")),
        }
    }

    fn text(cells: &Self::Cells, column: usize) -> Result<Option<&str>, sqlx::Error> {
        match cells.get(column) {
            Some(Cell::Null) => Ok(None),
            Some(Cell::String(text)) => Ok(Some(text)),
            _ => Err(decode("not text")),
        }
    }
}

fn decode(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}
