//! What a single value cannot show.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use uuid::Uuid;

use super::timeless;
use crate::{
    Completion, DEFAULT_LOG_LIMIT, Delta, NewEntry, NewProgress, Progress, ProgressError,
    ProgressId, ProgressQuery, ProgressStore, ProgressUpdate, Stamp, Status, WORKER_LOST,
};

type Store = Arc<dyn ProgressStore>;

pub(super) async fn all(store: &Store) {
    a_job_is_created_once(store).await;
    unknown_ids_are_not_found(store).await;
    bad_data_is_refused_before_anything_is_written(store).await;
    concurrent_counts_are_neither_lost_nor_doubled(store).await;
    of_several_endings_one_wins(store).await;
    a_repeated_stamp_changes_nothing_even_after_the_end(store).await;
    a_refused_update_leaves_no_stamp(store).await;
    pages_hold_every_record_once_and_only_the_owners(store).await;
    the_log_keeps_its_newest_entries_and_counts_the_rest(store).await;
    deletion_waits_for_the_end_and_leaves_nothing(store).await;
    several_at_once_are_as_one_by_one(store).await;
    silence_grows_until_a_heartbeat(store).await;
    only_the_silent_are_failed(store).await;
    only_the_old_are_deleted(store).await;
}

async fn pending(store: &Store) -> Progress {
    store.create(&NewProgress::new("conformance")).await.expect("created")
}

async fn running(store: &Store) -> Progress {
    let job = pending(store).await;
    store.update(job.id, &ProgressUpdate::start()).await.expect("started")
}

async fn finished(store: &Store) -> Progress {
    let job = pending(store).await;
    store.update(job.id, &ProgressUpdate::fail(Delta::new(), "over")).await.expect("failed")
}

fn one() -> ProgressUpdate {
    ProgressUpdate::advance(Delta::new().with_succeeded(1))
}

async fn read(store: &Store, id: ProgressId) -> Progress {
    store.get(id).await.expect("readable").expect("there")
}

async fn a_job_is_created_once(store: &Store) {
    let job = NewProgress::new("conformance").with_total(7).with_title("first");
    let created = store.create(&job).await.expect("created");
    assert_eq!((created.status, created.version, created.total), (Status::Pending, 1, Some(7)));
    assert_eq!(created.observed_at, created.created_at, "the record as stored, by one clock");
    assert_eq!(timeless(&read(store, job.id()).await), timeless(&created));

    let again = NewProgress::new("other").with_id(job.id());
    assert!(
        matches!(store.create(&again).await, Err(ProgressError::AlreadyExists(id)) if id == job.id())
    );
    assert_eq!(
        read(store, job.id()).await.title.as_deref(),
        Some("first"),
        "the first record was overwritten"
    );
}

async fn unknown_ids_are_not_found(store: &Store) {
    let id = ProgressId::new();
    let is_not_found =
        |error: ProgressError| matches!(error, ProgressError::NotFound(unknown) if unknown == id);
    assert_eq!(store.get(id).await.expect("an answer"), None);
    assert!(is_not_found(store.update(id, &one()).await.unwrap_err()));
    let stamped = one().with_stamp(Stamp { writer: Uuid::from_u128(3), seq: 1 });
    assert!(is_not_found(store.update(id, &stamped).await.unwrap_err()));
    assert!(is_not_found(store.entries(id, 0, 10).await.unwrap_err()));
    assert!(is_not_found(store.delete(id).await.unwrap_err()));
}

async fn bad_data_is_refused_before_anything_is_written(store: &Store) {
    let large = serde_json::json!("x".repeat(crate::limits::MAX_JSON));
    for job in [
        NewProgress::new("t").with_owner(""),
        NewProgress::new("t").with_owner("x".repeat(201)),
        NewProgress::new("t").with_owner("a\0b"),
        NewProgress::new("t").with_metadata(large),
    ] {
        assert!(matches!(store.create(&job).await, Err(ProgressError::Invalid(_))));
        assert_eq!(store.get(job.id()).await.expect("an answer"), None);
    }
}

