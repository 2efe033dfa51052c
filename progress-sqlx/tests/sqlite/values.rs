//! What goes in comes out, and what should not be there is an error.

use progress_core::limits::MAX_COUNT;
use progress_core::{
    Completion, Delta, NewEntry, NewProgress, ProgressError, ProgressId, ProgressQuery, ProgressStore,
    ProgressUpdate, Stamp, TotalChange,
};
use progress_sqlx::SqliteStore;
use serde_json::json;
use uuid::Uuid;

use crate::{Database, one, running};

async fn memory() -> SqliteStore {
    SqliteStore::connect("sqlite::memory:").await.unwrap()
}

#[tokio::test]
async fn counts_stop_at_the_largest_exact_integer() {
    let store = memory().await;
    let job = store.create(&NewProgress::new("test").with_total(u64::MAX)).await.unwrap();
    assert_eq!(job.total, Some(MAX_COUNT));
    store.update(job.id, &ProgressUpdate::start()).await.unwrap();
    let most = Delta::new()
        .with_succeeded(u64::MAX)
        .with_failed(MAX_COUNT)
        .with_total(TotalChange::Add(u64::MAX))
        .with_dropped_entries(u64::MAX);
    for _ in 0..2 {
        let seen = store.update(job.id, &ProgressUpdate::advance(most.clone())).await.unwrap();
        assert_eq!((seen.succeeded, seen.failed, seen.last_entry), (MAX_COUNT, MAX_COUNT, MAX_COUNT));
    }
    // Where counting has stopped the log still takes its newest entry.
    for text in ["last", "very last"] {
        let delta = Delta::new().with_entry(NewEntry::info(text));
        store.update(job.id, &ProgressUpdate::advance(delta)).await.unwrap();
        let log = store.entries(job.id, MAX_COUNT - 1, 10).await.unwrap();
        assert_eq!((log.entries.len(), log.entries[0].message.as_str()), (1, text));
    }
    let page = store.entries(job.id, u64::MAX, u32::MAX).await.unwrap();
    assert_eq!((page.entries.len(), page.next_after), (0, u64::MAX));
}

#[tokio::test]
async fn stamps_are_told_apart_over_all_64_bits() {
    let store = memory().await;
    let job = running(&store).await;
    let writer = Uuid::new_v4();
    for seq in [0, 1, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX - 1, u64::MAX] {
        for _ in 0..2 {
            store.update(job.id, &one().with_stamp(Stamp { writer, seq })).await.unwrap();
        }
    }
    assert_eq!(store.get(job.id).await.unwrap().unwrap().succeeded, 6);
}

#[tokio::test]
async fn text_and_json_come_back_as_they_were() {
    let store = memory().await;
    let controls: String = (1..=0x9f).filter_map(char::from_u32).collect();
    let texts = [
        controls.as_str(),
        "💡 𝒳 e\u{301} \u{202E} \u{2028} \u{FFFE} \u{10FFFF}",
        "'; DROP TABLE progress_records; -- $1 ?1 %s \\ \"",
    ];
    for text in texts {
        let metadata = json!({ text: [text, "a\0b", 0.1 + 0.2, 1e-308, u64::MAX, i64::MIN, null, true] });
        let job = NewProgress::new(text).with_owner(text).with_title(text).with_metadata(metadata.clone());
        let job = store.create(&job).await.unwrap();
        store.update(job.id, &ProgressUpdate::start()).await.unwrap();
        let delta = Delta::new().with_message(text).with_entry(NewEntry::error(text).with_item(text));
        let completion = Completion::new().with_message(text).try_with_result(metadata.clone()).unwrap();
        store.update(job.id, &ProgressUpdate::complete(delta, completion)).await.unwrap();

        let seen = store.list(&ProgressQuery::new().with_owner(text).with_task_type(text)).await.unwrap();
        let seen = &seen.items[0];
        assert_eq!((seen.metadata.as_ref(), seen.result.as_ref()), (Some(&metadata), Some(&metadata)));
        assert_eq!((seen.title.as_deref(), seen.message.as_deref()), (Some(text), Some(text)));
        let entry = &store.entries(job.id, 0, 10).await.unwrap().entries[0];
        assert_eq!(
            (entry.message.as_str(), entry.item.as_deref(), entry.at),
            (text, Some(text), seen.updated_at)
        );
    }
    let seen = store.create(&NewProgress::new("a\0b")).await.unwrap();
    assert_eq!(seen.task_type, "a\u{FFFD}b");
    let largest = json!("\"".repeat(8 * 1024 - 1));
    assert_eq!(largest.to_string().len(), 16 * 1024);
    let seen = store.create(&NewProgress::new("test").with_metadata(largest.clone())).await.unwrap();
    assert_eq!(seen.metadata, Some(largest));
}

#[tokio::test]
async fn json_that_could_not_be_read_back_is_refused() {
    let store = memory().await;
    let deep = (0..1_000).fold(json!(1), |inner, _| json!([inner]));
    let job = NewProgress::new("test").with_metadata(deep.clone());
    assert!(matches!(store.create(&job).await, Err(ProgressError::Invalid(_))));
    let job = running(&store).await;
    let completion = Completion::new().try_with_result(deep);
    if let Ok(completion) = completion {
        let ending = ProgressUpdate::complete(Delta::new(), completion);
        assert!(matches!(store.update(job.id, &ending).await, Err(ProgressError::Invalid(_))));
        assert_eq!(store.get(job.id).await.unwrap().unwrap().version, job.version);
    }
}

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
        "id = 'nobody'",
    ] {
        let job = running(&store).await;
        let sql = format!("UPDATE progress_records SET {damage} WHERE id = '{}'", job.id);
        let changed = sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&pool).await;
        if changed.is_err() {
            // The STRICT table refused it, which is as good.
            continue;
        }
        let is_lost = damage.starts_with("id");
        let seen = store.get(job.id).await;
        if is_lost {
            assert!(matches!(seen, Ok(None)), "{damage}: {seen:?}");
        } else {
            assert!(matches!(seen, Err(ProgressError::Store(_))), "{damage}: {seen:?}");
        }
        // A status that nobody can ask for is on no list.
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

#[tokio::test]
async fn the_clock_is_the_databases_to_the_millisecond() {
    let store = memory().await;
    for _ in 0..200 {
        let before = chrono::Utc::now().timestamp_millis();
        let job = store.create(&NewProgress::new("test")).await.unwrap();
        let after = chrono::Utc::now().timestamp_millis();
        assert!((before..=after).contains(&job.created_at.timestamp_millis()));
        assert_eq!((job.updated_at, job.observed_at), (job.created_at, job.created_at));
    }
}
