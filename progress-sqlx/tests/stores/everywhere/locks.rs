//! Records that another session has locked: other records can be updated, and connections stay
//! available.

use std::sync::Arc;
use std::time::{Duration, Instant};

use progress_core::{Delta, NewProgress, ProgressError, ProgressUpdate, Stamp};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{on_every_database, running};
use crate::database::{Database, Pool};
use crate::one;

on_every_database!(@on postgres, Postgres,
    a_locked_record_does_not_hold_up_its_neighbours,
    many_runtimes_share_a_few_sessions,
    an_owner_is_deleted_in_short_transactions_that_skip_no_locked_record
);
on_every_database!(@on mysql, MySql,
    a_locked_record_does_not_hold_up_its_neighbours,
    many_runtimes_share_a_few_sessions,
    an_owner_is_deleted_in_short_transactions_that_skip_no_locked_record
);

async fn a_locked_record_does_not_hold_up_its_neighbours(database: Database) {
    let store = database.store().await;
    let mut jobs = Vec::new();
    for _ in 0..20 {
        jobs.push(running(&store).await.id);
    }
    let other = database.pool().await;
    let lock = format!("SELECT id FROM progress_records WHERE id = '{}' FOR UPDATE", jobs[7]);
    let held = other.hold(&lock).await;
    let updates = |seq| -> Vec<_> {
        let stamp = Stamp { writer: Uuid::from_u128(1), seq };
        jobs.iter().map(|id| (*id, one().with_stamp(stamp))).collect()
    };
    let mut slowest = Duration::ZERO;
    for seq in 1..=5 {
        let begun = Instant::now();
        let outcomes = store.update_many(&updates(seq)).await;
        slowest = slowest.max(begun.elapsed());
        for (place, outcome) in outcomes.iter().enumerate() {
            match outcome {
                Ok(progress) => assert_eq!((place == 7, progress.succeeded), (false, seq)),
                Err(error) => assert!(place == 7 && error.is_transient(), "{place}: {error:?}"),
            }
        }
    }
    // A quarter of a second of waiting would be enough, but MySQL's time-outs are in seconds.
    assert!(slowest < Duration::from_secs(3), "{slowest:?}");

    // Calls that cancel or delete the locked record do not take the connections of other calls.
    let mut waiting = JoinSet::new();
    for _ in 0..30 {
        let (store, id) = (Arc::clone(&store), jobs[7]);
        waiting.spawn(async move {
            let outcome = store.update(id, &ProgressUpdate::request_cancel()).await;
            assert!(outcome.is_err_and(|error| error.is_transient()));
        });
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    for seq in 6..=10 {
        let stamp = Stamp { writer: Uuid::from_u128(1), seq };
        let begun = Instant::now();
        store.update(jobs[3], &one().with_stamp(stamp)).await.unwrap();
        assert!(begun.elapsed() < Duration::from_millis(400), "{:?}", begun.elapsed());
    }
    assert_eq!(store.delete_finished(Duration::ZERO, 100).await.unwrap(), 0);
    drop(waiting);

    held.release().await;
    let stamp = Stamp { writer: Uuid::from_u128(1), seq: 5 };
    let applied = store.update(jobs[7], &one().with_stamp(stamp)).await.unwrap();
    assert_eq!(applied.succeeded, 1, "an unavailable update leaves nothing behind");
}

/// Each thread has its own runtime, like the workers of actix-web.
async fn many_runtimes_share_a_few_sessions(database: Database) {
    let pool = database.pool().await;
    for most in [10, 4] {
        let store = if most == 10 { database.store().await } else { pool.store().await };
        let id = running(&store).await.id;
        let threads: Vec<_> = (0..6)
            .map(|_| {
                let store = Arc::clone(&store);
                std::thread::spawn(move || {
                    // The runtime has no timer and no network driver.
                    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                    runtime.block_on(async {
                        for _ in 0..30 {
                            store.update(id, &one()).await.unwrap();
                            store.get(id).await.unwrap();
                        }
                    });
                })
            })
            .collect();
        let join = || threads.into_iter().for_each(|thread| thread.join().unwrap());
        tokio::task::spawn_blocking(join).await.unwrap();
        assert_eq!(store.get(id).await.unwrap().unwrap().succeeded, 180);
        let open = sessions(&pool).await;
        assert!((1..=most).contains(&open), "{open} sessions are open");
        drop(store);
        // The sessions end with the last clone of the store.
        let begun = Instant::now();
        while sessions(&pool).await > 0 {
            assert!(begun.elapsed() < Duration::from_secs(5), "sessions stay open");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    if matches!(pool, Pool::Postgres(_)) {
        let sql = "SELECT sessions FROM pg_stat_database WHERE datname = current_database()";
        let ever = pool.integer(sql).await;
        // One more is opened to test the address.
        assert!(ever <= pool.size() + 10 + 4 + 1, "{ever} sessions were opened");
    }
}

/// Returns how many sessions are open, without those of this pool.
async fn sessions(pool: &Pool) -> i64 {
    let sql = match pool {
        Pool::Postgres(_) => {
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        }
        _ => "SELECT count(*) FROM information_schema.processlist WHERE db = database()",
    };
    pool.integer(sql).await - pool.size()
}

/// Several workers share a job: a late repetition changes nothing, even after another worker wrote.
mod shared {
    use super::*;

    on_every_database!(
        late_stamps_of_earlier_writers_change_nothing,
        a_batch_keeps_the_order_of_a_record
    );

    async fn late_stamps_of_earlier_writers_change_nothing(database: Database) {
        let stores = [database.store().await, database.store().await];
        let id = running(&stores[0]).await.id;
        let stamped =
            |writer, seq| one().with_stamp(Stamp { writer: Uuid::from_u128(writer), seq });
        let mut expected = 0;
        for seq in 1..=4 {
            for writer in 1..=3_u128 {
                let store = &stores[usize::try_from(writer % 2).unwrap()];
                expected += 1;
                let seen = store.update(id, &stamped(writer, seq)).await.unwrap();
                assert_eq!(seen.succeeded, expected);
                for late in 1..=seq {
                    for other in 1..=writer {
                        let again = store.update(id, &stamped(other, late)).await.unwrap();
                        assert_eq!((again.succeeded, again.version), (expected, seen.version));
                    }
                }
            }
        }
        // Several writers in one batch, with repetitions.
        let batch: Vec<_> = [(1, 5), (2, 5), (1, 5), (3, 4), (2, 6), (1, 6), (2, 5)]
            .map(|(writer, seq)| (id, stamped(writer, seq)))
            .into();
        for _ in 0..2 {
            stores[0]
                .update_many(&batch)
                .await
                .into_iter()
                .for_each(|outcome| drop(outcome.unwrap()));
            assert_eq!(stores[1].get(id).await.unwrap().unwrap().succeeded, expected + 4);
        }
        let kept = database.pool().await.integer("SELECT count(*) FROM progress_writers").await;
        assert!((2..=3).contains(&kept), "{kept} earlier writers");
    }

    async fn a_batch_keeps_the_order_of_a_record(database: Database) {
        let store = database.store().await;
        let (first, second) = (running(&store).await.id, running(&store).await.id);
        let message = |text: &str| ProgressUpdate::advance(Delta::new().with_message(text));
        let updates = [
            (second, message("a")),
            (first, message("b")),
            (second, ProgressUpdate::fail(Delta::new(), "c")),
            (first, message("d")),
            (second, message("e")),
        ];
        let outcomes = store.update_many(&updates).await;
        let messages: Vec<_> = outcomes
            .iter()
            .map(|outcome| outcome.as_ref().ok().and_then(|seen| seen.message.as_deref()))
            .collect();
        assert_eq!(messages, [Some("a"), Some("b"), Some("a"), Some("d"), None]);
        assert!(matches!(outcomes[4], Err(ProgressError::Refused { .. })), "{outcomes:?}");
    }
}

async fn an_owner_is_deleted_in_short_transactions_that_skip_no_locked_record(database: Database) {
    let store = database.store().await;
    let mut created = Vec::new();
    for _ in 0..120 {
        created.push(store.create(&NewProgress::new("test").with_owner("ann")).await.unwrap());
    }
    for job in &created {
        store.update(job.id, &ProgressUpdate::request_cancel()).await.unwrap();
    }
    let last = created.iter().max_by_key(|job| (job.created_at, job.id)).unwrap().id;
    let lock = format!("SELECT id FROM progress_records WHERE id = '{last}' FOR UPDATE");
    let held = database.pool().await.hold(&lock).await;
    let error = store.delete_owned("ann", 500).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    let ids: Vec<_> = created.iter().map(|job| job.id).collect();
    let left = store.get_many(&ids).await.unwrap().into_iter().flatten().count();
    assert_eq!(left, 20, "two transactions of 50 records are through, and the third waits");
    held.release().await;
    assert_eq!(store.delete_owned("ann", 500).await.unwrap(), 20);
}
