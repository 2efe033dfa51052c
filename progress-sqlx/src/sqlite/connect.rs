//! From an address to a store that is ready.

use std::str::FromStr;
use std::time::{Duration, Instant};

use progress_core::ProgressError;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteSynchronous};

use super::codes::is_busy;
use super::{SqliteStore, statements};
use crate::error::classify;
use crate::health::{Origin, Pools};
use crate::store::Body;

/// How long a writer waits for other processes, and a reader in the rare cases in which it has to.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Enough for many pollers: a read takes tens of microseconds.
const READERS: u32 = 4;

impl SqliteStore {
    /// Opens a database file by its address, such as `sqlite://progress.db`, and [migrates](Self::migrate) it.
    ///
    /// The file is made when it is missing, unless the address says otherwise (`?mode=rw`); its folder is not, for a
    /// missing folder is nearly always a volume that was not mounted or a slip of the pen. `sqlite::memory:` is a database
    /// of this store alone, gone with it.
    ///
    /// The file is switched to the write-ahead log, so readers and the writer do not wait for each other. Writers take
    /// turns on one connection, readers share four others.
    ///
    /// # Errors
    ///
    /// [`Invalid`](ProgressError::Invalid) when the address cannot be understood or its folder is missing; otherwise as
    /// [`migrate`](Self::migrate).
    pub async fn connect(url: &str) -> Result<Self, ProgressError> {
        let address = Address::parse(url)?;
        let mut patience = Patience::new();
        let store = loop {
            match address.open().await {
                Ok(store) => break store,
                Err(error) => patience.after(error).await.map_err(classify)?,
            }
        };
        store.migrate().await?;
        Ok(store)
    }
}

struct Address {
    options: SqliteConnectOptions,
    is_in_memory: bool,
}

impl Address {
    /// The texts of its errors repeat nothing of the address: the address of another database may hold a password.
    fn parse(url: &str) -> Result<Self, ProgressError> {
        let Some(rest) = url.strip_prefix("sqlite:") else {
            return Err(ProgressError::invalid(
                "an SQLite address begins with sqlite:, as in sqlite://progress.db",
            ));
        };
        let (file, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let file = file.strip_prefix("//").unwrap_or(file);
        let mode = parameters.split('&').find_map(|parameter| parameter.strip_prefix("mode="));
        let is_in_memory = file == ":memory:" || mode == Some("memory");
        if file.is_empty() && !is_in_memory {
            return Err(ProgressError::invalid(
                "an SQLite address names a file, as in sqlite://progress.db",
            ));
        }
        let options = SqliteConnectOptions::from_str(url).map_err(|_| {
            ProgressError::invalid(
                "an SQLite address takes mode=ro, rw, rwc or memory, cache=shared or private, immutable and vfs",
            )
        })?;
        let folder = options.get_filename().parent();
        if !is_in_memory
            && folder.is_some_and(|folder| !folder.as_os_str().is_empty() && !folder.is_dir())
        {
            return Err(ProgressError::invalid("the folder of the SQLite file does not exist"));
        }
        let options = options
            .create_if_missing(matches!(mode, None | Some("rwc")))
            .busy_timeout(BUSY_TIMEOUT)
            // Safe with the write-ahead log: a power cut may take the last commits, never the file.
            .synchronous(SqliteSynchronous::Normal);
        Ok(Self { options, is_in_memory })
    }

    async fn open(&self) -> Result<SqliteStore, sqlx::Error> {
        let pool = |connections| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                // Nothing to test: there is no network in between. And a call that is cancelled during the test would
                // close the connection, and with it a database in memory.
                .test_before_acquire(false)
        };
        if self.is_in_memory {
            // The database lives as long as its only connection.
            let pool = pool(1).idle_timeout(None).max_lifetime(None);
            return Ok(SqliteStore::new(pool.connect_with(self.options.clone()).await?));
        }
        // The writer's waiting is done by the store, which is quicker at it.
        let writer = self.options.clone().busy_timeout(Duration::ZERO);
        let writer = pool(1).connect_with(writer).await?;
        use_write_ahead_log(&writer).await?;
        let readers = self.options.clone().create_if_missing(false).pragma("query_only", "ON");
        let pools = Pools::new(writer, pool(READERS).connect_lazy_with(readers), Origin::File);
        let mut store = SqliteStore { body: Body::on(pools) };
        store.body.shared.patience = BUSY_TIMEOUT;
        Ok(store)
    }
}

async fn use_write_ahead_log(pool: &SqlitePool) -> Result<(), sqlx::Error> {
    let mode: String = sqlx::query_scalar(statements::WRITE_AHEAD_LOG).fetch_one(pool).await?;
    if mode == "wal" {
        return Ok(());
    }
    Err(sqlx::Error::Protocol(format!(
        "the file cannot keep a write-ahead log (its journal stays in mode {mode}); is it on a network file system?"
    )))
}

/// Lets an attempt be repeated that only failed because others were in the way, for as long as SQLite itself would wait.
/// It does not always: of two that switch a file to the write-ahead log at once, one is turned away without waiting.
pub(super) struct Patience {
    since: Instant,
}

impl Patience {
    pub(super) fn new() -> Self {
        Self { since: Instant::now() }
    }

    /// Returns after a pause when there should be another attempt, and with the error when not.
    pub(super) async fn after(&mut self, error: sqlx::Error) -> Result<(), sqlx::Error> {
        const PAUSE: Duration = Duration::from_millis(20);
        if !is_busy(&error) || self.since.elapsed() >= BUSY_TIMEOUT {
            return Err(error);
        }
        tokio::time::sleep(PAUSE).await;
        Ok(())
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
            let Err(error @ ProgressError::Invalid(_)) = Address::parse(url).map(|_| ()) else {
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
