//! Opens a store from an address or a pool, and migrates it.

use std::str::FromStr;
use std::time::{Duration, Instant};

use progress_core::ProgressError;
use sqlx::sqlite::{
    Sqlite, SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _};

use super::codes::is_busy;
use super::write_lock::WriteLock;
use super::{SqliteStore, statements};
use crate::error::classify;
use crate::migrate;
use crate::pools::{LazyPool, Pools};
use crate::store::{Operation, Session, SqlStore};

/// How long a writer waits for other processes. A reader waits only in rare cases.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The number of connections that read. Enough for many pollers, because a read takes tens of
/// microseconds.
const MAX_READERS: u32 = 4;

impl SqliteStore {
    /// Opens a database file by its address, such as `sqlite://progress.db`, and
    /// [migrates](Self::migrate) it.
    ///
    /// The file is created if it is missing, unless the address says otherwise (`?mode=rw`). Its
    /// folder is not created, because a missing folder is nearly always a volume that was not
    /// mounted, or a typing error. `sqlite::memory:` is an in-memory database that only this store
    /// can use. It is lost with the store.
    ///
    /// The file is switched to the write-ahead log, so readers and the writer do not wait for each
    /// other. Writers take turns on one connection, and readers share four others.
    ///
    /// # Errors
    ///
    /// [`Setup`](ProgressError::Setup) when the address is malformed or its folder is missing;
    /// otherwise the errors of [`migrate`](Self::migrate).
    pub async fn connect(url: &str) -> Result<Self, ProgressError> {
        let address = Address::parse(url)?;
        let store = Self { store: address.open().await.map_err(classify)? };
        store.migrate().await?;
        Ok(store)
    }

    /// Uses the application's pool, which should have the write-ahead log and a busy timeout.
    /// [Migrate](Self::migrate) the store before its first use. An in-memory database needs a pool
    /// of one connection that is never recycled (no idle timeout, no maximum lifetime,
    /// `test_before_acquire(false)`).
    #[must_use]
    pub fn new(pool: SqlitePool) -> Self {
        Self { store: SqlStore::new(Pools::of_application(pool), WriteLock::default()) }
    }

    /// Creates the tables, or upgrades those of an earlier version, in one transaction. Any number
    /// of processes may do so at once, before, during or after the application's own migrations.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](ProgressError::Unavailable) when the database stays locked;
    /// [`Setup`](ProgressError::Setup) when the tables need a newer program;
    /// [`Store`](ProgressError::Store) when other tables have the same names.
    pub async fn migrate(&self) -> Result<(), ProgressError> {
        // Boxed, so that the future is not much deeper than the application's own.
        Box::pin(self.store.call(Migrate)).await
    }
}

struct Migrate;

impl Operation<Sqlite> for Migrate {
    const WRITES: bool = true;
    type Output = ();

    async fn run(&self, session: &mut Session<'_, Sqlite>) -> Result<(), ProgressError> {
        migrate::run(session).await
    }
}

struct Address {
    options: SqliteConnectOptions,
    is_in_memory: bool,
}

