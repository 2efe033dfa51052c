//! Updates: counts, stamps and endings, with several concurrent writers.

use std::sync::Arc;

use tokio::task::JoinSet;
use uuid::Uuid;

use super::{Suite, one};
use crate::{Completion, Delta, Progress, ProgressError, ProgressUpdate, Stamp, Status};

pub(super) async fn concurrent_counts_are_neither_lost_nor_doubled(suite: &Suite) {
    let id = suite.running().await.id;
    let mut tasks = JoinSet::new();
    for writer in 0..16u128 {
        let store = Arc::clone(&suite.store);
        tasks.spawn(async move {
            for seq in 1..=25 {
                let update = one().with_stamp(Stamp { writer: Uuid::from_u128(100 + writer), seq });
                store.update(id, &update).await.expect("counted");
                if seq % 5 == 0 {
                    store.update(id, &update).await.expect("already applied");
                }
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.expect("no panic");
    }
    let progress = suite.read(id).await;
    assert_eq!((progress.succeeded, progress.version), (400, 402));
}

pub(super) async fn of_several_endings_one_wins(suite: &Suite) {
    for _ in 0..10 {
        let id = suite.running().await.id;
        let mut tasks = JoinSet::new();
        for contender in 0..8 {
            let store = Arc::clone(&suite.store);
            tasks.spawn(async move {
                let last = Delta::new().with_succeeded(1);
                let ending = match contender % 3 {
                    0 => ProgressUpdate::complete(last, Completion::new()),
                    1 => ProgressUpdate::fail(last, "broken"),
                    _ => ProgressUpdate::cancel(last),
                };
                store.update(id, &ending).await
            });
        }
        let mut winner = None;
        while let Some(task) = tasks.join_next().await {
            match task.expect("no panic") {
                Ok(progress) => assert!(winner.replace(progress).is_none(), "a second ending won"),
                Err(ProgressError::Refused { status, .. }) => assert!(status.is_finished()),
                Err(error) => panic!("{error:?}"),
            }
        }
        let winner = winner.expect("one ending wins");
        assert_eq!(winner.succeeded, 1);
        let after = suite.read(id).await;
        assert_eq!(Progress { observed_at: winner.observed_at, ..after }, winner);
    }
}

pub(super) async fn a_repeated_stamp_changes_nothing_even_after_the_end(suite: &Suite) {
    let id = suite.running().await.id;
    let stamp = |seq| Stamp { writer: Uuid::from_u128(7), seq };
    let counts = one().with_stamp(stamp(1));
    let ending = ProgressUpdate::complete(Delta::new().with_succeeded(1), Completion::new())
        .with_stamp(stamp(2));
    for update in [&counts, &counts, &ending, &ending, &counts] {
        suite.store.update(id, update).await.expect("applied now or before");
    }
    let progress = suite.read(id).await;
    assert_eq!((progress.status, progress.succeeded, progress.version), (Status::Completed, 2, 4));
}

pub(super) async fn a_refused_update_leaves_no_stamp(suite: &Suite) {
    let id = suite.pending().await.id;
    let update = one().with_stamp(Stamp { writer: Uuid::from_u128(8), seq: 1 });
    for _ in 0..2 {
        let refusal = suite.store.update(id, &update).await;
        assert!(
            matches!(refusal, Err(ProgressError::Refused { status: Status::Pending, .. })),
            "{refusal:?}"
        );
    }
    suite.store.update(id, &ProgressUpdate::start()).await.expect("started");
    assert_eq!(suite.store.update(id, &update).await.expect("counted now").succeeded, 1);
}

pub(super) async fn a_late_lower_stamp_changes_nothing(suite: &Suite) {
    let id = suite.running().await.id;
    let stamped = |writer, seq| one().with_stamp(Stamp { writer: Uuid::from_u128(writer), seq });
    // The second writer's updates come in between, as on a shared job.
    for (writer, seq) in [(11, 1), (11, 2), (12, 1), (11, 1), (11, 2), (12, 1), (11, 3), (12, 1)] {
        suite.store.update(id, &stamped(writer, seq)).await.expect("applied now or before");
    }
    assert_eq!(suite.read(id).await.succeeded, 4);
    let batch: Vec<_> =
        [(11, 3), (12, 2), (11, 4), (12, 2)].map(|(writer, seq)| (id, stamped(writer, seq))).into();
    for outcome in suite.store.update_many(&batch).await {
        outcome.expect("applied now or before");
    }
    assert_eq!(suite.read(id).await.succeeded, 6);
}

pub(super) async fn two_handles_are_one_store(suite: &Suite) {
    let id = suite.running().await.id;
    let mut tasks = JoinSet::new();
    for writer in 0..8u128 {
        let handles = [Arc::clone(&suite.store), Arc::clone(&suite.other)];
        tasks.spawn(async move {
            for seq in 1..=10 {
                let stamp = Stamp { writer: Uuid::from_u128(200 + writer), seq };
                // The first acknowledgement was lost, and the worker repeats the update on another
                // handle.
                for handle in &handles {
                    handle.update(id, &one().with_stamp(stamp)).await.expect("counted");
                }
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.expect("no panic");
    }
    assert_eq!(suite.read(id).await.succeeded, 80);
    let other = suite.other.get(id).await.expect("read").expect("the record exists");
    assert_eq!(other.succeeded, 80);
}
