//! Where records are kept in a check: every kind of store there is on this machine, each time a new and empty one.

use std::sync::Arc;

use progress_core::{MemoryStore, Progress, ProgressStore};
use progress_tests::{Database, Kind};
use tokio::runtime::Runtime;

/// A new, empty store; what it occupies is freed with it.
pub(crate) struct Place {
    pub(crate) name: &'static str,
    /// `None` for the memory of this process.
    database: Option<Database>,
}

impl Place {
    pub(crate) fn memory() -> Self {
        Self { name: "memory", database: None }
    }

    pub(crate) fn sqlite() -> Self {
        Self { name: "sqlite", database: Database::new(Kind::Sqlite) }
    }

    /// On a server; `None` where there is no such server, which xtask says aloud.
    fn on_server(name: &'static str, kind: Kind) -> Option<Self> {
        Database::new(kind).map(|database| Self { name, database: Some(database) })
    }

    /// One on every server.
    pub(crate) fn servers() -> Vec<Self> {
        let servers = [("postgres", Kind::Postgres), ("mysql", Kind::MySql)];
        servers.into_iter().filter_map(|(name, kind)| Self::on_server(name, kind)).collect()
    }

    /// Another of the same kind.
    pub(crate) fn another(&self) -> Self {
        match self.name {
            "memory" => Self::memory(),
            "sqlite" => Self::sqlite(),
            "postgres" => {
                Self::on_server("postgres", Kind::Postgres).expect("the server that this one is on")
            }
            _ => Self::on_server("mysql", Kind::MySql).expect("the server that this one is on"),
        }
    }

    /// One of every kind that several processes can share.
    pub(crate) fn shared() -> Vec<Self> {
        let mut places = vec![Self::sqlite()];
        places.append(&mut Self::servers());
        places
    }

    /// One of every kind.
    pub(crate) fn all() -> Vec<Self> {
        let mut places = vec![Self::memory()];
        places.append(&mut Self::shared());
        places
    }

    pub(crate) fn url(&self) -> &str {
        self.database.as_ref().expect("a store that processes share").url()
    }

    pub(crate) async fn open(&self) -> Arc<dyn ProgressStore> {
        match &self.database {
            Some(database) => open(database.url()).await,
            None => Arc::new(MemoryStore::new()),
        }
    }
}

pub(crate) async fn open(url: &str) -> Arc<dyn ProgressStore> {
    progress_sqlx::connect_any(url).await.unwrap()
}

pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// The record without the time at which it was read: equal as long as nothing has changed.
pub(crate) fn unobserved(mut progress: Progress) -> Progress {
    progress.observed_at = progress.created_at;
    progress
}
