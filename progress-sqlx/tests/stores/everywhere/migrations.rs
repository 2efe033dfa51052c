//! The store's tables beside those of an application.

use progress_core::ProgressError;
use sqlx::migrate::{Migration, MigrationType, Migrator};

use super::{on_every_database, running};
use crate::database::Database;
use crate::one;

on_every_database!(
    the_applications_migrations_and_ours_do_not_meet,
    newer_tables_say_which_programs_they_serve,
    a_tool_of_the_applications_own_may_run_the_scripts,
    a_table_in_the_way_is_an_error,
);

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

async fn the_applications_migrations_and_ours_do_not_meet(database: Database) {
    for ours_first in [true, false] {
        let fresh = Database::new(database.kind()).await.unwrap();
        let pool = fresh.pool().await;
        for ours in [ours_first, !ours_first, ours_first, !ours_first] {
            if ours {
                pool.store().await;
            } else {
                pool.migrate(&migrator()).await;
            }
        }
        let store = pool.store().await;
        let job = running(&store).await;
        store.update(job.id, &one()).await.unwrap();
        assert_eq!(pool.integer("SELECT count(*) FROM _sqlx_migrations").await, 1);
    }
}

async fn newer_tables_say_which_programs_they_serve(database: Database) {
    let id = running(&database.store().await).await.id;
    let pool = database.pool().await;
    // The next version adds a column with a default, and serves programs of this one.
    pool.execute("ALTER TABLE progress_records ADD COLUMN later INTEGER NOT NULL DEFAULT 7").await;
    pool.execute("INSERT INTO progress_schema (version, serves) VALUES (2, 1)").await;
    let store = database.store().await;
    assert_eq!(store.update(id, &one()).await.unwrap().succeeded, 1);
    running(&store).await;

    pool.execute("INSERT INTO progress_schema (version, serves) VALUES (3, 2)").await;
    let error = progress_sqlx::connect_any(database.url()).await.unwrap_err();
    assert!(matches!(error, ProgressError::Setup(_)), "{error:?}");
    let wanted = "the progress tables have version 3 and need a program of version 2 or later, \
                  but this program has version 1: upgrade the program";
    assert_eq!(error.to_string(), wanted);
}

async fn a_tool_of_the_applications_own_may_run_the_scripts(database: Database) {
    let pool = database.pool().await;
    for script in pool.scripts() {
        pool.execute(script).await;
    }
    running(&pool.store().await).await;
}

async fn a_table_in_the_way_is_an_error(database: Database) {
    let pool = database.pool().await;
    pool.execute("CREATE TABLE progress_writers (other INTEGER)").await;
    for _ in 0..2 {
        let outcome = progress_sqlx::connect_any(database.url()).await;
        assert!(matches!(outcome, Err(ProgressError::Store(_))), "{outcome:?}");
    }
    pool.execute("DROP TABLE progress_writers").await;
    running(&database.store().await).await;
}
