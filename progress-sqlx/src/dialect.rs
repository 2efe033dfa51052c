//! What a store needs from a database. All code above this trait is shared by the databases.

use std::fmt::Debug;
use std::time::Duration;

use progress_core::{Changes, ProgressError, ProgressId, Status};

use crate::statements::Statements;
use crate::store::SqlStore;
use crate::value::{Value, values};

/// The maximum duration of a call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadlines {
    pub(crate) read: Duration,
    pub(crate) write: Duration,
}

/// What fits into one TLS record with the rest of a statement (RFC 8446, section 5.1).
///
/// sqlx 0.9.0 sends each record of a longer statement by itself and does not set `TCP_NODELAY`. The
/// last one then waits until the server acknowledges the one before, 40 ms on Linux
/// ([issue 4335](https://github.com/launchbadge/sqlx/issues/4335)).
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) const ONE_TLS_RECORD: usize = 16_000;

/// A page of a list: records created before a position. The statement of a list has the parameters
/// that are set.
pub(crate) struct ListPage {
    pub(crate) before: i64,
    pub(crate) before_id: String,
    pub(crate) limit: u32,
    pub(crate) statuses: Option<Vec<Status>>,
    pub(crate) task_type: Option<String>,
    pub(crate) owner: Option<String>,
}

/// A page of a log. `kept` is the maximum number of entries in the log.
pub(crate) struct LogPage {
    pub(crate) id: String,
    pub(crate) after: u64,
    pub(crate) limit: u32,
    pub(crate) kept: u32,
}

pub(crate) trait Dialect: sqlx::Database {
    const STATEMENTS: &'static Statements;
    const DEADLINES: Deadlines;
    /// Whether a connection works only while the runtime that opened it is running. Reads of such a
    /// store also run on the store's own runtime.
    const NEEDS_RUNTIME: bool;
    /// The most bytes of rows that a statement should send.
    const MAX_ROWS_LENGTH: usize;
    /// State that the clones of a store share, besides their connections.
    type DialectState: Debug + Send + Sync;
    /// Held from before a writing transaction until after its end.
    type WriteGuard: Send;
    /// One row that was read.
    type Cells: Send + Sync;

    fn write_lock(
        store: &SqlStore<Self>,
    ) -> impl Future<Output = Result<Self::WriteGuard, ProgressError>> + Send;

    /// Returns the delay before another attempt to open a connection or to begin a transaction,
    /// given the error and the time waited so far. `None` means that there is no further attempt.
    fn retry_delay(_: &SqlStore<Self>, _: &sqlx::Error, _: Duration) -> Option<Duration> {
        None
    }

    /// Returns the parameters of the statements that list records.
    fn list(page: ListPage) -> Result<Vec<Value>, ProgressError>;

    /// Returns the parameters of the statement `old`.
    fn old(age: i64, limit: u32) -> Vec<Value> {
        values![age, limit]
    }

    /// Returns the parameters of the statement `owned`.
    fn owned(owner: &str, limit: u32) -> Vec<Value> {
        values![owner, limit]
    }

    /// Returns the parameters of the statement `entries`.
    fn entries(page: LogPage) -> Vec<Value> {
        values![page.id, page.after, page.limit, page.kept]
    }

    /// Whether statements stay prepared between calls. A pooler in transaction mode does not allow
    /// this.
    fn keeps_statements(_store: &SqlStore<Self>) -> bool {
        true
    }

    /// Prepares a connection for statements outside a transaction.
    fn before_statements(
        _store: &SqlStore<Self>,
        _connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send {
        std::future::ready(Ok(()))
    }

    /// Subscribes to hints about changes, if the database has any.
    fn changes(_store: &SqlStore<Self>) -> Option<Changes> {
        None
    }

    /// Notifies other processes of records and their new versions.
    fn announce(
        _store: &SqlStore<Self>,
        _changed: Vec<(ProgressId, u64)>,
    ) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// Runs a statement and returns its rows. Unless it is kept, the statement is prepared again
    /// for each call.
    fn fetch(
        connection: &mut Self::Connection,
        statement: &'static str,
        values: Vec<Value>,
        is_kept: bool,
    ) -> impl Future<Output = Result<Vec<Self::Cells>, sqlx::Error>> + Send;

    /// Runs a statement that writes, and returns the number of its records.
    fn execute(
        connection: &mut Self::Connection,
        statement: &'static str,
        values: Vec<Value>,
        is_kept: bool,
    ) -> impl Future<Output = Result<u64, sqlx::Error>> + Send;

    /// Runs several statements without parameters.
    fn script(
        connection: &mut Self::Connection,
        script: &'static str,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    fn integer(row: &Self::Cells, column: usize) -> Result<Option<i64>, sqlx::Error>;

    fn text(row: &Self::Cells, column: usize) -> Result<Option<&str>, sqlx::Error>;
}

/// Builds a query from a statement and its parameters.
macro_rules! query {
    ($statement:expr, $values:expr, $is_kept:expr) => {{
        let query = sqlx::query($statement).persistent($is_kept);
        $values.into_iter().fold(query, |query, value| match value {
            $crate::value::Value::Integer(value) => query.bind(value),
            $crate::value::Value::Text(value) => query.bind(value),
        })
    }};
}
pub(crate) use query;

/// The methods of [`Dialect`] that differ between servers only in their types.
#[cfg(any(feature = "postgres", feature = "mysql"))]
macro_rules! driver {
    ($connection:ty, $row:ty) => {
        type Cells = $row;

        async fn fetch(
            connection: &mut $connection,
            statement: &'static str,
            values: Vec<$crate::value::Value>,
            is_kept: bool,
        ) -> Result<Vec<$row>, sqlx::Error> {
            $crate::dialect::query!(statement, values, is_kept).fetch_all(connection).await
        }

        async fn execute(
            connection: &mut $connection,
            statement: &'static str,
            values: Vec<$crate::value::Value>,
            is_kept: bool,
        ) -> Result<u64, sqlx::Error> {
            let query = $crate::dialect::query!(statement, values, is_kept);
            query.execute(connection).await.map(|done| done.rows_affected())
        }

        async fn script(
            connection: &mut $connection,
            script: &'static str,
        ) -> Result<(), sqlx::Error> {
            sqlx::raw_sql(script).execute(connection).await.map(|_| ())
        }

        fn integer(row: &$row, column: usize) -> Result<Option<i64>, sqlx::Error> {
            sqlx::Row::try_get(row, column)
        }

        fn text(row: &$row, column: usize) -> Result<Option<&str>, sqlx::Error> {
            sqlx::Row::try_get(row, column)
        }
    };
}
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) use driver;
