//! Unreadable values are errors.

use progress_core::{ProgressError, ProgressId, ProgressQuery, ProgressStore};

use crate::{Database, one, running};

#[tokio::test]
async fn unreadable_rows_are_errors_and_harm_no_other() {
    let database = Database::new();
    let store = database.store().await;
    let pool = database.pool().await;
    let sound = running(&store).await;
    for damage in [
        "status = 'paused'",
        "status = x'ff'",
        "succeeded = -5",
        "failed = 9007199254740992",
        "total = -5",
        "version = -1",
        "auto_complete = 2",
        "created_at = 9223372036854775806",
        "heartbeat_at = -9223372036854775808",
        "metadata = '{'",
        "metadata = CAST(x'ff22' AS TEXT)",
        "id = upper(id)",
        "id = 'unknown'",
    ] {
        let job = running(&store).await;
        let sql = format!("UPDATE progress_records SET {damage} WHERE id = '{}'", job.id);
        let changed = sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&pool).await;
        if changed.is_err() {
            // The STRICT table refused the damage, which is as good.
            continue;
        }
        let is_lost = damage.starts_with("id");
        let seen = store.get(job.id).await;
        if is_lost {
            assert!(matches!(seen, Ok(None)), "{damage}: {seen:?}");
        } else {
            assert!(matches!(seen, Err(ProgressError::Store(_))), "{damage}: {seen:?}");
        }
        // No query asks for an unknown status.
        let listed = store.list(&ProgressQuery::new()).await;
        assert!(listed.is_err() != damage.starts_with("status"), "{damage}: {listed:?}");
        let outcomes = store.update_many(&[(job.id, one()), (sound.id, one())]).await;
        assert!(outcomes[1].is_ok(), "{damage}: {outcomes:?}");
        sqlx::query("DELETE FROM progress_records WHERE id != $1")
            .bind(sound.id.to_string())
            .execute(&pool)
            .await
            .unwrap();
    }
    assert!(store.list(&ProgressQuery::new()).await.is_ok());
    assert!(store.get(ProgressId::new()).await.unwrap().is_none());
}
