//! The size of logs, and queries that use an index and never scan.

use progress_core::{Delta, NewEntry, NewProgress, ProgressStore, ProgressUpdate};

use crate::{Database, running};

#[tokio::test]
async fn a_log_keeps_as_many_as_it_was_told() {
    let database = Database::new();
    for limit in [0, 1, 7] {
        let store = database.store().await.with_log_limit(limit);
        let job = running(&store).await;
        for turn in 0..10_u64 {
            let delta = (0..turn)
                .fold(Delta::new().with_dropped_entries(turn % 3), |delta, number| {
                    delta.with_entry(NewEntry::info(format!("{turn}.{number}")))
                });
            store.update(job.id, &ProgressUpdate::advance(delta)).await.unwrap();
        }
        let last = store.get(job.id).await.unwrap().unwrap().last_entry;
        let log = store.entries(job.id, 0, 100).await.unwrap();
        assert_eq!((log.entries.len(), log.dropped), (limit as usize, last - u64::from(limit)));
        let texts: Vec<_> = log.entries.iter().map(|entry| entry.message.clone()).collect();
        let newest: Vec<_> =
            (9 - u64::from(limit)..9).map(|number| format!("9.{number}")).collect();
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
            "SELECT title FROM progress_records WHERE (created_at, id) < (5, '') \
             AND status IN ('pending', 'running') ORDER BY created_at DESC, id DESC LIMIT 5",
            "progress_records_active",
        ),
        (
            "SELECT title FROM progress_records WHERE (created_at, id) < (5, '') AND owner = 'ann' \
             AND status IN ('pending', 'running') ORDER BY created_at DESC, id DESC LIMIT 5",
            "progress_records_active_by_owner",
        ),
        (
            "SELECT heartbeat_at FROM progress_records WHERE status = 'running'",
            "progress_records_running",
        ),
        (
            "DELETE FROM progress_records WHERE id IN \
             (SELECT id FROM progress_records WHERE finished_at < 5 \
             ORDER BY finished_at, id LIMIT 5)",
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
            !plan.iter().any(|step| {
                let scans = step.starts_with("SCAN") && !step.contains(index);
                scans || step.contains("TEMP B-TREE")
            }),
            "{plan:?}"
        );
    }
}
