//! Tests that run on every database.

mod changes;
mod contention;
mod encryption;
mod faults;
mod locks;
mod migrations;
mod processes;
mod round_trips;
mod settings;
mod silence;
mod values;

use std::sync::Arc;

use progress_core::{NewProgress, Progress, ProgressStore, ProgressUpdate, testing};

use crate::database::{Database, Kind};

type Store = Arc<dyn ProgressStore>;

/// Declares a test of each of these for each kind of database. A test without a server reports that
/// it did not run.
macro_rules! on_every_database {
    ($($name:ident),+ $(,)?) => {
        $crate::everywhere::on_every_database!(@on sqlite, Sqlite, $($name),+);
        $crate::everywhere::on_every_database!(@on postgres, Postgres, $($name),+);
        $crate::everywhere::on_every_database!(@on mysql, MySql, $($name),+);
    };
    (@on $module:ident, $kind:ident, $($name:ident),+) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $name() {
                    let kind = $crate::database::Kind::$kind;
                    if let Some(database) = $crate::database::Database::new(kind).await {
                        super::$name(database).await;
                    }
                }
            )+
        }
    };
}
use on_every_database;

async fn running(store: &Store) -> Progress {
    let job = store.create(&NewProgress::new("test")).await.unwrap();
    store.update(job.id, &ProgressUpdate::start()).await.unwrap()
}

on_every_database!(it_conforms, a_shared_pool_conforms);

async fn it_conforms(database: Database) {
    testing::conformance(database.store().await, 1_000).await;
}

async fn a_shared_pool_conforms(database: Database) {
    testing::conformance(database.pool().await.store().await, 100).await;
}

#[tokio::test]
async fn addresses_of_other_databases_are_refused_and_not_repeated() {
    for url in [
        "",
        "canary",
        "oracle://canary@host/db",
        "postgres://canary:canary@host:canary/db",
        "mysql://c:anary",
    ] {
        let error = progress_sqlx::connect_any(url).await.unwrap_err();
        assert!(matches!(error, progress_core::ProgressError::Setup(_)), "{error:?}");
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }
}

/// A file and an in-memory database.
#[tokio::test]
async fn sqlite_is_also_found_by_its_scheme() {
    let database = Database::new(Kind::Sqlite).await.unwrap();
    running(&database.store().await).await;
    running(&progress_sqlx::connect_any("sqlite::memory:").await.unwrap()).await;
}
