//! Where records are kept in a check: every kind of store there is on this machine, each time a new and empty one.

use std::sync::Arc;

use progress_core::{MemoryStore, Progress, ProgressStore};
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, PgConnection};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A new, empty store; what it occupies is freed with it.
pub(crate) struct Place {
    pub(crate) name: &'static str,
    /// `None` for the memory of this process.
    url: Option<String>,
    _folder: Option<TempDir>,
}

impl Place {
    pub(crate) fn memory() -> Self {
        Self { name: "memory", url: None, _folder: None }
    }

    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("progress.db").display());
        Self { name: "sqlite", url: Some(url), _folder: Some(folder) }
    }

    /// A new database on the server that the variable names; `None` where there is no such server, which xtask says aloud.
    fn on_server(name: &'static str, variable: &str) -> Option<Self> {
        let server = std::env::var(variable).ok()?;
        let database = format!("prove_{}", uuid::Uuid::new_v4().simple());
        let create = AssertSqlSafe(format!("CREATE DATABASE {database}"));
        runtime().block_on(async {
            if name == "postgres" {
                let mut connection = PgConnection::connect(&server).await.unwrap();
                sqlx::raw_sql(create).execute(&mut connection).await.unwrap();
            } else {
                let mut connection = MySqlConnection::connect(&server).await.unwrap();
                sqlx::raw_sql(create).execute(&mut connection).await.unwrap();
            }
        });
        // The server's address ends in the database that is always there.
        let (host, _) = server.rsplit_once('/').unwrap();
        Some(Self { name, url: Some(format!("{host}/{database}")), _folder: None })
    }

    /// One on every server.
    pub(crate) fn servers() -> Vec<Self> {
        let servers = [("postgres", "PROGRESS_TEST_POSTGRES"), ("mysql", "PROGRESS_TEST_MYSQL")];
        servers.into_iter().filter_map(|(name, variable)| Self::on_server(name, variable)).collect()
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
        self.url.as_deref().expect("a store that processes share")
    }

    pub(crate) async fn open(&self) -> Arc<dyn ProgressStore> {
        match &self.url {
            Some(url) => open(url).await,
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
