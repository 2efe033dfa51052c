//! Migrations in a database that can roll back changes of tables.

use progress_core::ProgressError;
use progress_sqlx::SqliteStore;

use crate::Database;

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
