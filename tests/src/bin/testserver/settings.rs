use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use progress_core::{MemoryStore, ProgressError, ProgressStore};
use progress_sqlx::PostgresStore;
use sqlx::SqlitePool;

use crate::counting::CountingStore;
use crate::reopening::Reopening;

/// A server for tests: the progress library under `/progress`, and routes that create and change
/// jobs.
#[derive(Debug, Parser)]
pub(crate) struct Settings {
    /// The web framework.
    #[arg(long, value_enum)]
    pub(crate) framework: Framework,
    /// The store: memory, sqlite:PATH, postgres:URL, mysql:URL or redis:URL.
    #[arg(long, default_value = "memory", overrides_with = "store")]
    store: String,
    /// The address to listen on.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
    /// Maximum age of a cached record, in milliseconds. With 0, only reads at the same moment are
    /// shared: the baseline for measuring the cache.
    #[arg(long, default_value_t = 250)]
    freshness_ms: u64,
    /// Sets no limits on slow clients: the baseline for measuring the limits.
    #[arg(long)]
    pub(crate) without_limits: bool,
    /// Number of actix workers, each with its own runtime; one per core by default.
    #[arg(long)]
    pub(crate) workers: Option<usize>,
    /// Opens the store anew for each call: the baseline for measuring its connections.
    #[arg(long)]
    pub(crate) store_per_call: bool,
    /// Notifies other processes of changes, and listens to theirs; only on PostgreSQL.
    #[arg(long)]
    notify: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Framework {
    Axum,
    Actix,
}

impl Settings {
    pub(crate) fn freshness(&self) -> Duration {
        Duration::from_millis(self.freshness_ms)
    }

    pub(crate) async fn open(&self) -> Result<Arc<CountingStore>, ProgressError> {
        let store: Arc<dyn ProgressStore> = match self.store.as_str() {
            "memory" => Arc::new(MemoryStore::new()),
            address if self.store_per_call => Arc::new(Reopening::new(url(address))),
            address if self.notify => {
                Arc::new(PostgresStore::connect(url(address)).await?.with_notify())
            }
            address => progress_redis::connect_any(url(address)).await?,
        };
        Ok(Arc::new(CountingStore::new(store)))
    }

    /// Opens a pool of the application's own on the same SQLite file, if the store is one.
    pub(crate) fn pool(&self) -> Result<Option<SqlitePool>, sqlx::Error> {
        let is_sqlite = self.store.starts_with("sqlite:");
        is_sqlite.then(|| SqlitePool::connect_lazy(&self.store)).transpose()
    }
}

/// Returns the store's URL. The kind of a server's store may precede the URL's scheme, or be the
/// scheme.
fn url(address: &str) -> &str {
    let rest = address.strip_prefix("postgres:").or_else(|| address.strip_prefix("mysql:"));
    rest.filter(|rest| rest.contains("://")).unwrap_or(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_with_or_without_its_kind() {
        for (address, expected) in [
            ("postgres:postgres://host/database", "postgres://host/database"),
            ("postgres:postgresql://host/database", "postgresql://host/database"),
            ("postgres://host/database", "postgres://host/database"),
            ("mysql:mysql://host/database", "mysql://host/database"),
            ("mysql:mariadb://host/database", "mariadb://host/database"),
            ("mysql://host/database", "mysql://host/database"),
            ("sqlite:/folder/progress.db", "sqlite:/folder/progress.db"),
        ] {
            assert_eq!(url(address), expected);
        }
    }
}
