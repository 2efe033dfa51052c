//! Faults of SQLite, and the recovery after them.

use std::time::Duration;

use progress_core::{Delta, NewEntry, NewProgress, ProgressError, ProgressStore, ProgressUpdate};
use progress_sqlx::SqliteStore;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

use crate::{Database, one, running, spin};

#[tokio::test]
async fn a_dropped_call_does_not_take_a_database_in_memory_with_it() {
    let store = SqliteStore::connect("sqlite::memory:").await.unwrap();
    let job = running(&store).await;
    for round in 0..500 {
        let patience = Duration::from_micros(round);
        let update = one();
        tokio::select! {
            biased;
            outcome = store.update(job.id, &update) => { outcome.unwrap(); }
            () = spin(patience) => {}
        }
    }
    assert!(store.update(job.id, &one()).await.is_ok());
}

#[tokio::test]
async fn a_locked_database_is_unavailable_and_comes_back() {
    let database = Database::new();
    let owner = database.store().await;
    let job = running(&owner).await;
    let store = SqliteStore::new(database.pool().await);
    let other = database.pool().await;
    let mut lock = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    sqlx::query("UPDATE progress_records SET title = 'mine'").execute(&mut *lock).await.unwrap();

    let outcome = store.update(job.id, &one()).await;
    assert!(matches!(&outcome, Err(error) if error.is_transient()), "{outcome:?}");
    for outcome in store.update_many(&[(job.id, one()), (job.id, one())]).await {
        assert!(matches!(&outcome, Err(error) if error.is_transient()), "{outcome:?}");
    }
    assert!(store.get(job.id).await.is_ok(), "readers do not wait");
    lock.rollback().await.unwrap();
    assert_eq!(store.update(job.id, &one()).await.unwrap().succeeded, 1);
}

#[tokio::test]
async fn a_full_database_is_unavailable_and_comes_back() {
    let database = Database::new();
    let job = running(&database.store().await).await;
    let pool = database.pool().await;
    // The migrations have left free pages, in place of indexes that they replaced.
    sqlx::query("VACUUM").execute(&pool).await.unwrap();
    let pages: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(&pool).await.unwrap();
    pool.close().await;
    // Set in the options, because a connection is replaced after SQLite has rolled back by itself.
    let full = SqliteConnectOptions::new()
        .filename(database.path())
        .pragma("max_page_count", (pages + 1).to_string());
    let full = SqlitePoolOptions::new().max_connections(1).connect_with(full).await.unwrap();
    let store = SqliteStore::new(full);

    let large = |count| {
        let entry = NewEntry::info("x".repeat(500));
        let delta = (0..100)
            .fold(Delta::new().with_succeeded(count), |delta, _| delta.with_entry(entry.clone()));
        ProgressUpdate::advance(delta)
    };
    let metadata = serde_json::json!("x".repeat(16_000));
    let created = store.create(&NewProgress::new("test").with_metadata(metadata)).await;
    assert!(created.is_err_and(|error| error.is_transient()));
    let outcome = store.update(job.id, &large(1)).await;
    assert!(matches!(&outcome, Err(error) if error.is_transient()), "{outcome:?}");
    let outcomes = store.update_many(&[(job.id, one()), (job.id, large(1)), (job.id, one())]).await;
    assert!(
        outcomes.iter().all(|outcome| matches!(outcome, Err(error) if error.is_transient())),
        "{outcomes:?}"
    );

    let store = SqliteStore::new(database.pool().await);
    let seen = store.update(job.id, &large(1)).await.unwrap();
    assert_eq!(
        (seen.succeeded, seen.last_entry),
        (1, 100),
        "a failed update leaves nothing behind"
    );
}

/// Simulates a failed write to the disk: SQLite has rolled back by itself, and the driver does not
/// know.
#[tokio::test]
async fn a_connection_that_lost_its_transaction_is_replaced() {
    let database = Database::new();
    let options = SqliteConnectOptions::new().filename(database.path()).create_if_missing(true);
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    let store = SqliteStore::new(pool.clone());
    store.migrate().await.unwrap();
    let job = running(&store).await;
    for turn in 1..=2 {
        let mut transaction = pool.begin().await.unwrap();
        sqlx::query("ROLLBACK").execute(&mut *transaction).await.unwrap();
        drop(transaction);
        assert_eq!(store.update(job.id, &one()).await.unwrap().succeeded, turn);
    }
}

#[tokio::test]
async fn a_closed_pool_is_unavailable_and_a_missing_table_is_not() {
    let database = Database::new();
    let pool = database.pool().await;
    let store = SqliteStore::new(pool.clone());
    let missing = store.create(&NewProgress::new("test")).await;
    assert!(matches!(missing, Err(ProgressError::Setup(_))), "{missing:?}");
    pool.close().await;
    let closed = store.create(&NewProgress::new("test")).await;
    assert!(matches!(closed, Err(ProgressError::Unavailable(_))), "{closed:?}");
}

#[tokio::test]
async fn what_is_no_database_is_an_error() {
    let database = Database::new();
    std::fs::write(
        database.path(),
        "this is a letter and not a database, however long one looks at it",
    )
    .unwrap();
    let outcome = SqliteStore::connect(&database.url()).await;
    assert!(matches!(outcome, Err(ProgressError::Store(_))), "{outcome:?}");
    let folder = format!("sqlite://{}", database.folder.path().display());
    let outcome = SqliteStore::connect(&folder).await;
    assert!(matches!(outcome, Err(ProgressError::Unavailable(_))), "{outcome:?}");
}

/// A janitor probes a record before it declares a worker lost. A probe that wrote nothing would
/// succeed on a full or read-only disk, where the worker's heartbeats fail.
#[tokio::test]
async fn a_probe_writes_to_the_file() {
    let database = Database::new();
    let store = database.store().await;
    let job = running(&store).await;
    let mut connection = database.pool().await.acquire().await.unwrap();
    let mut version = async || -> i64 {
        sqlx::query_scalar("PRAGMA data_version").fetch_one(&mut *connection).await.unwrap()
    };
    let before = version().await;
    store.get(job.id).await.unwrap();
    assert_eq!(version().await, before, "a read changes no data");
    store.update(job.id, &ProgressUpdate::probe(job.heartbeat_at.unwrap())).await.unwrap();
    assert_ne!(version().await, before);
}
