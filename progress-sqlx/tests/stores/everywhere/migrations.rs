//! The store's tables beside those of an application.

use progress_core::{Delta, NewProgress, ProgressError, ProgressId, ProgressUpdate, Status};
use sqlx::migrate::{Migration, MigrationType, Migrator};

use super::{on_every_database, running};
use crate::database::Database;
use crate::one;

on_every_database!(
    the_applications_migrations_and_ours_do_not_meet,
    newer_tables_say_which_programs_they_serve,
    programs_with_and_without_attempts_share_a_database,
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
    pool.execute("INSERT INTO progress_schema (version, serves) VALUES (4, 1)").await;
    let store = database.store().await;
    assert_eq!(store.update(id, &one()).await.unwrap().succeeded, 1);
    running(&store).await;

    pool.execute("INSERT INTO progress_schema (version, serves) VALUES (5, 4)").await;
    let error = progress_sqlx::connect_any(database.url()).await.unwrap_err();
    assert!(matches!(error, ProgressError::Setup(_)), "{error:?}");
    let wanted = "the progress tables have version 5 and need a program of version 4 or later, \
                  but this program has version 3: upgrade the program";
    assert_eq!(error.to_string(), wanted);
}

/// During a rolling deploy, programs of version 1 and of this version work on the same tables. The
/// statements are those of version 1.
async fn programs_with_and_without_attempts_share_a_database(database: Database) {
    let insert = |id: ProgressId| {
        format!(
            "INSERT INTO progress_records (id, task_type, status, auto_complete, lease, version, \
             created_at, updated_at, succeeded, failed, cancel_requested, workers, pace, \
             last_entry) VALUES ('{id}', 'test', 'pending', 0, 45000, 1, 1000, 1000, \
             0, 0, 0, 0, 0, 0)"
        )
    };
    let start = |id: ProgressId| {
        format!(
            "UPDATE progress_records SET status = 'running', started_at = 2000, \
             heartbeat_at = 2000, workers = 1, version = version + 1 WHERE id = '{id}'"
        )
    };
    let [before, after, taken] = [(); 3].map(|()| ProgressId::new());
    let pool = database.pool().await;
    pool.execute(pool.scripts()[0]).await;
    pool.execute(&insert(before)).await;
    pool.execute(&start(before)).await;
    let store = pool.store().await;
    pool.execute(&insert(after)).await;
    store.update(after, &ProgressUpdate::start()).await.unwrap();
    for (id, attempt) in [(before, 0), (after, 1)] {
        let counted = store.update(id, &one()).await.unwrap();
        assert_eq!((counted.succeeded, counted.attempt, counted.max_attempts), (1, attempt, None));
        let ending = ProgressUpdate::release(Delta::new(), "broken", None);
        assert_eq!(store.update(id, &ending).await.unwrap().status, Status::Failed);
    }

    // A worker of version 1 takes a job with attempts, and its process dies.
    store.create(&NewProgress::new("test").with_id(taken).with_attempts(2)).await.unwrap();
    pool.execute(&start(taken)).await;
    let heartbeat = store.get(taken).await.unwrap().unwrap().heartbeat_at.unwrap();
    let lost = store.update(taken, &ProgressUpdate::lose(heartbeat)).await.unwrap();
    assert_eq!((lost.status, lost.attempt), (Status::Pending, 0));
    let again = store.update(taken, &ProgressUpdate::start()).await.unwrap();
    assert_eq!((again.status, again.attempt), (Status::Running, 1));
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
