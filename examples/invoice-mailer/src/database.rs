//! The application's own tables, in the same database as the library's, of whichever kind that is.
//!
//! An application usually knows its database and needs none of this: a pool of that kind, and plain queries.

use std::str::FromStr;
use std::time::Duration;

use sqlx::mysql::{MySqlPool, MySqlPoolOptions};
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteSynchronous};

const CONNECTIONS: u32 = 4;
/// How long a request waits for a connection, or for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// A few connections to the database. Unlike those of the library's store, they do not heal by themselves when a network drops
/// them in silence: the pages of a job stay right then, its invoices and its queue have to wait for the system to notice.
#[derive(Debug, Clone)]
pub enum Database {
    /// A file, shared by the processes of one machine.
    Sqlite(SqlitePool),
    /// A server.
    Postgres(PgPool),
    /// A server, MySQL or MariaDB.
    MySql(MySqlPool),
}

/// The same work on any of them: queries that differ only in the marks of their parameters, which the query builder writes.
macro_rules! on {
    ($database:expr, $pool:ident => $work:expr) => {
        match &$database {
            $crate::database::Database::Sqlite($pool) => $work,
            $crate::database::Database::Postgres($pool) => $work,
            $crate::database::Database::MySql($pool) => $work,
        }
    };
}
pub(crate) use on;

impl Database {
    /// Opens the database that the library's store has opened before, and makes the tables that are missing. Any number of
    /// processes may do so at once.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    pub async fn open(url: &str) -> Result<Self, sqlx::Error> {
        // What else there could be, the library's store has refused.
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
        // Each of the three scripts may run in several processes at once; theirs are the reasons why that is safe.
        match &database {
            Self::Sqlite(pool) => {
                sqlx::raw_sql(include_str!("tables/sqlite.sql")).execute(pool).await.map(drop)
            }
            Self::Postgres(pool) => {
                sqlx::raw_sql(include_str!("tables/postgres.sql")).execute(pool).await.map(drop)
            }
            Self::MySql(pool) => {
                sqlx::raw_sql(include_str!("tables/mysql.sql")).execute(pool).await.map(drop)
            }
        }?;
        Ok(database)
    }
}

/// The store has made the file and given it its write-ahead log.
async fn open_file(url: &str) -> Result<SqlitePool, sqlx::Error> {
    let options = SqliteConnectOptions::from_str(url)?
        .create_if_missing(true)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(PATIENCE);
    // A database in memory lives as long as its connections.
    let pool =
        SqlitePoolOptions::new().max_connections(CONNECTIONS).idle_timeout(None).max_lifetime(None);
    pool.connect_with(options).await
}
