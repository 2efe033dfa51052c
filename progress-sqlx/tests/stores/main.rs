//! Tests of the stores by their public interface: `everywhere` runs on every database, the other
//! modules only on SQLite.
#![cfg(all(feature = "_sqlite", feature = "postgres", feature = "mysql"))]
#![allow(clippy::unwrap_used, reason = "test helpers may panic like tests")]

mod database;
mod everywhere;
mod faults;
mod migrations;
mod processes;
mod sizes;
mod values;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use progress_core::{Delta, NewProgress, Progress, ProgressStore, ProgressUpdate, testing};
use progress_sqlx::SqliteStore;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};

/// A database file of one test, deleted with this value.
struct Database {
    folder: tempfile::TempDir,
}

impl Database {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("progress.db")
    }

    fn url(&self) -> String {
        format!("sqlite://{}", self.path().display())
    }

    async fn store(&self) -> SqliteStore {
        SqliteStore::connect(&self.url()).await.unwrap()
    }

    /// Opens an application's pool on the same file. It gives up after 50 ms.
    async fn pool(&self) -> SqlitePool {
        let options = SqliteConnectOptions::new()
            .filename(self.path())
            .create_if_missing(true)
            .busy_timeout(Duration::from_millis(50));
        SqlitePoolOptions::new().max_connections(2).connect_with(options).await.unwrap()
    }
}

async fn running(store: &SqliteStore) -> Progress {
    let job = store.create(&NewProgress::new("test")).await.unwrap();
    store.update(job.id, &ProgressUpdate::start()).await.unwrap()
}

fn one() -> ProgressUpdate {
    ProgressUpdate::advance(Delta::new().with_succeeded(1))
}

/// Waits by yielding until the time is over, because timers are too coarse.
async fn spin(time: Duration) {
    let end = std::time::Instant::now() + time;
    while std::time::Instant::now() < end {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn futures_may_be_spawned() {
    fn assert_send<T: Send>(value: T) -> T {
        value
    }
    let store = assert_send(SqliteStore::connect("sqlite::memory:")).await.unwrap();
    assert_send(store.migrate()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_conforms() {
    let store = SqliteStore::connect("sqlite::memory:").await.unwrap();
    testing::conformance(Arc::new(store), 100).await;
}