async fn concurrent_counts_are_neither_lost_nor_doubled(store: &Store) {
    let id = running(store).await.id;
    let mut tasks = JoinSet::new();
    for writer in 0..16u128 {
        let store = Arc::clone(store);
        tasks.spawn(async move {
            for seq in 1..=25 {
                let update = one().with_stamp(Stamp { writer: Uuid::from_u128(100 + writer), seq });
                store.update(id, &update).await.expect("counted");
                if seq % 5 == 0 {
                    store.update(id, &update).await.expect("known already");
                }
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.expect("no panic");
    }
    let progress = read(store, id).await;
    assert_eq!((progress.succeeded, progress.version), (400, 402));
}

async fn of_several_endings_one_wins(store: &Store) {
    for _ in 0..10 {
        let id = running(store).await.id;
        let mut tasks = JoinSet::new();
        for contender in 0..8 {
            let store = Arc::clone(store);
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
                Ok(progress) => assert!(winner.replace(progress).is_none(), "a second ending"),
                Err(ProgressError::Refused { status, .. }) => assert!(status.is_finished()),
                Err(error) => panic!("{error:?}"),
            }
        }
        let winner = winner.expect("one ending");
        assert_eq!(winner.succeeded, 1);
        let after = read(store, id).await;
        assert_eq!(Progress { observed_at: winner.observed_at, ..after }, winner);
    }
}

async fn a_repeated_stamp_changes_nothing_even_after_the_end(store: &Store) {
    let id = running(store).await.id;
    let stamp = |seq| Stamp { writer: Uuid::from_u128(7), seq };
    let counts = one().with_stamp(stamp(1));
    let ending = ProgressUpdate::complete(Delta::new().with_succeeded(1), Completion::new())
        .with_stamp(stamp(2));
    for update in [&counts, &counts, &ending, &ending, &counts] {
        store.update(id, update).await.expect("applied, or known already");
    }
    let progress = read(store, id).await;
    assert_eq!((progress.status, progress.succeeded, progress.version), (Status::Completed, 2, 4));
}

async fn a_refused_update_leaves_no_stamp(store: &Store) {
    let id = pending(store).await.id;
    let update = one().with_stamp(Stamp { writer: Uuid::from_u128(8), seq: 1 });
    for _ in 0..2 {
        let refusal = store.update(id, &update).await;
        assert!(
            matches!(refusal, Err(ProgressError::Refused { status: Status::Pending, .. })),
            "{refusal:?}"
        );
    }
    store.update(id, &ProgressUpdate::start()).await.expect("started");
    assert_eq!(store.update(id, &update).await.expect("counted now").succeeded, 1);
}

async fn pages_hold_every_record_once_and_only_the_owners(store: &Store) {
    let owner = ProgressId::new().to_string();
    let mut ids = Vec::new();
    for number in 0..7 {
        let job = NewProgress::new(if number % 2 == 0 { "even" } else { "odd" }).with_owner(&owner);
        ids.push(store.create(&job).await.expect("created").id);
        store
            .create(&NewProgress::new("even").with_owner(format!("{owner} other")))
            .await
            .expect("created");
    }
    store.update(ids[0], &ProgressUpdate::request_cancel()).await.expect("cancelled");
    let query = || ProgressQuery::new().with_owner(&owner);

    let mut seen = Vec::new();
    let mut next = None;
    loop {
        let query = query().with_limit(3);
        let page = store
            .list(&next.map_or(query.clone(), |cursor| query.with_cursor(cursor)))
            .await
            .expect("a page");
        assert!(page.items.len() <= 3);
        seen.extend(page.items);
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    let keys: Vec<_> = seen.iter().map(|progress| (progress.created_at, progress.id)).collect();
    assert!(keys.is_sorted_by(|left, right| left > right), "newest first: {keys:?}");
    let mut found: Vec<_> = seen.iter().map(|progress| progress.id).collect();
    found.sort_unstable();
    ids.sort_unstable();
    assert_eq!(found, ids, "every record of the owner, once");

    let count = async |query: ProgressQuery| store.list(&query).await.expect("a page").items.len();
    assert_eq!(count(query().with_active()).await, 6);
    assert_eq!(count(query().with_finished()).await, 1);
    assert_eq!(count(query().with_task_type("odd")).await, 3);
    assert_eq!(count(query().with_status(Status::Cancelled).with_active()).await, 0);
    assert_eq!(count(ProgressQuery::new().with_owner("nobody")).await, 0);
    let full = store.list(&query().with_limit(7)).await.expect("a page");
    assert_eq!((full.items.len(), full.next), (7, None), "a full last page announces no other");
    for progress in &full.items {
        assert!(query().matches(progress));
    }
}

async fn the_log_keeps_its_newest_entries_and_counts_the_rest(store: &Store) {
    let id = running(store).await.id;
    let limit = u64::from(DEFAULT_LOG_LIMIT);
    let mut delta = Delta::new().with_dropped_entries(3);
    for number in 1..=limit {
        delta = delta.with_entry(NewEntry::info(format!("line {number}")).with_item("item"));
    }
    store.update(id, &ProgressUpdate::advance(delta)).await.expect("logged");
    let more = Delta::new()
        .with_entry(NewEntry::error("one more"))
        .with_entry(NewEntry::error("and another"));
    store.update(id, &ProgressUpdate::advance(more)).await.expect("logged");

    let page = store.entries(id, 0, u32::MAX).await.expect("the log");
    assert_eq!(page.entries.len() as u64, limit);
    assert_eq!(page.dropped, 5);
    assert_eq!((page.entries[0].seq, page.entries[0].message.as_str()), (6, "line 3"));
    assert_eq!(page.next_after, limit + 5);

    let part = store.entries(id, 10, 2).await.expect("the log");
    assert_eq!(part.entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [11, 12]);
    assert_eq!(part.next_after, 12);
    let end = store.entries(id, limit + 5, 10).await.expect("the log");
    assert_eq!((end.entries.len(), end.next_after), (0, limit + 5));
    let beyond = store.entries(id, u64::MAX, 10).await.expect("the log");
    assert!(beyond.entries.is_empty());
}

async fn deletion_waits_for_the_end_and_leaves_nothing(store: &Store) {
    let job = NewProgress::new("conformance");
    let id = store.create(&job).await.expect("created").id;
    let stamp = Stamp { writer: Uuid::from_u128(9), seq: 1 };
    store.update(id, &ProgressUpdate::start().with_stamp(stamp)).await.expect("started");
    let refusal = store.delete(id).await;
    assert!(
        matches!(refusal, Err(ProgressError::Refused { status: Status::Running, .. })),
        "{refusal:?}"
    );
    let last = Delta::new().with_entry(NewEntry::info("last"));
    store.update(id, &ProgressUpdate::cancel(last)).await.expect("cancelled");
    store.delete(id).await.expect("deleted");
    assert_eq!(store.get(id).await.expect("an answer"), None);

    store.create(&job).await.expect("the id is free again");
    assert_eq!(store.entries(id, 0, 10).await.expect("a log").entries, []);
    let started =
        store.update(id, &ProgressUpdate::start().with_stamp(stamp)).await.expect("started");
    assert_eq!(started.status, Status::Running, "the old record's stamps were left behind");
}

async fn several_at_once_are_as_one_by_one(store: &Store) {
    let (first, second) = (running(store).await.id, pending(store).await.id);
    let unknown = ProgressId::new();
    let found = store.get_many(&[second, unknown, first, second]).await.expect("read");
    let found: Vec<_> =
        found.into_iter().map(|progress| progress.map(|progress| progress.id)).collect();
    assert_eq!(found, [Some(second), None, Some(first), Some(second)]);

    let outcomes = store
        .update_many(&[(first, one()), (second, one()), (unknown, one()), (first, one())])
        .await;
    assert_eq!(outcomes.len(), 4);
    assert_eq!(outcomes[0].as_ref().expect("counted").succeeded, 1);
    assert!(matches!(outcomes[1], Err(ProgressError::Refused { .. })));
    assert!(matches!(outcomes[2], Err(ProgressError::NotFound(_))));
    assert_eq!(outcomes[3].as_ref().expect("counted").succeeded, 2);
    assert_eq!(read(store, first).await.succeeded, 2, "a refusal took others with it");
    assert!(store.update_many(&[]).await.is_empty());
    assert!(store.get_many(&[]).await.expect("nothing").is_empty());
}

async fn silence_grows_until_a_heartbeat(store: &Store) {
    let id = running(store).await.id;
    tokio::time::sleep(Duration::from_millis(30)).await;
    let silence = read(store, id).await.silent_for().expect("running");
    assert!(silence >= Duration::from_millis(25), "{silence:?}");
    let renewed = store.update(id, &ProgressUpdate::heartbeat()).await.expect("alive");
    assert!(renewed.silent_for().expect("running") < silence);
}

async fn only_the_silent_are_failed(store: &Store) {
    let (silent, waiting) = (running(store).await.id, pending(store).await.id);
    tokio::time::sleep(Duration::from_millis(600)).await;
    let alive = running(store).await.id;
    assert_eq!(store.fail_stale(Duration::MAX).await.expect("swept"), 0);
    let beat = async || store.update(alive, &ProgressUpdate::heartbeat()).await.expect("alive");
    beat().await;
    // Others of this suite may be silent as well.
    assert!(store.fail_stale(Duration::from_millis(500)).await.expect("swept") >= 1);
    let lost = read(store, silent).await;
    assert_eq!((lost.status, lost.error.as_deref()), (Status::Failed, Some(WORKER_LOST)));
    assert_eq!((lost.version, lost.finished_at), (3, Some(lost.updated_at)));
    assert_eq!(read(store, alive).await.status, Status::Running);
    assert_eq!(
        read(store, waiting).await.status,
        Status::Pending,
        "nobody owes a pending job a heartbeat"
    );
    beat().await;
    assert_eq!(
        store.fail_stale(Duration::from_millis(500)).await.expect("swept"),
        0,
        "each is failed once"
    );
    let refusal = store.update(silent, &one()).await;
    assert!(
        matches!(refusal, Err(ProgressError::Refused { status: Status::Failed, .. })),
        "a worker that slept is told"
    );
}

async fn only_the_old_are_deleted(store: &Store) {
    // A clean table first, so that what is counted below is ours.
    tokio::time::sleep(Duration::from_millis(20)).await;
    while store.delete_finished(Duration::ZERO, 500).await.expect("deleted") > 0 {}
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(finished(store).await.id);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let active = running(store).await.id;
    assert_eq!(store.delete_finished(Duration::MAX, 10).await.expect("deleted"), 0);
    assert_eq!(store.delete_finished(Duration::from_secs(3_600), 10).await.expect("deleted"), 0);
    assert_eq!(
        store.delete_finished(Duration::from_millis(1), 2).await.expect("deleted"),
        2,
        "no more than asked"
    );
    let left =
        store.get_many(&ids).await.expect("read").into_iter().map(|progress| progress.is_some());
    assert_eq!(left.collect::<Vec<_>>(), [false, false, true], "the oldest endings first");
    assert_eq!(store.delete_finished(Duration::from_millis(1), 2).await.expect("deleted"), 1);
    assert_eq!(read(store, active).await.status, Status::Running);
}
