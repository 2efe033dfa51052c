use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use progress_core::{MemoryStore, ProgressError, ProgressStore};

use crate::counting::CountingStore;
use crate::reopening::Reopening;

/// A server for tests: the progress library under `/progress`, and routes that make and change jobs.
#[derive(Debug, Parser)]
pub(crate) struct Settings {
    /// What serves.
    #[arg(long, value_enum)]
    pub(crate) framework: Framework,
    /// Where records live: memory, sqlite:PATH, postgres:URL or mysql:URL.
    #[arg(long, default_value = "memory", overrides_with = "store")]
    store: String,
    /// The address to listen on.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
    /// How old an answer from memory may be. With 0, every read that nobody else makes at the moment goes to the store: what
    /// a measurement of the cache is compared with.
    #[arg(long, default_value_t = 250)]
    freshness_ms: u64,
    /// Waits for slow clients for ever, as the frameworks may: what a measurement of the limits is compared with.
    #[arg(long)]
    pub(crate) without_limits: bool,
    /// How many workers actix has, each with a runtime of its own; one per core unless set.
    #[arg(long)]
    pub(crate) workers: Option<usize>,
    /// Opens the store anew for each call: what a measurement of its connections is compared with.
    #[arg(long)]
    pub(crate) store_per_call: bool,
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
            address => progress_sqlx::connect_any(url(address)).await?,
        };
        Ok(Arc::new(CountingStore::new(store)))
    }
}

/// A server's address has a scheme of its own, which may stand after the kind of the store or be it.
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
