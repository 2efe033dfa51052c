//! Concurrent calls: a job ends once, no count is lost, and every record is swept once.

use std::sync::Arc;
use std::time::Duration;

use progress_core::{
    Checkpoint, Completion, Delta, NewEntry, NewProgress, ProgressError, ProgressId,
    ProgressUpdate, Stamp, Status, WORKER_LOST,
};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{Store, on_every_database, running};
use crate::database::Database;
use crate::one;

on_every_database!(
    of_many_endings_one_wins,
    a_start_and_what_follows_it_may_meet,
    batches_of_several_processes_neither_block_nor_lose,
    a_worker_that_compares_loses_nothing_of_others,
    a_worker_that_counts_keeps_the_checkpoints_of_others,
    janitors_at_once_sweep_every_record_once,
);

async fn of_many_endings_one_wins(database: Database) {
    let stores = [database.store().await, database.store().await];
    let mut lost = 0;
    for _ in 0..100 {
        let id = running(&stores[0]).await.id;
        let together = Arc::new(Barrier::new(8));
        let mut tasks = JoinSet::new();
        for contender in 0..8_usize {
            let (store, together) = (Arc::clone(&stores[contender % 2]), Arc::clone(&together));
            tasks.spawn(async move {
                let last = Delta::new().with_succeeded(1);
                let ending = match contender % 4 {
                    0 => ProgressUpdate::complete(last, Completion::new()),
                    1 => ProgressUpdate::fail(last, "broken"),
                    2 => ProgressUpdate::cancel(last),
                    _ => {
                        together.wait().await;
                        // A janitor is refused if a worker has already ended the job.
                        let seen = store.heartbeats().await.unwrap();
                        let seen = seen.into_iter().find(|heartbeat| heartbeat.id == id)?;
                        let lost = store.update(id, &ProgressUpdate::lose(seen.at)).await;
                        assert!(
                            matches!(lost, Ok(_) | Err(ProgressError::Refused { .. })),
                            "{lost:?}"
                        );
                        return None;
                    }
                };
                let ending = ending.with_stamp(Stamp { writer: Uuid::new_v4(), seq: 1 });
                together.wait().await;
                match store.update(id, &ending).await {
                    Ok(progress) => Some(progress),
                    Err(ProgressError::Refused { status, .. }) => {
                        assert!(status.is_finished(), "refused by {status}");
                        None
                    }
                    Err(error) => panic!("{error:?}"),
                }
            });
        }
        let winners: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
        let seen = stores[0].get(id).await.unwrap().unwrap();
        if winners.is_empty() {
            assert_eq!((seen.error.as_deref(), seen.succeeded), (Some(WORKER_LOST), 0));
            lost += 1;
        } else {
            assert_eq!(winners.len(), 1);
            assert_eq!((winners[0].status, seen.status), (seen.status, winners[0].status));
            assert_eq!(seen.succeeded, 1);
        }
        assert_eq!(seen.version, 3, "the job ends once");
    }
    println!("a janitor ended {lost} of 100 jobs");
}

/// A refusal names the status that refuses the update, not one that the record has reached since.
async fn a_start_and_what_follows_it_may_meet(database: Database) {
    let store = database.store().await;
    for _ in 0..200 {
        let id = store.create(&NewProgress::new("test")).await.unwrap().id;
        let together = Arc::new(Barrier::new(4));
        let mut tasks = JoinSet::new();
        for contender in 0..4 {
            let (store, together) = (Arc::clone(&store), Arc::clone(&together));
            tasks.spawn(async move {
                let update = match contender {
                    0 => ProgressUpdate::start(),
                    1 => ProgressUpdate::request_cancel(),
                    _ => one(),
                };
                together.wait().await;
                match store.update(id, &update).await {
                    // If the job was cancelled before its start, another task may have deleted it
                    // already.
                    Ok(_) | Err(ProgressError::NotFound(_)) => {}
                    Err(ProgressError::Refused { status, .. }) => {
                        assert!(
                            !update.transition().accepted_in(status),
                            "{update:?} refused by {status}"
                        );
                    }
                    Err(error) => panic!("{error:?}"),
                }
                match store.delete(id).await {
                    Err(ProgressError::Refused { status, .. }) => {
                        assert!(status.is_active(), "{status}");
                    }
                    Ok(()) | Err(ProgressError::NotFound(_)) => {}
                    Err(error) => panic!("{error:?}"),
                }
            });
        }
        tasks.join_all().await;
    }
}

async fn batches_of_several_processes_neither_block_nor_lose(database: Database) {
    const ROUNDS: u64 = 10;
    let store = database.store().await;
    let mut jobs = Vec::new();
    for _ in 0..60 {
        jobs.push(running(&store).await.id);
    }
    let mut tasks = JoinSet::new();
    for process in 0..4 {
        let store = database.store().await;
        let mut jobs = jobs.clone();
        if process % 2 == 1 {
            jobs.reverse();
        }
        tasks.spawn(async move {
            for seq in 1..=ROUNDS {
                let stamp = Stamp { writer: Uuid::from_u128(process), seq };
                let batch: Vec<_> = jobs.iter().map(|id| (*id, one().with_stamp(stamp))).collect();
                for outcome in store.update_many(&batch).await {
                    outcome.unwrap();
                }
            }
        });
    }
    tasks.join_all().await;
    for job in store.get_many(&jobs).await.unwrap() {
        assert_eq!(job.unwrap().succeeded, 4 * ROUNDS);
    }
}

