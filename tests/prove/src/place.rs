//! Where a check keeps its records: a new, empty store of each kind that is available.

use std::sync::Arc;

use progress_core::{MemoryStore, Progress, ProgressStore};
use progress_test_support::{Database, Kind};
use tokio::runtime::Runtime;

/// A new, empty store. A file is deleted when this is dropped.
pub(crate) struct Place {
    pub(crate) name: &'static str,
    /// `None` for a store in memory.
    database: Option<Database>,
}

impl Place {
    pub(crate) fn memory() -> Self {
        Self { name: "memory", database: None }
    }

    pub(crate) fn sqlite() -> Self {
        Self { name: "sqlite", database: Database::new(Kind::Sqlite) }
    }

    /// A store on a server; `None` if there is no such server, which xtask reports.
    fn on_server(name: &'static str, kind: Kind) -> Option<Self> {
        Database::new(kind).map(|database| Self { name, database: Some(database) })
    }

    /// A store on each server.
    pub(crate) fn servers() -> Vec<Self> {
        let servers = [("postgres", Kind::Postgres), ("mysql", Kind::MySql)];
        servers.into_iter().filter_map(|(name, kind)| Self::on_server(name, kind)).collect()
    }

    /// Another store of the same kind.
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

    /// A store of each kind that several processes can share.
    pub(crate) fn shared() -> Vec<Self> {
        let mut places = vec![Self::sqlite()];
        places.append(&mut Self::servers());
        places
    }

    /// A store of each kind.
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

/// Returns the record without its time of reading: equal as long as nothing has changed.
pub(crate) fn unobserved(mut progress: Progress) -> Progress {
    progress.observed_at = progress.created_at;
    progress
}
