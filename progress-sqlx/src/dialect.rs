//! What the stores need of a database. Everything above this trait is written once; what is below differs from one
//! database to the next, or in types alone, and then the macro at the end writes it.

use std::fmt::Debug;
use std::time::Duration;

use progress_core::ProgressError;
use sqlx::Transaction;

use crate::convert;
use crate::statements::Statements;
use crate::store::{Body, Deadlines};

/// The parameters of a statement, in order.
macro_rules! values {
    ($($value:expr),* $(,)?) => {
        vec![$($crate::dialect::Value::from($value)),*]
    };
}
pub(crate) use values;

/// A parameter: integers and text are all that is ever bound.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Integer(Option<i64>),
    Text(Option<String>),
}

pub(crate) trait Dialect: sqlx::Database {
    const STATEMENTS: &'static Statements;
    /// Updates in one transaction, and records deleted or failed in one. More would gain little and make others wait.
    const BATCH: u32;
    const DEADLINES: Deadlines;
    /// Whether a connection answers only for as long as the runtime that made it drives its socket.
    const NEEDS_ITS_RUNTIME: bool;
    /// What the clones of a store share, beside their pools.
    type Shared: Debug + Clone + Default + Send + Sync;
    /// What is released after the end of a transaction.
    type Guard: Send;

    fn begin(body: &Body<Self>) -> impl Future<Output = Result<Turn<Self>, ProgressError>> + Send;

    /// Runs a statement that changes rows, and returns how many it found to change.
    fn execute(
        connection: &mut Self::Connection,
        statement: &'static str,
        values: Vec<Value>,
    ) -> impl Future<Output = Result<u64, sqlx::Error>> + Send;

    fn fetch(
        connection: &mut Self::Connection,
        statement: &'static str,
        values: Vec<Value>,
    ) -> impl Future<Output = Result<Vec<Self::Row>, sqlx::Error>> + Send;

    /// Runs a statement whose first parameter is the id of a record that it changes or makes, and returns the record as
    /// it then is; `None` when the guard let nothing through.
    fn change(
        connection: &mut Self::Connection,
        statement: &'static str,
        values: Vec<Value>,
    ) -> impl Future<Output = Result<Option<Self::Row>, sqlx::Error>> + Send;

    /// Raises a writer's number; false when it was as high before.
    fn stamp(
        connection: &mut Self::Connection,
        values: Vec<Value>,
    ) -> impl Future<Output = Result<bool, sqlx::Error>> + Send;

    /// The ids of running jobs that gave no sign of life for longer than this, at most [`BATCH`](Self::BATCH) of them. They
    /// stay so until the end of the turn, whose two halves are given.
    fn silent(
        connection: &mut Self::Connection,
        _guard: &mut Self::Guard,
        silent_for: Duration,
    ) -> impl Future<Output = Result<Vec<String>, sqlx::Error>> + Send {
        let values = values![convert::millis(silent_for), i64::from(Self::BATCH)];
        async move { ids::<Self>(&Self::fetch(connection, Self::STATEMENTS.silent, values).await?) }
    }

    /// Runs several statements without parameters.
    fn script(
        connection: &mut Self::Connection,
        script: &'static str,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    fn integer(row: &Self::Row, column: &str) -> Result<Option<i64>, sqlx::Error>;

    fn text<'a>(row: &'a Self::Row, column: &str) -> Result<Option<&'a str>, sqlx::Error>;
}

/// A transaction. Dropped without a commit, also by a cancelled call, it is rolled back before anybody else gets its
/// connection.
pub(crate) struct Turn<D: Dialect> {
    // Before the guard: fields are dropped in this order.
    pub(crate) transaction: Transaction<'static, D>,
    pub(crate) guard: D::Guard,
}

impl<D: Dialect> Turn<D> {
    pub(crate) async fn commit(self) -> Result<(), ProgressError> {
        self.transaction.commit().await.map_err(crate::error::classify)
    }
}

/// The ids of records as they stand there: one that nobody can read must not keep others from being swept.
pub(crate) fn ids<D: Dialect>(rows: &[D::Row]) -> Result<Vec<String>, sqlx::Error> {
    rows.iter().map(|row| Ok(D::text(row, "id")?.unwrap_or_default().to_owned())).collect()
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(Some(value))
    }
}

impl From<Option<i64>> for Value {
    fn from(value: Option<i64>) -> Self {
        Self::Integer(value)
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(Some(value))
    }
}

impl From<Option<String>> for Value {
    fn from(value: Option<String>) -> Self {
        Self::Text(value)
    }
}

/// The methods of [`Dialect`] whose bodies are equal but for types.
macro_rules! driver {
    ($connection:ty, $row:ty, $bind:path) => {
        async fn execute(
            connection: &mut $connection,
            statement: &'static str,
            values: Vec<$crate::dialect::Value>,
        ) -> Result<u64, sqlx::Error> {
            Ok($bind(statement, values).execute(connection).await?.rows_affected())
        }

        async fn fetch(
            connection: &mut $connection,
            statement: &'static str,
            values: Vec<$crate::dialect::Value>,
        ) -> Result<Vec<$row>, sqlx::Error> {
            $bind(statement, values).fetch_all(connection).await
        }

        async fn script(
            connection: &mut $connection,
            script: &'static str,
        ) -> Result<(), sqlx::Error> {
            sqlx::raw_sql(script).execute(connection).await.map(|_| ())
        }

        fn integer(row: &$row, column: &str) -> Result<Option<i64>, sqlx::Error> {
            sqlx::Row::try_get(row, column)
        }

        fn text<'a>(row: &'a $row, column: &str) -> Result<Option<&'a str>, sqlx::Error> {
            sqlx::Row::try_get(row, column)
        }
    };
}
pub(crate) use driver;

/// The same for databases whose `UPDATE` and `INSERT` return what they have made, and say what a conflict did.
#[cfg(any(feature = "_sqlite", feature = "postgres"))]
macro_rules! returning_driver {
    ($connection:ty, $row:ty) => {
        $crate::dialect::driver!($connection, $row, bind);

        async fn change(
            connection: &mut $connection,
            statement: &'static str,
            values: Vec<$crate::dialect::Value>,
        ) -> Result<Option<$row>, sqlx::Error> {
            bind(statement, values).fetch_optional(connection).await
        }

        async fn stamp(
            connection: &mut $connection,
            values: Vec<$crate::dialect::Value>,
        ) -> Result<bool, sqlx::Error> {
            Ok(Self::execute(connection, Self::STATEMENTS.stamp, values).await? > 0)
        }
    };
}
#[cfg(any(feature = "_sqlite", feature = "postgres"))]
pub(crate) use returning_driver;

/// A query with its parameters, for a database that counts them as the statements do.
#[cfg(any(feature = "_sqlite", feature = "postgres"))]
macro_rules! bind {
    ($database:ty, $arguments:ty) => {
        fn bind(
            statement: &'static str,
            values: Vec<$crate::dialect::Value>,
        ) -> sqlx::query::Query<'static, $database, $arguments> {
            values.into_iter().fold(sqlx::query(statement), |query, value| match value {
                $crate::dialect::Value::Integer(value) => query.bind(value),
                $crate::dialect::Value::Text(value) => query.bind(value),
            })
        }
    };
}
#[cfg(any(feature = "_sqlite", feature = "postgres"))]
pub(crate) use bind;
