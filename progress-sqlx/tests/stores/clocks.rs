//! Heartbeats from processes whose clocks are wrong.

use std::time::Duration;

use progress_core::{ProgressId, ProgressStore, Status};
use sqlx::SqlitePool;

use crate::{Database, running, spin};

/// As another process would write it whose clock is an hour behind, or ahead.
async fn beat(pool: &SqlitePool, id: ProgressId, hours: i64) {
    sqlx::query(
        "UPDATE progress_records SET heartbeat_at = heartbeat_at + 3600000 * $2 WHERE id = $1",
    )
    .bind(id.to_string())
    .bind(hours)
    .execute(pool)
    .await
    .unwrap();
}

#[tokio::test]
async fn a_worker_whose_clock_is_behind_is_not_taken_for_dead() {
    let database = Database::new();
    let (store, pool) = (database.store().await, database.pool().await);
    let job = running(&store).await.id;
    for _ in 0..3 {
        beat(&pool, job, -1).await;
        assert_eq!(store.fail_stale(Duration::from_secs(60)).await.unwrap(), 0);
    }
    assert_eq!(store.get(job).await.unwrap().unwrap().status, Status::Running);
}

#[tokio::test]
async fn a_dead_worker_whose_clock_was_ahead_is_not_taken_for_alive() {
    let database = Database::new();
    let (store, pool) = (database.store().await, database.pool().await);
    let job = running(&store).await.id;
    beat(&pool, job, 1).await;
    let lease = Duration::from_millis(20);
    // Clones are the same store: what one has seen, all have.
    assert_eq!(
        store.clone().fail_stale(lease).await.unwrap(),
        0,
        "it came this moment, for all one knows"
    );
    spin(2 * lease).await;
    assert_eq!(store.fail_stale(lease).await.unwrap(), 1);
    let lost = store.get(job).await.unwrap().unwrap();
    assert_eq!((lost.status, lost.silent_for()), (Status::Failed, None));
    assert!(lost.duration().is_some());
}

#[tokio::test]
async fn who_died_before_the_store_was_opened_has_a_lease_from_then_on() {
    let database = Database::new();
    let job = running(&database.store().await).await.id;
    let lease = Duration::from_secs(1);
    spin(lease + Duration::from_millis(10)).await;
    let store = database.store().await;
    let silence = store.get(job).await.unwrap().unwrap().silent_for().unwrap();
    assert!(silence > lease, "readers see {silence:?}");
    assert_eq!(store.fail_stale(lease).await.unwrap(), 0);
    spin(lease).await;
    assert_eq!(store.fail_stale(lease).await.unwrap(), 1);
}
