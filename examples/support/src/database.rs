//! The application's own tables, in the same database as the library's, of any of three kinds.
//!
//! An application usually knows its kind of database. It then needs none of this, only a pool of
//! that kind and plain queries.

use std::str::FromStr;
use std::time::Duration;

use sqlx::mysql::{MySqlPool, MySqlPoolOptions};
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteSynchronous};

const CONNECTIONS: u32 = 4;
/// How long a request waits for a connection, or for a lock of SQLite.
const PATIENCE: Duration = Duration::from_secs(5);

/// A pool of a few connections to the database.
///
/// Unlike those of the library's store, they do not recover by themselves when a network drops them
/// silently: the progress of a job stays correct then, but invoices and queue wait until the system
/// notices.
#[derive(Debug, Clone)]
pub enum Database {
    /// A file, shared by the processes of one machine.
    Sqlite(SqlitePool),
    /// A PostgreSQL server.
    Postgres(PgPool),
    /// A MySQL or MariaDB server.
    MySql(MySqlPool),
}

/// The scripts that create the application's tables if they are missing, one for each kind of
/// database. Several processes may run a script at once.
#[derive(Debug, Clone, Copy)]
pub struct Tables {
    /// The script for SQLite.
    pub sqlite: &'static str,
    /// The script for PostgreSQL.
    pub postgres: &'static str,
    /// The script for MySQL and MariaDB.
    pub mysql: &'static str,
}

/// Evaluates an expression with `$pool` bound to the pool of whichever kind `$database` is.
///
/// The kinds differ only in the marks of their parameters, which sqlx's `QueryBuilder` writes.
#[macro_export]
macro_rules! on_database {
    ($database:expr, $pool:ident => $work:expr) => {
        match &$database {
            $crate::database::Database::Sqlite($pool) => $work,
            $crate::database::Database::Postgres($pool) => $work,
            $crate::database::Database::MySql($pool) => $work,
        }
    };
}
pub use on_database;

impl Database {
    /// Opens the database that the library's store has already opened, and creates the tables that
    /// are missing.
    ///
    /// # Errors
    ///
    /// If the database cannot be opened or refuses the tables.
    pub async fn open(url: &str, tables: Tables) -> Result<Self, sqlx::Error> {
        // The library's store has refused all other schemes.
        let database = match url.split_once(':').map(|(scheme, _)| scheme) {
            Some("sqlite") => Self::Sqlite(open_file(url).await?),
            Some("postgres" | "postgresql") => {
                let pool =
                    PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(PATIENCE);
                Self::Postgres(pool.connect(url).await?)
            }
            _ => {
                let pool =
                    MySqlPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(PATIENCE);
                Self::MySql(pool.connect(url).await?)
            }
        };
        let script = match &database {
            Self::Sqlite(_) => tables.sqlite,
            Self::Postgres(_) => tables.postgres,
            Self::MySql(_) => tables.mysql,
        };
        on_database!(database, pool => sqlx::raw_sql(script).execute(pool).await.map(drop))?;
        Ok(database)
    }
}

/// Opens a file that the store has created and switched to a write-ahead log.
async fn open_file(url: &str) -> Result<SqlitePool, sqlx::Error> {
    let options = SqliteConnectOptions::from_str(url)?
        .create_if_missing(true)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(PATIENCE);
    // A database in memory lives only as long as its connections.
    let pool =
        SqlitePoolOptions::new().max_connections(CONNECTIONS).idle_timeout(None).max_lifetime(None);
    pool.connect_with(options).await
}
