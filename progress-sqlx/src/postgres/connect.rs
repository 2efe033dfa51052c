//! From an address to a store that is ready.

use std::str::FromStr;
use std::time::Duration;

use progress_core::ProgressError;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, Postgres};

use super::{PostgresStore, statements};
use crate::error::classify;
use crate::health::{Origin, Pools};
use crate::migrate;
use crate::store::Body;

/// Each does thousands of updates per second; more would mostly wait for each other in the server.
const CONNECTIONS: u32 = 10;
/// How long a call waits for a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the server keeps the locks of a transaction from which it hears nothing. The next statement of ours follows within
/// milliseconds, or the network has dropped the connection.
const IDLE: &str = "5s";
/// How long the server waits for a lock: less, so that of many that wait for a dropped one none becomes the next.
const LOCK: &str = "4s";

impl PostgresStore {
    /// Opens a database by its address, such as `postgres://user:password@host/database`, and
    /// [migrates](Self::migrate) it. An encrypted connection needs one of sqlx's features whose names begin with `tls-`,
    /// which the application turns on.
    ///
    /// # Errors
    ///
    /// [`Invalid`](ProgressError::Invalid) when the address cannot be understood; otherwise as
    /// [`migrate`](Self::migrate).
    pub async fn connect(url: &str) -> Result<Self, ProgressError> {
        let options = address(url)?
            .options([("lock_timeout", LOCK), ("idle_in_transaction_session_timeout", IDLE)]);
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(PATIENCE);
        let pool = pool.connect_with(options).await.map_err(classify)?;
        let store = Self { body: Body::on(Pools::new(pool.clone(), pool, Origin::Server)) };
        store.migrate().await?;
        Ok(store)
    }

    /// Makes the tables, or brings those of an earlier version up to date, in one transaction. Any number of processes may
    /// do so at once, beside the application's own migrations, before or after them.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](ProgressError::Unavailable) when the database cannot be reached, or somebody else migrates for longer
    /// than 30 s; [`Store`](ProgressError::Store) when its tables are newer than this program, or in the way.
    pub async fn migrate(&self) -> Result<(), ProgressError> {
        let steps = self.migrate_together().await.map_err(classify)?;
        migrate::report(steps);
        Ok(())
    }

    async fn migrate_together(&self) -> Result<usize, sqlx::Error> {
        let mut transaction =
            self.body.pools.writer().begin_with(statements::STATEMENTS.begin).await?;
        sqlx::raw_sql(statements::LOCK_SCHEMA).execute(&mut *transaction).await?;
        let steps = migrate::run::<Postgres>(&mut transaction).await?;
        transaction.commit().await?;
        Ok(steps)
    }
}

/// The texts of its errors repeat nothing of the address, which may hold a password.
fn address(url: &str) -> Result<PgConnectOptions, ProgressError> {
    let malformed = || {
        ProgressError::invalid(
            "a PostgreSQL address reads postgres://user:password@host:port/database, with special characters in per cent",
        )
    };
    if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err(malformed());
    }
    PgConnectOptions::from_str(url).map_err(|_| malformed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_explained_and_never_repeated() {
        for url in [
            "",
            "canary",
            "mysql://canary@host/canary",
            "postgres://canary:canary@host:canary/canary",
        ] {
            let Err(error @ ProgressError::Invalid(_)) = address(url).map(|_| ()) else {
                panic!("{url} was taken for an address");
            };
            assert!(!error.to_string().contains("canary"), "{error}");
        }
        assert!(address("postgresql://user:p%40ss@localhost:5433/app?sslmode=disable").is_ok());
    }
}
