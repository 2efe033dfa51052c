//! From an address to a store that is ready.

use std::str::FromStr;
use std::time::Duration;

use progress_core::ProgressError;
use sqlx::mysql::{MySql, MySqlConnectOptions, MySqlConnection, MySqlPool};

use super::{MySqlStore, Setup, statements};
use crate::connect::{beside, first_connection, pool_options};
use crate::dialect::Dialect;
use crate::health::{Pools, Source};
use crate::migrate;
use crate::row;
use crate::store::{Session, SqlStore, Work};

/// Less than the server waits for our next statement (`wait_timeout` of the statements), more than
/// the interval between heartbeats (5 s).
const IDLE: Duration = Duration::from_secs(6);

/// A migration waits 30 s for others, and then changes tables.
const MIGRATION: Duration = Duration::from_secs(60);

impl MySqlStore {
    /// Opens a database by its address, such as `mysql://user:password@host/database`, and
    /// [migrates](Self::migrate) it. An encrypted connection needs one of sqlx's features whose
    /// names begin with `tls-`, which the application turns on; so does a password on MySQL 8
    /// without encryption, with the feature `mysql-rsa`.
    ///
    /// # Errors
    ///
    /// [`Setup`](ProgressError::Setup) when the address is malformed or the login is refused;
    /// [`Unavailable`](ProgressError::Unavailable), at once, when the server cannot be reached;
    /// otherwise as [`migrate`](Self::migrate).
    pub async fn connect(url: &str) -> Result<Self, ProgressError> {
        let options = address(url)?;
        let shown = format!("{}:{}", options.get_host(), options.get_port());
        let pool = pool_options().idle_timeout(IDLE).after_connect(|connection, _| {
            Box::pin(async move { MySql::script(connection, statements::SESSION).await })
        });
        let source = Source::new(pool, options.clone());
        let setup = Setup { by_application: false };
        let store = Self { store: SqlStore::new(Pools::of_server(source), setup) };
        store.store.at_home(first_connection::<MySqlConnection>(options, shown)).await?;
        store.migrate().await?;
        Ok(store)
    }

    /// Uses the database of the application's pool. The store opens connections of its own, at most
    /// 4, with the pool's options and hooks; [migrate](Self::migrate) it before its first use. It
    /// is closed when the pool is, and takes over a password that the pool is
    /// [told](sqlx::Pool::set_connect_options). Its connections have to speak utf8mb4, as sqlx's do
    /// by default.
    #[must_use]
    pub fn new(pool: MySqlPool) -> Self {
        let store = beside(pool, Setup { by_application: true }, |options| {
            let idle = options.get_idle_timeout().map_or(IDLE, |theirs| theirs.min(IDLE));
            options.idle_timeout(idle)
        });
        Self { store }
    }

    /// Makes the tables, or brings those of an earlier version up to date. Any number of processes
    /// may do so at once, beside the application's own migrations, before or after them. One that
    /// is interrupted is taken up by the next.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](ProgressError::Unavailable) when the database cannot be reached, or another
    /// session migrates for longer than 30 s; [`Setup`](ProgressError::Setup) when the tables need
    /// a newer program, or are not utf8mb4; [`Store`](ProgressError::Store) when other tables are
    /// in the way.
    pub async fn migrate(&self) -> Result<(), ProgressError> {
        let store = self.store.clone();
        self.store.at_home(async move { store.call_within(Migrate, MIGRATION).await }).await
    }
}

struct Migrate;

impl Work<MySql> for Migrate {
    const WRITES: bool = false;
    type Output = ();

    async fn run(&self, session: &mut Session<'_, MySql>) -> Result<(), ProgressError> {
        let locked = session.fetch(statements::LOCK_SCHEMA, Vec::new()).await?;
        let locked = locked.first().map(row::integers::<1, MySql>).transpose()?;
        if locked != Some([Some(1)]) {
            let text = "another session has been migrating the tables for 30 s";
            return Err(ProgressError::unavailable(text));
        }
        let outcome = migrate_locked(session).await;
        // After an error as well: the connection goes back to the pool.
        session.fetch(statements::UNLOCK_SCHEMA, Vec::new()).await?;
        outcome
    }
}

async fn migrate_locked(session: &mut Session<'_, MySql>) -> Result<(), ProgressError> {
    migrate::run(session).await?;
    if session.fetch(statements::CHARACTER_SETS, Vec::new()).await?.is_empty() {
        return Ok(());
    }
    Err(ProgressError::setup(
        "the progress tables cannot hold every text: convert them to CHARACTER SET utf8mb4 COLLATE \
         utf8mb4_bin",
    ))
}

/// The texts of its errors repeat nothing of the address, which may hold a password.
fn address(url: &str) -> Result<MySqlConnectOptions, ProgressError> {
    const MALFORMED: &str = "a MySQL address reads mysql://user:password@host:port/database, \
         with special characters in per cent";
    if !["mysql://", "mariadb://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err(ProgressError::setup(MALFORMED));
    }
    MySqlConnectOptions::from_str(url).map_err(|_| ProgressError::setup(MALFORMED))
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
            let Err(error @ ProgressError::Setup(_)) = address(url).map(|_| ()) else {
                panic!("{url} was taken for an address");
            };
            assert!(!error.to_string().contains("canary"), "{error}");
        }
        assert!(address("mariadb://user:p%40ss@localhost:3307/app").is_ok());
    }
}
