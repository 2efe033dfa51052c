//! Connecting to database servers: the code shared by the stores of PostgreSQL and MySQL.

use std::time::Duration;

use progress_core::ProgressError;
use sqlx::pool::PoolOptions;
use sqlx::{ConnectOptions, Connection, Pool};

use crate::dialect::Dialect;
use crate::error::{Kind, classify, kind};
use crate::pools::{LazyPool, Pools};
use crate::store::SqlStore;

/// Maximum size of the store's own pool. Each connection does thousands of updates per second; more
/// would mostly wait for each other in the server.
const MAX_CONNECTIONS: u32 = 10;
/// Maximum number of connections if the application has a pool. Few are enough, because trackers
/// write in batches and reads are cached.
const MAX_CONNECTIONS_BESIDE_POOL: u32 = 4;
/// How long a call waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may take to close.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);
/// A connection that was idle for less than this is used without a ping.
const MAX_IDLE_WITHOUT_PING: Duration = Duration::from_secs(1);

/// Returns the options of a pool that the store itself opens.
pub(crate) fn pool_options<D: Dialect>() -> PoolOptions<D> {
    PoolOptions::new()
        .max_connections(MAX_CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .before_acquire(|connection: &mut D::Connection, usage| {
            Box::pin(async move {
                Ok(usage.idle_for < MAX_IDLE_WITHOUT_PING || connection.ping().await.is_ok())
            })
        })
}

/// Creates a store with connections of its own, opened with the options and hooks of the
/// application's pool. So the store never uses up that pool, and its calls run on the store's own
/// thread.
pub(crate) fn with_application_pool<D: Dialect>(
    pool: Pool<D>,
    state: D::DialectState,
    adapt: impl FnOnce(PoolOptions<D>) -> PoolOptions<D>,
) -> SqlStore<D> {
    let options = pool.options().clone();
    let connections = options.get_max_connections().clamp(1, MAX_CONNECTIONS_BESIDE_POOL);
    let acquire_timeout = options.get_acquire_timeout().min(ACQUIRE_TIMEOUT);
    let options = adapt(options)
        .min_connections(0)
        .max_connections(connections)
        .acquire_timeout(acquire_timeout);
    SqlStore::new(Pools::of_server(LazyPool::from_application(pool, options)), state)
}

/// Opens one connection and closes it again, so that a problem with the server is reported at once,
/// with `address` in the text.
pub(crate) async fn first_connection<C: Connection>(
    options: C::Options,
    address: String,
) -> Result<(), ProgressError> {
    let connection = tokio::time::timeout(ACQUIRE_TIMEOUT, options.connect());
    let error = match connection.await {
        Ok(Ok(connection)) => {
            // The connection works. Closing has a time limit, because an encrypted connection waits
            // for the server's answer.
            drop(tokio::time::timeout(CLOSE_TIMEOUT, connection.close()).await);
            return Ok(());
        }
        Ok(Err(error)) => error,
        Err(_) => {
            let seconds = ACQUIRE_TIMEOUT.as_secs();
            let text = format!("{address} did not answer within {seconds} s");
            return Err(ProgressError::unavailable(text));
        }
    };
    Err(match &error {
        sqlx::Error::Io(io) if io.kind() == std::io::ErrorKind::ConnectionRefused => {
            ProgressError::unavailable(format!("connection refused by {address}"))
        }
        sqlx::Error::Io(io) => {
            ProgressError::unavailable(format!("cannot connect to {address}: {io}"))
        }
        // At the start, a refused login means a wrong password. Later it is transient, because the
        // password may be rotating.
        error if kind(error) == Kind::Login => {
            ProgressError::setup(format!("{address} refused the login: check user and password"))
        }
        _ => classify(error),
    })
}
