//! Databases that take no writes for a while. On SQLite and MariaDB the torture suite looks at this (`storage`): it takes the
//! rights of root, or changes the whole server.

use std::time::Duration;

use super::{on_every_database, running};
use crate::database::Database;
use crate::one;

on_every_database!(@on postgres, Postgres, sessions_that_keep_to_reading_are_replaced);

/// As those are that stay with a primary which has become a standby.
async fn sessions_that_keep_to_reading_are_replaced(database: Database) {
    let store = database.store().await;
    let id = running(&store).await.id;
    let operator = database.pool().await;
    let name = database.url().rsplit_once('/').unwrap().1;
    let set = |value| {
        format!(
            "BEGIN READ WRITE; ALTER DATABASE {name} SET default_transaction_read_only = {value}; COMMIT"
        )
    };
    operator.execute(&set("on")).await;
    operator
        .execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
    for _ in 0..5 {
        let refused = store.update(id, &one()).await;
        assert!(
            refused.as_ref().is_err_and(progress_core::ProgressError::is_transient),
            "{refused:?}"
        );
        assert!(store.get(id).await.is_ok(), "what can be read is read");
    }
    operator.execute(&set("off")).await;
    // They are not replaced more often than once a second.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(store.update(id, &one()).await.unwrap().succeeded, 1);
}
