//! Opens all data by one address: records, queue and results.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use apalis_postgres::PostgresStorage;
use apalis_sqlite::SqliteStorage;
use example_support::startup::{ForSetting, SettingError};
use progress_axum::ProgressStore;
use redis::aio::ConnectionManagerConfig;
use redis::{Client, IntoConnectionInfo as _, ProtocolVersion, RedisError};
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use crate::deliveries::Deliveries;
use crate::queue::Queue;

const CONNECTIONS: u32 = 4;
/// How long a request waits for a connection, a lock of SQLite, or a reply of Redis.
const PATIENCE: Duration = Duration::from_secs(5);

/// The data of the application.
#[derive(Clone)]
pub struct Storage {
    /// The records, which are the library's.
    pub store: Arc<dyn ProgressStore>,
    /// The result of each mail.
    pub deliveries: Deliveries,
    /// The jobs.
    pub queue: Queue,
}

impl Storage {
    /// Opens everything, and creates the tables that are missing. Several processes may do so at
    /// once.
    ///
    /// # Errors
    ///
    /// If the address, which the `setting` contains, cannot be used.
    pub async fn open(setting: &str, url: &str, lease: Duration) -> Result<Self, SettingError> {
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        if !["sqlite", "postgres", "postgresql", "redis", "rediss"].contains(&scheme) {
            return Err(SettingError::new(format!(
                "{setting}: the address begins with sqlite:, postgres: or redis:"
            )));
        }
        let store = progress_redis::connect_any(url).await.for_setting(setting)?;
        let (deliveries, queue) = match scheme {
            "sqlite" => files(url, lease).await.for_setting(setting)?,
            "redis" | "rediss" => server(url, lease).await.for_setting(setting)?,
            _ => database(url, lease).await.for_setting(setting)?,
        };
        Ok(Self { store, deliveries, queue })
    }
}

/// The results are in the file of the records, which the store has created. The queue has a file of
/// its own, `….queue.db`, because a file has a single writer.
async fn files(url: &str, lease: Duration) -> Result<(Deliveries, Queue), sqlx::Error> {
    let options = SqliteConnectOptions::from_str(url)?.busy_timeout(PATIENCE);
    let queue = options.get_filename().with_extension("queue.db");
    let queue = options.clone().filename(queue).create_if_missing(true);
    let results = pool().connect_with(options.synchronous(SqliteSynchronous::Normal)).await?;
    sqlx::raw_sql(include_str!("tables/sqlite.sql")).execute(&results).await?;

    let queue = pool().connect_with(queue.journal_mode(SqliteJournalMode::Wal)).await?;
    // The migrator takes no lock itself. `setup()` would also turn off the writing to disk.
    let mut lock = queue.begin_with("BEGIN IMMEDIATE").await?;
    SqliteStorage::migrations().run(&mut *lock).await?;
    lock.commit().await?;
    Ok((Deliveries::Sqlite(results), Queue::sqlite(&queue, lease)))
}

/// A database in memory lives only as long as its connections.
fn pool() -> SqlitePoolOptions {
    SqlitePoolOptions::new().max_connections(CONNECTIONS).idle_timeout(None).max_lifetime(None)
}

/// Unlike those of the library's store, the connections do not recover by themselves when a network
/// drops them silently: the progress stays correct then, but results and queue wait until the
/// system notices.
async fn database(url: &str, lease: Duration) -> Result<(Deliveries, Queue), sqlx::Error> {
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(PATIENCE);
    let pool = pool.connect(url).await?;
    sqlx::raw_sql(include_str!("tables/postgres.sql")).execute(&pool).await?;
    PostgresStorage::migrations().run(&pool).await?;
    Ok((Deliveries::Postgres(pool.clone()), Queue::postgres(&pool, lease)))
}

/// With the protocol of version 3, a lost connection is replaced at once. After an outage of many
/// seconds, the next command fails and the one after it finds a new connection.
async fn server(url: &str, lease: Duration) -> Result<(Deliveries, Queue), RedisError> {
    let info = url.into_connection_info()?;
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    let client = Client::open(info.set_redis_settings(settings))?;
    let config = ConnectionManagerConfig::new().set_response_timeout(Some(PATIENCE));
    let connection = client.get_connection_manager_with_config(config).await?;
    Ok((Deliveries::Redis(connection.clone()), Queue::redis(connection, lease)))
}
