//! Our tables beside other people's.

use std::error::Error as _;

use progress_core::{ProgressError, ProgressStore};
use progress_sqlx::SqliteStore;
use sqlx::migrate::{Migration, MigrationType, Migrator};

use crate::{Database, one, running};

fn migrator() -> Migrator {
    let script = sqlx::SqlStr::from_static("CREATE TABLE invoices (id INTEGER PRIMARY KEY)");
    Migrator::with_migrations(vec![Migration::new(
        1,
        "invoices".into(),
        MigrationType::Simple,
        script,
        false,
    )])
}

#[tokio::test]
async fn the_applications_migrations_and_ours_do_not_meet() {
    for ours_first in [true, false] {
        let database = Database::new();
        let pool = database.pool().await;
        let store = SqliteStore::new(pool.clone());
        for ours in [ours_first, !ours_first, ours_first, !ours_first] {
            if ours {
                store.migrate().await.unwrap();
            } else {
                migrator().run(&pool).await.unwrap();
            }
        }
        let job = running(&store).await;
        store.update(job.id, &one()).await.unwrap();
        let theirs: i64 =
            sqlx::query_scalar("SELECT count(*) FROM _sqlx_migrations").fetch_one(&pool).await.unwrap();
        assert_eq!(theirs, 1);
    }
}

#[tokio::test]
async fn newer_tables_are_refused_in_words_and_left_alone() {
    let database = Database::new();
    drop(database.store().await);
    let pool = database.pool().await;
    sqlx::query("INSERT INTO progress_schema (version) VALUES (2)").execute(&pool).await.unwrap();
    let error = SqliteStore::connect(&database.url()).await.unwrap_err();
    assert!(matches!(error, ProgressError::Store(_)));
    let text = error.source().unwrap().to_string();
    let wanted = "the progress tables have version 2, this program knows up to 1; upgrade the program";
    assert!(text.contains(wanted), "{text}");
}

#[tokio::test]
async fn a_tool_of_the_applications_own_may_run_the_scripts() {
    let database = Database::new();
    let pool = database.pool().await;
    for script in SqliteStore::migrations_sql() {
        sqlx::raw_sql(*script).execute(&pool).await.unwrap();
    }
    let store = SqliteStore::new(pool);
    store.migrate().await.unwrap();
    running(&store).await;
}

#[tokio::test]
async fn a_table_in_the_way_is_an_error_and_nothing_is_half_done() {
    let database = Database::new();
    let pool = database.pool().await;
    sqlx::query("CREATE TABLE progress_writers (other TEXT)").execute(&pool).await.unwrap();
    let outcome = SqliteStore::new(pool.clone()).migrate().await;
    assert!(matches!(outcome, Err(ProgressError::Store(_))), "{outcome:?}");
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE type = 'table'")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(tables, 1);
}
