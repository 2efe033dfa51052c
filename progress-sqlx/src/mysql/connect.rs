//! From an address to a store that is ready.

use std::str::FromStr;
use std::time::Duration;

use progress_core::ProgressError;
use sqlx::mysql::{MySql, MySqlConnectOptions, MySqlPoolOptions};

use super::{MySqlStore, statements};
use crate::dialect::Dialect as _;
use crate::error::classify;
use crate::health::{Origin, Pools};
use crate::migrate;
use crate::store::Body;

/// Each does thousands of updates per second; more would mostly wait for each other in the server.
const CONNECTIONS: u32 = 10;
/// How long a call waits for a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// Less than the server waits for our next word.
const IDLE: Duration = Duration::from_secs(4);

impl MySqlStore {
    /// Opens a database by its address, such as `mysql://user:password@host/database`, and [migrates](Self::migrate) it. An
    /// encrypted connection needs one of sqlx's features whose names begin with `tls-`, which the application turns on; so
    /// does a password on MySQL 8 without encryption, with the feature `mysql-rsa`.
    ///
    /// # Errors
    ///
    /// [`Invalid`](ProgressError::Invalid) when the address cannot be understood; otherwise as
    /// [`migrate`](Self::migrate).
    pub async fn connect(url: &str) -> Result<Self, ProgressError> {
        let options = address(url)?;
        let pool = MySqlPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(PATIENCE)
            .idle_timeout(IDLE)
            .after_connect(|connection, _| {
                Box::pin(async move { MySql::script(connection, statements::SHORT_SILENCE).await })
            });
        let pool = pool.connect_with(options).await.map_err(classify)?;
        let store = Self { body: Body::on(Pools::new(pool.clone(), pool, Origin::Server)) };
        store.migrate().await?;
        Ok(store)
    }

    /// Makes the tables, or brings those of an earlier version up to date. Any number of processes may do so at once, beside
    /// the application's own migrations, before or after them. One that is interrupted is taken up by the next.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](ProgressError::Unavailable) when the database cannot be reached, or somebody else migrates for longer
    /// than 30 s; [`Store`](ProgressError::Store) when its tables are newer than this program, or in the way.
    pub async fn migrate(&self) -> Result<(), ProgressError> {
        let mut connection = self.body.pools.writer().acquire().await.map_err(classify)?;
        // The lock is the connection's: closed, it cannot keep it, whatever happens below.
        connection.close_on_drop();
        let locked = MySql::fetch(&mut connection, statements::LOCK_SCHEMA, Vec::new())
            .await
            .map_err(classify)?;
        let locked = locked
            .first()
            .map(|row| MySql::integer(row, "locked"))
            .transpose()
            .map_err(classify)?;
        if locked.flatten() != Some(1) {
            return Err(ProgressError::unavailable(
                "somebody else has been migrating the tables for 30 s",
            ));
        }
        let steps = migrate::run::<MySql>(&mut connection).await.map_err(classify)?;
        migrate::report(steps);
        Ok(())
    }
}

/// The texts of its errors repeat nothing of the address, which may hold a password.
fn address(url: &str) -> Result<MySqlConnectOptions, ProgressError> {
    let malformed = || {
        ProgressError::invalid(
            "a MySQL address reads mysql://user:password@host:port/database, with special characters in per cent",
        )
    };
    if !["mysql://", "mariadb://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err(malformed());
    }
    MySqlConnectOptions::from_str(url).map_err(|_| malformed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_explained_and_never_repeated() {
        for url in [
            "",
            "canary",
            "postgres://canary@host/canary",
            "mysql://canary:canary@host:canary/canary",
        ] {
            let Err(error @ ProgressError::Invalid(_)) = address(url).map(|_| ()) else {
                panic!("{url} was taken for an address");
            };
            assert!(!error.to_string().contains("canary"), "{error}");
        }
        assert!(address("mariadb://user:p%40ss@localhost:3307/app").is_ok());
    }
}
