//! From an address to a store that is ready.

use std::str::FromStr;
use std::time::Duration;

use progress_core::ProgressError;
use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, Postgres};

use super::{Pooling, PostgresStore, statements};
use crate::connect::{beside, first_connection, pool_options};
use crate::dialect::Dialect;
use crate::error::classify;
use crate::health::{Pools, Source};
use crate::migrate;
use crate::store::{Session, SqlStore, Work};

/// A migration waits 30 s for others, and then changes tables.
const MIGRATION: Duration = Duration::from_secs(60);

impl PostgresStore {
    /// Opens a database by its address, such as `postgres://user:password@host/database`, and
    /// [migrates](Self::migrate) it. An encrypted connection needs one of sqlx's features whose
    /// names begin with `tls-`, which the application turns on.
    ///
    /// # Errors
    ///
    /// [`Setup`](ProgressError::Setup) when the address is malformed or the login is refused;
    /// [`Unavailable`](ProgressError::Unavailable), at once, when the server cannot be reached;
    /// otherwise as [`migrate`](Self::migrate).
    pub async fn connect(url: &str) -> Result<Self, ProgressError> {
        // PgBouncer refuses sessions that ask for it, and no column is a float.
        let options = address(url)?.extra_float_digits(None);
        let shown = format!("{}:{}", options.get_host(), options.get_port());
        let source = Source::new(pool_options(), options.clone());
        let store = SqlStore::new(Pools::of_server(source), pooling(&options));
        store.at_home(first_connection::<PgConnection>(options, shown)).await?;
        let store = Self { store };
        store.migrate().await?;
        Ok(store)
    }

    /// Uses the database of the application's pool. The store opens connections of its own, at most
    /// 4, with the pool's options and hooks; [migrate](Self::migrate) it before its first use. It
    /// is closed when the pool is, and takes over a password that the pool is
    /// [told](sqlx::Pool::set_connect_options).
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        let pooling = pooling(&pool.connect_options());
        Self { store: beside(pool, pooling, |options| options) }
    }

    /// Makes the tables, or brings those of an earlier version up to date, in one transaction. Any
    /// number of processes may do so at once, beside the application's own migrations, before or
    /// after them.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](ProgressError::Unavailable) when the database cannot be reached, or another
    /// session migrates for longer than 30 s; [`Setup`](ProgressError::Setup) when the tables need
    /// a newer program, or the database is not encoded in UTF-8; [`Store`](ProgressError::Store)
    /// when other tables are in the way.
    pub async fn migrate(&self) -> Result<(), ProgressError> {
        let store = self.store.clone();
        self.store.at_home(async move { store.call_within(Migrate, MIGRATION).await }).await
    }
}

struct Migrate;

impl Work<Postgres> for Migrate {
    const WRITES: bool = true;
    type Output = ();

    async fn run(&self, session: &mut Session<'_, Postgres>) -> Result<(), ProgressError> {
        session.script(statements::LOCK_SCHEMA).await?;
        let encoding = session.fetch(statements::ENCODING, Vec::new()).await?;
        let encoding = encoding.first().map(|row| Postgres::text(row, 0)).transpose();
        match encoding.map_err(classify)?.flatten() {
            None | Some("UTF8") => migrate::run(session).await,
            Some(other) => Err(ProgressError::setup(format!(
                "the database is encoded in {other} and cannot hold every text: create it with \
                 ENCODING 'UTF8'"
            ))),
        }
    }
}

/// Poolers by transaction need an address that asks for no cache of statements.
fn pooling(options: &PgConnectOptions) -> Pooling {
    let url = options.to_url_lossy();
    let mut parameters = url.query_pairs();
    let by_transaction =
        parameters.any(|(key, value)| key == "statement-cache-capacity" && value == "0");
    Pooling { by_transaction }
}

/// The texts of its errors repeat nothing of the address, which may hold a password.
fn address(url: &str) -> Result<PgConnectOptions, ProgressError> {
    const MALFORMED: &str = "a PostgreSQL address reads postgres://user:password@host:port/database, \
         with special characters in per cent";
    if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err(ProgressError::setup(MALFORMED));
    }
    PgConnectOptions::from_str(url).map_err(|_| ProgressError::setup(MALFORMED))
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
            let Err(error @ ProgressError::Setup(_)) = address(url).map(|_| ()) else {
                panic!("{url} was taken for an address");
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
