//! Rules that depend on time: heartbeats, lost workers, deletion.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use uuid::Uuid;

use super::{Suite, one};
use crate::{
    Delta, Heartbeat, NewEntry, NewProgress, ProgressError, ProgressUpdate, Stamp, Status,
    WORKER_LOST,
};

pub(super) async fn deletion_waits_for_the_end_and_leaves_nothing(suite: &Suite) {
    let job = NewProgress::new("conformance");
    let id = suite.store.create(&job).await.expect("created").id;
    let stamp = Stamp { writer: Uuid::from_u128(9), seq: 1 };
    suite.store.update(id, &ProgressUpdate::start().with_stamp(stamp)).await.expect("started");
    let refusal = suite.store.delete(id).await;
    assert!(
        matches!(refusal, Err(ProgressError::Refused { status: Status::Running, .. })),
        "{refusal:?}"
    );
    let last = Delta::new().with_entry(NewEntry::info("last"));
    suite.store.update(id, &ProgressUpdate::cancel(last)).await.expect("cancelled");
    suite.store.delete(id).await.expect("deleted");
    assert_eq!(suite.store.get(id).await.expect("read"), None);

    suite.store.create(&job).await.expect("the id is free again");
    assert_eq!(suite.store.entries(id, 0, 10).await.expect("log read").entries, []);
    let started =
        suite.store.update(id, &ProgressUpdate::start().with_stamp(stamp)).await.expect("started");
    assert_eq!(started.status, Status::Running, "the old record's stamps were not deleted");
}

pub(super) async fn silence_grows_until_a_heartbeat(suite: &Suite) {
    let id = suite.running().await.id;
    suite.pass(Duration::from_millis(30)).await;
    let silence = suite.read(id).await.silent_for().expect("running");
    assert!(silence >= Duration::from_millis(25), "{silence:?}");
    let renewed = suite.store.update(id, &ProgressUpdate::heartbeat()).await.expect("renewed");
    assert!(renewed.silent_for().expect("running") < silence);
}

pub(super) async fn heartbeats_are_those_of_running_jobs(suite: &Suite) {
    let lease = Duration::from_millis(90_500);
    let job = NewProgress::new("conformance").with_lease(lease);
    let id = suite.store.create(&job).await.expect("created").id;
    let waiting = suite.pending().await.id;
    let ended = suite.finished().await.id;
    let of = async |id| {
        let listed = suite.store.heartbeats().await.expect("listed");
        listed.into_iter().find(|heartbeat| heartbeat.id == id)
    };
    assert_eq!(of(id).await, None, "a pending job has no heartbeat");
    let started = suite.store.update(id, &ProgressUpdate::start()).await.expect("started");
    let heartbeat = Heartbeat { id, at: started.heartbeat_at.expect("running"), lease };
    assert_eq!(of(id).await, Some(heartbeat));
    assert_eq!((of(waiting).await, of(ended).await), (None, None));
}

pub(super) async fn only_the_silent_are_lost(suite: &Suite) {
    let job = suite.running().await;
    let seen = job.heartbeat_at.expect("running");
    let early = ProgressUpdate::lose(seen - TimeDelta::milliseconds(1));
    let refusal = suite.store.update(job.id, &early).await;
    assert!(
        matches!(refusal, Err(ProgressError::Refused { status: Status::Running, .. })),
        "a heartbeat that the janitor has not seen must prevent this: {refusal:?}"
    );
    let probed = suite.store.update(job.id, &ProgressUpdate::probe(seen)).await.expect("written");
    assert_eq!((probed.version, probed.heartbeat_at), (job.version, job.heartbeat_at));
    let lost = suite.store.update(job.id, &ProgressUpdate::lose(seen)).await.expect("lost");
    assert_eq!((lost.status, lost.error.as_deref()), (Status::Failed, Some(WORKER_LOST)));
    assert_eq!((lost.version, lost.finished_at), (3, Some(lost.updated_at)));
    let refusal = suite.store.update(job.id, &one()).await;
    assert!(
        matches!(refusal, Err(ProgressError::Refused { status: Status::Failed, .. })),
        "an update of the lost worker must be refused: {refusal:?}"
    );
}

