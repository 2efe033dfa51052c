//! Hints about changes, which PostgreSQL and SQLite give.

use std::time::Duration;

use progress_core::testing::{self, Suite};
use progress_core::{Changed, Changes, NewProgress, ProgressStore};
use progress_sqlx::PostgresStore;
use tokio::time::timeout;

use super::{Arc, running};
use crate::database::{Database, Kind};

async fn notifying(database: &Database) -> Arc<PostgresStore> {
    Arc::new(PostgresStore::connect(database.url()).await.unwrap().with_notify())
}

/// Waits until the subscription is live or not.
async fn until(changes: &mut Changes, is_live: bool) {
    let waited = timeout(Duration::from_secs(30), async {
        while changes.is_live() != is_live {
            changes.next().await;
        }
    });
    assert!(waited.await.is_ok(), "is_live() never became {is_live}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_notifies_conforms() {
    let Some(database) = Database::new(Kind::Postgres).await else { return };
    let store = notifying(&database).await;
    let other = notifying(&database).await;
    let suite = Suite::new(store.clone()).with_other_handle(other);
    suite.check("hints_tell_of_every_change").await;
    testing::conformance(store, 100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_share_a_file_see_each_others_changes() {
    let Some(database) = Database::new(Kind::Sqlite).await else { return };
    let suite = Suite::new(database.store().await).with_other_handle(database.store().await);
    suite.check("hints_tell_of_every_change").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_stores_have_no_hints() {
    for kind in [Kind::Sqlite, Kind::Postgres, Kind::MySql] {
        let Some(database) = Database::new(kind).await else { continue };
        assert!(database.pool().await.store().await.changes().is_none(), "{kind:?}");
        let has_hints = database.store().await.changes().is_some();
        assert_eq!(has_hints, kind == Kind::Sqlite, "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_recovers_and_says_that_it_missed_something() {
    let Some(database) = Database::new(Kind::Postgres).await else { return };
    let store = notifying(&database).await;
    let mut changes = store.changes().unwrap();
    until(&mut changes, true).await;
    database.pool().await.end_other_sessions().await;
    until(&mut changes, false).await;
    until(&mut changes, true).await;
    let store: super::Store = store;
    let id = running(&store).await.id;
    let heard = timeout(Duration::from_secs(10), async {
        while !matches!(changes.next().await, Changed::Records(records) if records.contains_key(&id))
        {
        }
    });
    heard.await.unwrap();
}

/// A notification of another program on the same channel.
#[tokio::test(flavor = "multi_thread")]
async fn foreign_notifications_are_ignored() {
    let Some(database) = Database::new(Kind::Postgres).await else { return };
    let store = notifying(&database).await;
    let mut changes = store.changes().unwrap();
    until(&mut changes, true).await;
    let pool = database.pool().await;
    for text in ["", "no hint", "x:y", "00:1 ::: \u{1F600}:1"] {
        pool.execute(&format!("SELECT pg_notify('progress_changes', '{text}')")).await;
    }
    let job = store.create(&NewProgress::new("test")).await.unwrap();
    let heard = timeout(Duration::from_secs(10), async {
        loop {
            match changes.next().await {
                Changed::Records(records) if records.is_empty() => {}
                Changed::Records(records) => return records,
                Changed::Any => panic!("the subscription was live all the time"),
            }
        }
    });
    assert_eq!(heard.await.unwrap().into_keys().collect::<Vec<_>>(), [job.id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_ends_with_its_receiver() {
    let Some(database) = Database::new(Kind::Postgres).await else { return };
    let listeners = "SELECT count(*) FROM pg_stat_activity \
        WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    let pool = database.pool().await;
    let store = notifying(&database).await;
    let mut changes = store.changes().unwrap();
    until(&mut changes, true).await;
    assert_eq!(pool.integer(listeners).await, 1);
    drop(changes);
    let ended = timeout(Duration::from_secs(10), async {
        while pool.integer(listeners).await > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    ended.await.unwrap();
}