impl Address {
    /// Parses an address. Error texts repeat no part of it, because the address of another database
    /// may contain a password.
    fn parse(url: &str) -> Result<Self, ProgressError> {
        let Some(rest) = url.strip_prefix("sqlite:") else {
            return Err(ProgressError::setup(
                "an SQLite address begins with sqlite:, as in sqlite://progress.db",
            ));
        };
        let (file, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let file = file.strip_prefix("//").unwrap_or(file);
        let mode = parameters.split('&').find_map(|parameter| parameter.strip_prefix("mode="));
        let is_in_memory = file == ":memory:" || mode == Some("memory");
        if file.is_empty() && !is_in_memory {
            return Err(ProgressError::setup(
                "an SQLite address must name a file, as in sqlite://progress.db",
            ));
        }
        let options = SqliteConnectOptions::from_str(url).map_err(|_| {
            ProgressError::setup(
                "an SQLite address accepts the parameters mode=ro, rw, rwc or memory, \
                 cache=shared or private, immutable and vfs",
            )
        })?;
        let folder = options.get_filename().parent();
        if !is_in_memory
            && folder.is_some_and(|folder| !folder.as_os_str().is_empty() && !folder.is_dir())
        {
            return Err(ProgressError::setup("the folder of the SQLite file does not exist"));
        }
        let options = options
            .create_if_missing(matches!(mode, None | Some("rwc")))
            .busy_timeout(BUSY_TIMEOUT)
            .pragma("temp_store", "MEMORY")
            // Safe with the write-ahead log: a power cut may lose the last commits, but never
            // damages the file.
            .synchronous(SqliteSynchronous::Normal);
        Ok(Self { options, is_in_memory })
    }

    async fn open(&self) -> Result<SqlStore<Sqlite>, sqlx::Error> {
        let pool = |connections| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                // A file needs no test, because there is no network. A call that is cancelled
                // during a test would close the connection, and lose an in-memory database with it.
                .test_before_acquire(false)
        };
        if self.is_in_memory {
            // The database lives as long as its only connection.
            let pool = pool(1).idle_timeout(None).max_lifetime(None);
            let pool = pool.connect_with(self.options.clone()).await?;
            return Ok(SqlStore::new(Pools::of_application(pool), WriteLock::default()));
        }
        self.use_write_ahead_log().await?;
        // The store itself waits for the write lock, because it tries again sooner than SQLite.
        let writer = self.options.clone().busy_timeout(Duration::ZERO);
        let readers = self.options.clone().create_if_missing(false).pragma("query_only", "ON");
        let pools = Pools::of_file(
            LazyPool::new(pool(1), writer),
            LazyPool::new(pool(MAX_READERS), readers),
        );
        Ok(SqlStore::new(pools, WriteLock::with_busy_timeout(BUSY_TIMEOUT)))
    }

    /// Switches the file to the write-ahead log. When two processes do so at once, SQLite rejects
    /// one without waiting, so this function waits as SQLite otherwise would.
    async fn use_write_ahead_log(&self) -> Result<(), sqlx::Error> {
        const PAUSE: Duration = Duration::from_millis(20);
        let since = Instant::now();
        let mode = loop {
            match self.journal_mode().await {
                Err(error) if is_busy(&error) && since.elapsed() < BUSY_TIMEOUT => {
                    tokio::time::sleep(PAUSE).await;
                }
                outcome => break outcome?,
            }
        };
        if mode == "wal" {
            return Ok(());
        }
        let text = format!(
            "the file cannot use a write-ahead log (its journal stays in mode {mode}): is it on a \
             network file system?"
        );
        Err(sqlx::Error::Configuration(text.into()))
    }

    /// Requests the write-ahead log, and returns the resulting mode of the journal.
    async fn journal_mode(&self) -> Result<String, sqlx::Error> {
        let mut connection = self.options.connect().await?;
        let mode =
            sqlx::query_scalar(statements::WRITE_AHEAD_LOG).fetch_one(&mut connection).await?;
        connection.close().await?;
        Ok(mode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_explain_an_address_without_repeating_it() {
        for url in [
            "",
            "progress.db",
            "postgres://canary:canary@host/canary",
            "sqlite:",
            "sqlite://",
            "sqlite://?cache=shared",
            "sqlite://canary.db?mode=canary",
            "sqlite://canary.db?canary=1",
            "sqlite://canary/folder/is/missing.db",
            "sqlite://%ff",
        ] {
            let Err(error @ ProgressError::Setup(_)) = Address::parse(url).map(|_| ()) else {
                panic!("{url} was accepted as an address");
            };
            assert!(!error.to_string().contains("canary"), "{error}");
        }
        for (url, is_in_memory) in [
            ("sqlite:progress.db", false),
            ("sqlite://progress.db?mode=rw", false),
            ("sqlite::memory:", true),
            ("sqlite://:memory:", true),
            ("sqlite://x?mode=memory", true),
        ] {
            assert_eq!(Address::parse(url).unwrap().is_in_memory, is_in_memory, "{url}");
        }
    }
}