pub(super) async fn only_the_old_are_deleted(suite: &Suite) {
    suite.clear().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(suite.finished().await.id);
        suite.pass(Duration::from_millis(20)).await;
    }
    let active = suite.running().await.id;
    assert_eq!(suite.store.delete_finished(Duration::MAX, 10).await.expect("deleted"), 0);
    assert_eq!(
        suite.store.delete_finished(Duration::from_secs(3_600), 10).await.expect("deleted"),
        0
    );
    assert_eq!(
        suite.store.delete_finished(Duration::from_millis(1), 2).await.expect("deleted"),
        2,
        "the limit was ignored"
    );
    let left = suite
        .store
        .get_many(&ids)
        .await
        .expect("read")
        .into_iter()
        .map(|progress| progress.is_some());
    assert_eq!(left.collect::<Vec<_>>(), [false, false, true], "the oldest endings go first");
    assert_eq!(suite.store.delete_finished(Duration::from_millis(1), 2).await.expect("deleted"), 1);
    assert_eq!(suite.read(active).await.status, Status::Running);
}

pub(super) async fn age_counts_from_the_end(suite: &Suite) {
    suite.clear().await;
    let moment = Duration::from_millis(100);
    let long = suite.running().await.id;
    suite.pass(3 * moment).await;
    let short = suite.finished().await.id;
    suite.pass(moment).await;
    let end = ProgressUpdate::cancel(Delta::new());
    suite.store.update(long, &end).await.expect("cancelled");
    // Created long ago, ended just now.
    assert_eq!(suite.store.delete_finished(2 * moment, 10).await.expect("deleted"), 0);
    suite.pass(Duration::from_millis(10)).await;
    assert_eq!(suite.store.delete_finished(Duration::ZERO, 1).await.expect("deleted"), 1);
    assert_eq!(suite.store.get(short).await.expect("read"), None, "the older ending goes first");
    assert!(suite.store.get(long).await.expect("read").is_some());
}

pub(super) async fn an_update_and_a_deletion_do_not_meet_half_way(suite: &Suite) {
    for round in 0..20u128 {
        let job = NewProgress::new("conformance");
        let id = suite.store.create(&job).await.expect("created").id;
        let stamp = move |seq| Stamp { writer: Uuid::from_u128(1_000 + round), seq };
        let start = ProgressUpdate::start().with_stamp(stamp(1));
        suite.store.update(id, &start).await.expect("started");
        let entry = || Delta::new().with_entry(NewEntry::info("a line"));
        let (writer, deleter) = (Arc::clone(&suite.store), Arc::clone(&suite.store));
        let writing = tokio::spawn(async move {
            let counts = ProgressUpdate::advance(entry()).with_stamp(stamp(2));
            let ending = ProgressUpdate::cancel(entry()).with_stamp(stamp(3));
            for update in [&counts, &ending, &ending] {
                match writer.update(id, update).await {
                    Ok(_) | Err(ProgressError::NotFound(_)) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
        });
        let deleting = tokio::spawn(async move {
            loop {
                match deleter.delete(id).await {
                    Ok(()) => return,
                    Err(ProgressError::Refused { .. }) => tokio::task::yield_now().await,
                    Err(error) => panic!("{error:?}"),
                }
            }
        });
        writing.await.expect("no panic");
        deleting.await.expect("no panic");
        assert_eq!(suite.store.get(id).await.expect("read"), None);
        suite.store.create(&job).await.expect("the id is free again");
        assert_eq!(suite.store.entries(id, 0, 10).await.expect("log read").entries, []);
        let started = suite.store.update(id, &start).await.expect("started");
        assert_eq!(started.status, Status::Running, "the old record's stamps were not deleted");
    }
}