/// The updates of one writer are written back if nothing has changed since they were read.
async fn a_worker_that_compares_loses_nothing_of_others(database: Database) {
    const COUNTS: u64 = 400;
    const OTHERS: u64 = 100;
    let (worker, other) = (database.store().await, database.store().await);
    let new = NewProgress::new("test").with_total(10_000).with_auto_complete();
    let id = worker.create(&new).await.unwrap().id;
    worker.update(id, &ProgressUpdate::start()).await.unwrap();
    let working = count_one_by_one(worker, id, COUNTS);
    let interfering = tokio::spawn(async move {
        let mut asked = 0;
        for number in 0..OTHERS {
            // None of these has a stamp, and a worker that joins does not change the version.
            for update in [one(), ProgressUpdate::join()] {
                other.update(id, &update).await.unwrap();
            }
            if number == OTHERS / 2 {
                asked = other.update(id, &ProgressUpdate::request_cancel()).await.unwrap().version;
            }
        }
        asked
    });
    working.await;
    let asked = interfering.await.unwrap();
    let seen = database.store().await.get(id).await.unwrap().unwrap();
    assert_eq!(seen.succeeded, COUNTS + OTHERS);
    assert_eq!(u64::from(seen.workers), 1 + OTHERS);
    assert!(seen.cancel_requested && asked > 0);
    // Created, started, each count, and the request.
    assert_eq!(seen.version, 1 + 1 + COUNTS + OTHERS + 1);
}

async fn a_worker_that_counts_keeps_the_checkpoints_of_others(database: Database) {
    const SAVES: u64 = 200;
    let (worker, other) = (database.store().await, database.store().await);
    let id = worker.create(&NewProgress::new("test").with_attempts(2)).await.unwrap().id;
    let started = worker.update(id, &ProgressUpdate::start()).await.unwrap();
    let first = started.checkpoint.unwrap();
    let working = count_one_by_one(worker, id, 2 * SAVES);
    let saving = tokio::spawn(async move {
        for number in 1..=SAVES {
            let cursor = Some(number.into());
            let delta = Delta::new().with_checkpoint(Checkpoint { cursor, ..first.clone() });
            other.update(id, &ProgressUpdate::advance(delta)).await.unwrap();
            let seen = other.get(id).await.unwrap().unwrap();
            assert_eq!(seen.checkpoint.unwrap().cursor, Some(number.into()));
        }
    });
    working.await;
    saving.await.unwrap();
}

/// Counts with the stamps of one writer, as a worker does.
async fn count_one_by_one(store: Store, id: ProgressId, counts: u64) {
    let writer = Uuid::new_v4();
    for seq in 1..=counts {
        store.update(id, &one().with_stamp(Stamp { writer, seq })).await.unwrap();
    }
}

async fn janitors_at_once_sweep_every_record_once(database: Database) {
    const JOBS: usize = 300;
    let store = database.store().await;
    for _ in 0..JOBS {
        let job = running(&store).await;
        let entry = Delta::new().with_entry(NewEntry::info("line"));
        // Two writers, so that there are earlier stamps to delete.
        for _ in 0..2 {
            let stamp = Stamp { writer: Uuid::new_v4(), seq: 1 };
            let update = ProgressUpdate::advance(entry.clone()).with_stamp(stamp);
            store.update(job.id, &update).await.unwrap();
        }
    }
    let mut janitors = Vec::new();
    for _ in 0..4 {
        janitors.push(database.store().await);
    }
    let heartbeats = store.heartbeats().await.unwrap();
    assert_eq!(heartbeats.len(), JOBS);
    // A job that has sent a heartbeat since must not fail.
    let alive = heartbeats[7].id;
    tokio::time::sleep(Duration::from_millis(5)).await;
    store.update(alive, &ProgressUpdate::heartbeat()).await.unwrap();
    let losses: Arc<Vec<_>> =
        Arc::new(heartbeats.iter().map(|seen| (seen.id, ProgressUpdate::lose(seen.at))).collect());
    let failed = together(&janitors, |store| {
        let losses = Arc::clone(&losses);
        async move {
            let mut failed = 0;
            for outcome in store.update_many(&losses).await {
                match outcome {
                    Ok(_) => failed += 1,
                    Err(ProgressError::Refused { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(failed)
        }
    })
    .await;
    assert_eq!(failed, JOBS as u64 - 1);
    assert_eq!(store.get(alive).await.unwrap().unwrap().status, Status::Running);
    tokio::time::sleep(Duration::from_millis(5)).await;
    let deleted = together(&janitors, |store| async move {
        store.delete_finished(Duration::ZERO, u32::MAX).await
    })
    .await;
    assert_eq!(deleted, JOBS as u64 - 1);
    let pool = database.pool().await;
    for (table, left) in [("progress_records", 1), ("progress_entries", 2), ("progress_writers", 1)]
    {
        assert_eq!(pool.integer(&format!("SELECT count(*) FROM {table}")).await, left, "{table}");
    }
}

/// Runs several janitors at the same time, each with its own pool, and returns the sum of their
/// results.
async fn together<F>(stores: &[Store], sweep: impl Fn(Store) -> F) -> u64
where
    F: Future<Output = Result<u64, ProgressError>> + Send + 'static,
{
    let mut janitors = JoinSet::new();
    for store in stores {
        janitors.spawn(sweep(Arc::clone(store)));
    }
    janitors.join_all().await.into_iter().map(Result::unwrap).sum()
}
