//! What the stores of servers have in common when they connect.

use std::time::Duration;

use progress_core::ProgressError;
use sqlx::pool::PoolOptions;
use sqlx::{ConnectOptions, Connection, Pool};

use crate::dialect::Dialect;
use crate::error::{Kind, classify, kind};
use crate::health::{Pools, Source};
use crate::store::SqlStore;

/// Each does thousands of updates per second; more would mostly wait for each other in the server.
const CONNECTIONS: u32 = 10;
/// As many beside a pool of the application's own: trackers write in batches, and reads are cached.
const BESIDE: u32 = 4;
/// How long a call waits for a connection.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a connection may take to close.
const FAREWELL: Duration = Duration::from_millis(500);
/// How long a connection is trusted without asking it first.
const TRUSTED: Duration = Duration::from_secs(1);

/// The options of a pool of our own.
pub(crate) fn pool_options<D: Dialect>() -> PoolOptions<D> {
    PoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(PATIENCE)
        .test_before_acquire(false)
        .before_acquire(|connection: &mut D::Connection, usage| {
            Box::pin(async move { Ok(usage.idle_for < TRUSTED || connection.ping().await.is_ok()) })
        })
}

/// A store that opens connections of its own as the application's pool does, with its hooks. So it
/// never uses up that pool, and its calls run on the store's own thread.
pub(crate) fn beside<D: Dialect>(
    pool: Pool<D>,
    own: D::Own,
    adapt: impl FnOnce(PoolOptions<D>) -> PoolOptions<D>,
) -> SqlStore<D> {
    let theirs = pool.options().clone();
    let connections = theirs.get_max_connections().clamp(1, BESIDE);
    let patience = theirs.get_acquire_timeout().min(PATIENCE);
    let options =
        adapt(theirs).min_connections(0).max_connections(connections).acquire_timeout(patience);
    SqlStore::new(Pools::of_server(Source::like(pool, options)), own)
}

/// Opens one connection and closes it again, so that what is wrong with the server is reported at
/// once and by name. `address` is shown.
pub(crate) async fn first_connection<C: Connection>(
    options: C::Options,
    address: String,
) -> Result<(), ProgressError> {
    let connection = tokio::time::timeout(PATIENCE, options.connect());
    let error = match connection.await {
        Ok(Ok(connection)) => {
            // It has shown what it was for. Encrypted, it would wait for an answer to its farewell.
            drop(tokio::time::timeout(FAREWELL, connection.close()).await);
            return Ok(());
        }
        Ok(Err(error)) => error,
        Err(_) => {
            let seconds = PATIENCE.as_secs();
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
        // Later, when a password rotates, this passes. A program that starts has the wrong one.
        error if kind(error) == Kind::Login => {
            ProgressError::setup(format!("{address} refused the login: check user and password"))
        }
        _ => classify(error),
    })
}
