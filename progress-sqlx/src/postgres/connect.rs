//! Opens a store from an address or a pool, and migrates it.

use std::str::FromStr;
use std::time::Duration;

use progress_core::ProgressError;
use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, Postgres};

use super::{Pooling, PostgresStore, statements};
use crate::connect::{first_connection, pool_options, with_application_pool};
use crate::dialect::Dialect;
use crate::error::classify;
use crate::migrate;
use crate::pools::{LazyPool, Pools};
use crate::store::{Operation, Session, SqlStore};

/// The deadline of a migration, which waits up to 30 s for others and then changes tables.
const MIGRATION_DEADLINE: Duration = Duration::from_secs(60);

impl PostgresStore {
    /// Opens a database by its address, such as `postgres://user:password@host/database`, and
    /// [migrates](Self::migrate) it. For an encrypted connection, the application enables one of
    /// sqlx's features whose names begin with `tls-`.
    ///
    /// # Errors
    ///
    /// [`Setup`](ProgressError::Setup) when the address is malformed or the login is refused;
    /// [`Unavailable`](ProgressError::Unavailable), at once, when the server cannot be reached;
    /// otherwise the errors of [`migrate`](Self::migrate).
    pub async fn connect(url: &str) -> Result<Self, ProgressError> {
        // PgBouncer refuses sessions that set this, and no column is a float.
        let options = address(url)?.extra_float_digits(None);
        let shown = format!("{}:{}", options.get_host(), options.get_port());
        let pool = LazyPool::new(pool_options(), options.clone());
        let store = SqlStore::new(Pools::of_server(pool), pooling(&options));
        store.on_store_thread(first_connection::<PgConnection>(options, shown)).await?;
        let store = Self { store };
        store.migrate().await?;
        Ok(store)
    }

    /// Uses the database of the application's pool. The store opens at most 4 connections of its
    /// own, with the pool's options and hooks. [Migrate](Self::migrate) it before its first use.
    ///
    /// The store is closed when the pool is closed. It follows password changes made with
    /// [`set_connect_options`](sqlx::Pool::set_connect_options).
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        let pooling = pooling(&pool.connect_options());
        Self { store: with_application_pool(pool, pooling, |options| options) }
    }

    /// Creates the tables, or upgrades those of an earlier version, in one transaction. Any number
    /// of processes may do so at once, before, during or after the application's own migrations.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](ProgressError::Unavailable) when the database cannot be reached, or another
    /// session migrates for longer than 30 s; [`Setup`](ProgressError::Setup) when the tables need
    /// a newer program, or the database is not encoded in UTF-8; [`Store`](ProgressError::Store)
    /// when other tables have the same names.
    pub async fn migrate(&self) -> Result<(), ProgressError> {
        let store = self.store.clone();
        self.store
            .on_store_thread(async move { store.call_within(Migrate, MIGRATION_DEADLINE).await })
            .await
    }
}

struct Migrate;

impl Operation<Postgres> for Migrate {
    const WRITES: bool = true;
    type Output = ();

    async fn run(&self, session: &mut Session<'_, Postgres>) -> Result<(), ProgressError> {
        session.script(statements::LOCK_SCHEMA).await?;
        let encoding = session.fetch(statements::ENCODING, Vec::new()).await?;
        let encoding = encoding.first().map(|row| Postgres::text(row, 0)).transpose();
        match encoding.map_err(classify)?.flatten() {
            None | Some("UTF8") => migrate::run(session).await,
            Some(other) => Err(ProgressError::setup(format!(
                "the database is encoded in {other} and cannot store all Unicode text: create it \
                 with ENCODING 'UTF8'"
            ))),
        }
    }
}

/// Detects a pooler in transaction mode: its address turns off the cache of statements.
fn pooling(options: &PgConnectOptions) -> Pooling {
    let url = options.to_url_lossy();
    let mut parameters = url.query_pairs();
    let by_transaction =
        parameters.any(|(key, value)| key == "statement-cache-capacity" && value == "0");
    Pooling { by_transaction }
}

/// Parses an address. Error texts repeat no part of it, because it may contain a password.
fn address(url: &str) -> Result<PgConnectOptions, ProgressError> {
    const MALFORMED: &str = "a PostgreSQL address has the form \
         postgres://user:password@host:port/database, with special characters percent-encoded";
    if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err(ProgressError::setup(MALFORMED));
    }
    PgConnectOptions::from_str(url).map_err(|_| ProgressError::setup(MALFORMED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_explain_an_address_without_repeating_it() {
        for url in [
            "",
            "canary",
            "mysql://canary@host/canary",
            "postgres://canary:canary@host:canary/canary",
        ] {
            let Err(error @ ProgressError::Setup(_)) = address(url).map(|_| ()) else {
                panic!("{url} was accepted as an address");
            };
            assert!(!error.to_string().contains("canary"), "{error}");
        }
        let options =
            address("postgresql://user:p%40ss@localhost:5433/app?sslmode=disable").unwrap();
        assert!(!pooling(&options).by_transaction);
        let pooled = address("postgres://localhost/app?statement-cache-capacity=0").unwrap();
        assert!(pooling(&pooled).by_transaction);
    }
}
