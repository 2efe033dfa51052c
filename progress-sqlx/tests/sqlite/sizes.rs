//! Many records, long logs, old ages: nothing scans, nothing overflows, nothing stays behind.

use std::time::Duration;

use progress_core::{Delta, NewEntry, NewProgress, ProgressStore, ProgressUpdate, Stamp};
use uuid::Uuid;

use crate::{Database, running};

#[tokio::test]
async fn no_age_overflows() {
    let database = Database::new();
    let store = database.store().await;
    let job = running(&store).await;
    for age in [Duration::MAX, Duration::from_millis(u64::MAX), Duration::from_secs(1 << 40)] {
        assert_eq!(store.fail_stale(age).await.unwrap(), 0);
        assert_eq!(store.delete_finished(age, u32::MAX).await.unwrap(), 0);
    }
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(store.fail_stale(Duration::ZERO).await.unwrap(), 1);
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(store.delete_finished(Duration::ZERO, 0).await.unwrap(), 0);
    assert_eq!(store.delete_finished(Duration::ZERO, u32::MAX).await.unwrap(), 1);
    assert_eq!(store.get(job.id).await.unwrap(), None);
}

#[tokio::test]
async fn the_oldest_endings_go_first_with_all_that_is_theirs() {
    let database = Database::new();
    let store = database.store().await;
    let mut ids = Vec::new();
    for _ in 0..120 {
        let job = running(&store).await;
        let delta = Delta::new().with_entry(NewEntry::info("over"));
        let stamp = Stamp { writer: Uuid::new_v4(), seq: 1 };
        store.update(job.id, &ProgressUpdate::fail(delta, "over").with_stamp(stamp)).await.unwrap();
        ids.push(job.id);
    }
    let pool = database.pool().await;
    // Spread the endings over time, the last record first.
    for (age, id) in ids.iter().rev().enumerate() {
        sqlx::query("UPDATE progress_records SET finished_at = $1 WHERE id = $2")
            .bind(i64::try_from(age).unwrap())
            .bind(id.to_string())
            .execute(&pool)
            .await
            .unwrap();
    }
    assert_eq!(store.delete_finished(Duration::from_secs(60), 70).await.unwrap(), 70, "two chunks");
    let left = store.get_many(&ids).await.unwrap();
    assert!(left[..50].iter().all(Option::is_some) && left[50..].iter().all(Option::is_none));
    assert_eq!(store.delete_finished(Duration::from_secs(60), 70).await.unwrap(), 50);
    for table in ["progress_records", "progress_entries", "progress_writers"] {
        let sql = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        let rows: i64 = sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap();
        assert_eq!(rows, 0, "{table}");
    }
}

#[tokio::test]
async fn a_log_keeps_as_many_as_it_was_told() {
    let database = Database::new();
    for limit in [0, 1, 7] {
        let store = database.store().await.with_log_limit(limit);
        let job = running(&store).await;
        for turn in 0..10_u64 {
            let delta = (0..turn).fold(Delta::new().with_dropped_entries(turn % 3), |delta, number| {
                delta.with_entry(NewEntry::info(format!("{turn}.{number}")))
            });
            store.update(job.id, &ProgressUpdate::advance(delta)).await.unwrap();
        }
        let last = store.get(job.id).await.unwrap().unwrap().last_entry;
        let log = store.entries(job.id, 0, 100).await.unwrap();
        assert_eq!((log.entries.len(), log.dropped), (limit as usize, last - u64::from(limit)));
        let texts: Vec<_> = log.entries.iter().map(|entry| entry.message.clone()).collect();
        let newest: Vec<_> = (9 - u64::from(limit)..9).map(|number| format!("9.{number}")).collect();
        assert_eq!(texts, newest);
        if let Some(entry) = log.entries.last() {
            assert_eq!(entry.seq, last);
        }
    }
}

#[tokio::test]
async fn a_page_is_found_by_its_index() {
    let database = Database::new();
    let store = database.store().await;
    store.create(&NewProgress::new("test").with_owner("ann")).await.unwrap();
    let pool = database.pool().await;
    for (sql, index) in [
        (
            "SELECT title FROM progress_records WHERE (created_at, id) < (5, '') AND owner = 'ann' \
             ORDER BY created_at DESC, id DESC LIMIT 5",
            "progress_records_by_owner",
        ),
        (
            "SELECT title FROM progress_records WHERE (created_at, id) < (5, '') \
             ORDER BY created_at DESC, id DESC LIMIT 5",
            "progress_records_by_time",
        ),
        (
            "UPDATE progress_records SET title = '' WHERE status = 'running' AND heartbeat_at < 5",
            "progress_records_running",
        ),
        (
            "DELETE FROM progress_records WHERE id IN \
             (SELECT id FROM progress_records WHERE finished_at < 5 ORDER BY finished_at, id LIMIT 5)",
            "progress_records_finished",
        ),
    ] {
        let plan: Vec<(i64, i64, i64, String)> =
            sqlx::query_as(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")))
                .fetch_all(&pool)
                .await
                .unwrap();
        let plan: Vec<_> = plan.into_iter().map(|(.., step)| step).collect();
        assert!(plan.iter().any(|step| step.contains(index)), "{plan:?}");
        assert!(
            !plan.iter().any(|step| step.starts_with("SCAN") || step.contains("TEMP B-TREE")),
            "{plan:?}"
        );
    }
}
