//! From an address to a store that is ready.

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
use crate::health::{Pools, Source};
use crate::migrate;
use crate::store::{Session, SqlStore, Work};

/// How long a writer waits for other processes, and a reader in the rare cases in which it has to.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Enough for many pollers: a read takes tens of microseconds.
const READERS: u32 = 4;

impl SqliteStore {
    /// Opens a database file by its address, such as `sqlite://progress.db`, and
    /// [migrates](Self::migrate) it.
    ///
    /// The file is made when it is missing, unless the address says otherwise (`?mode=rw`). Its
    /// folder is not, because a missing folder is nearly always a volume that was not mounted, or a
    /// typing error.
    /// `sqlite::memory:` is a database of this store alone, gone with it.
    ///
    /// The file is switched to the write-ahead log, so readers and the writer do not wait for each
    /// other. Writers take turns on one connection, readers share four others.
    ///
    /// # Errors
    ///
    /// [`Setup`](ProgressError::Setup) when the address is malformed or its folder is missing;
    /// otherwise as [`migrate`](Self::migrate).
    pub async fn connect(url: &str) -> Result<Self, ProgressError> {
        let address = Address::parse(url)?;
        let store = Self { store: address.open().await.map_err(classify)? };
        store.migrate().await?;
        Ok(store)
    }

    /// Uses the application's pool. Give it the write-ahead log and a busy timeout. A database in
    /// memory needs a pool of one connection that is never recycled (no idle timeout, no maximal
    /// lifetime,
    /// `test_before_acquire(false)`). [Migrate](Self::migrate) it before its first use.
    #[must_use]
    pub fn new(pool: SqlitePool) -> Self {
        Self { store: SqlStore::new(Pools::of_application(pool), WriteLock::default()) }
    }

    /// Makes the tables, or brings those of an earlier version up to date, in one transaction. Any
    /// number of processes may do so at once, beside the application's own migrations, before or
    /// after them.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](ProgressError::Unavailable) when the database stays locked;
    /// [`Setup`](ProgressError::Setup) when the tables need a newer program;
    /// [`Store`](ProgressError::Store) when other tables are in the way.
    pub async fn migrate(&self) -> Result<(), ProgressError> {
        self.store.call(Migrate).await
    }
}

struct Migrate;

impl Work<Sqlite> for Migrate {
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
    /// The texts of its errors repeat nothing of the address: the address of another database may
    /// hold a password.
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
                "an SQLite address names a file, as in sqlite://progress.db",
            ));
        }
        let options = SqliteConnectOptions::from_str(url).map_err(|_| {
            ProgressError::setup(
                "an SQLite address takes mode=ro, rw, rwc or memory, cache=shared or private, \
                 immutable and vfs",
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
            // Safe with the write-ahead log: a power cut may take the last commits, never the file.
            .synchronous(SqliteSynchronous::Normal);
        Ok(Self { options, is_in_memory })
    }

    async fn open(&self) -> Result<SqlStore<Sqlite>, sqlx::Error> {
        let pool = |connections| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                // Nothing to test: there is no network in between. And a call that is cancelled
                // during the test would close the connection, and with it a database in memory.
                .test_before_acquire(false)
        };
        if self.is_in_memory {
            // The database lives as long as its only connection.
            let pool = pool(1).idle_timeout(None).max_lifetime(None);
            let pool = pool.connect_with(self.options.clone()).await?;
            return Ok(SqlStore::new(Pools::of_application(pool), WriteLock::default()));
        }
        self.use_write_ahead_log().await?;
        // The writer's waiting is done by the store, which is quicker at it.
        let writer = self.options.clone().busy_timeout(Duration::ZERO);
        let readers = self.options.clone().create_if_missing(false).pragma("query_only", "ON");
        let pools =
            Pools::of_file(Source::new(pool(1), writer), Source::new(pool(READERS), readers));
        Ok(SqlStore::new(pools, WriteLock::with_patience(BUSY_TIMEOUT)))
    }

    /// Switches the file to the write-ahead log. Of two processes that do so at once one is turned
    /// away without waiting, so this waits as SQLite itself would.
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
            "the file cannot keep a write-ahead log (its journal stays in mode {mode}); is it on a \
             network file system?"
        );
        Err(sqlx::Error::Configuration(text.into()))
    }

    /// Asks for the write-ahead log, and returns the mode that the journal then has.
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
    fn addresses_are_explained_and_never_repeated() {
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
                panic!("{url} was taken for an address");
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
