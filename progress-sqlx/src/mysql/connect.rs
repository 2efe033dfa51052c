//! Opens a store from an address or a pool, and migrates it.

use std::str::FromStr;
use std::time::Duration;

use progress_core::ProgressError;
use sqlx::mysql::{MySql, MySqlConnectOptions, MySqlConnection, MySqlPool};

use super::{MySqlStore, SessionSetup, statements};
use crate::connect::{first_connection, pool_options, with_application_pool};
use crate::dialect::Dialect;
use crate::migrate;
use crate::pools::{LazyPool, Pools};
use crate::row;
use crate::store::{Operation, Session, SqlStore};

/// How long a connection may be idle: less than the server waits for the next statement
/// (`wait_timeout` in the statements), more than the interval between heartbeats (5 s).
const IDLE_TIMEOUT: Duration = Duration::from_secs(6);

/// The deadline of a migration, which waits up to 30 s for others and then changes tables.
const MIGRATION_DEADLINE: Duration = Duration::from_secs(60);

impl MySqlStore {
    /// Opens a database by its address, such as `mysql://user:password@host/database`, and
    /// [migrates](Self::migrate) it. For an encrypted connection, the application enables one of
    /// sqlx's features whose names begin with `tls-`. For a password on MySQL 8 without encryption,
    /// it enables the feature `mysql-rsa`.
    ///
    /// # Errors
    ///
    /// [`Setup`](ProgressError::Setup) when the address is malformed or the login is refused;
    /// [`Unavailable`](ProgressError::Unavailable), at once, when the server cannot be reached;
    /// otherwise the errors of [`migrate`](Self::migrate).
    pub async fn connect(url: &str) -> Result<Self, ProgressError> {
        let options = address(url)?;
        let shown = format!("{}:{}", options.get_host(), options.get_port());
        let pool = pool_options().idle_timeout(IDLE_TIMEOUT).after_connect(|connection, _| {
            Box::pin(async move { MySql::script(connection, statements::SESSION).await })
        });
        let pool = LazyPool::new(pool, options.clone());
        let setup = SessionSetup { by_application: false };
        let store = Self { store: SqlStore::new(Pools::of_server(pool), setup) };
        store.store.on_store_thread(first_connection::<MySqlConnection>(options, shown)).await?;
        store.migrate().await?;
        Ok(store)
    }

    /// Uses the database of the application's pool. The store opens at most 4 connections of its
    /// own, with the pool's options and hooks. [Migrate](Self::migrate) it before its first use.
    ///
    /// The store is closed when the pool is closed. It follows password changes made with
    /// [`set_connect_options`](sqlx::Pool::set_connect_options). Its connections must use utf8mb4,
    /// which is sqlx's default.
    #[must_use]
    pub fn new(pool: MySqlPool) -> Self {
        let store = with_application_pool(pool, SessionSetup { by_application: true }, |options| {
            let idle =
                options.get_idle_timeout().map_or(IDLE_TIMEOUT, |theirs| theirs.min(IDLE_TIMEOUT));
            options.idle_timeout(idle)
        });
        Self { store }
    }

    /// Creates the tables, or upgrades those of an earlier version. Any number of processes may do
    /// so at once, before, during or after the application's own migrations. The next migration
    /// completes one that was interrupted.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](ProgressError::Unavailable) when the database cannot be reached, or another
    /// session migrates for longer than 30 s; [`Setup`](ProgressError::Setup) when the tables need
    /// a newer program, or are not utf8mb4; [`Store`](ProgressError::Store) when other tables have
    /// the same names.
    pub async fn migrate(&self) -> Result<(), ProgressError> {
        let store = self.store.clone();
        self.store
            .on_store_thread(async move { store.call_within(Migrate, MIGRATION_DEADLINE).await })
            .await
    }
}

struct Migrate;

impl Operation<MySql> for Migrate {
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
        // Also after an error, because the connection goes back to the pool.
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
        "the progress tables cannot store all Unicode text: convert them to CHARACTER SET utf8mb4 \
         COLLATE utf8mb4_bin",
    ))
}

/// Parses an address. Error texts repeat no part of it, because it may contain a password.
fn address(url: &str) -> Result<MySqlConnectOptions, ProgressError> {
    const MALFORMED: &str = "a MySQL address has the form \
         mysql://user:password@host:port/database, with special characters percent-encoded";
    if !["mysql://", "mariadb://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err(ProgressError::setup(MALFORMED));
    }
    MySqlConnectOptions::from_str(url).map_err(|_| ProgressError::setup(MALFORMED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_explain_an_address_without_repeating_it() {
        for url in [
            "",
            "canary",
            "postgres://canary@host/canary",
            "mysql://canary:canary@host:canary/canary",
        ] {
            let Err(error @ ProgressError::Setup(_)) = address(url).map(|_| ()) else {
                panic!("{url} was accepted as an address");
            };
            assert!(!error.to_string().contains("canary"), "{error}");
        }
        assert!(address("mariadb://user:p%40ss@localhost:3307/app").is_ok());
    }
}
