//! Records, pages and the log.

use uuid::Uuid;

use super::{Suite, one};
use crate::testing::timeless;
use crate::{
    DEFAULT_LOG_LIMIT, Delta, NewEntry, NewProgress, ProgressError, ProgressId, ProgressQuery,
    ProgressUpdate, Stamp, Status,
};

pub(super) async fn a_job_is_created_once(suite: &Suite) {
    let job = NewProgress::new("conformance").with_total(7).with_title("first");
    let created = suite.store.create(&job).await.expect("created");
    assert_eq!((created.status, created.version, created.total), (Status::Pending, 1, Some(7)));
    assert_eq!(created.observed_at, created.created_at, "observed_at is the creation time");
    assert_eq!(timeless(&suite.read(job.id()).await), timeless(&created));

    let again = NewProgress::new("other").with_id(job.id());
    let refusal = suite.store.create(&again).await;
    assert!(matches!(refusal, Err(ProgressError::AlreadyExists(id)) if id == job.id()));
    assert_eq!(
        suite.read(job.id()).await.title.as_deref(),
        Some("first"),
        "the first record was overwritten"
    );
}

pub(super) async fn unknown_ids_are_not_found(suite: &Suite) {
    let id = ProgressId::new();
    let is_not_found =
        |error: ProgressError| matches!(error, ProgressError::NotFound(unknown) if unknown == id);
    assert_eq!(suite.store.get(id).await.expect("read"), None);
    assert!(is_not_found(suite.store.update(id, &one()).await.unwrap_err()));
    let stamped = one().with_stamp(Stamp { writer: Uuid::from_u128(3), seq: 1 });
    assert!(is_not_found(suite.store.update(id, &stamped).await.unwrap_err()));
    assert!(is_not_found(suite.store.entries(id, 0, 10).await.unwrap_err()));
    assert!(is_not_found(suite.store.delete(id).await.unwrap_err()));
}

pub(super) async fn bad_data_is_refused_before_anything_is_written(suite: &Suite) {
    let large = serde_json::json!("x".repeat(crate::limits::MAX_JSON));
    for job in [
        NewProgress::new("t").with_owner(""),
        NewProgress::new("t").with_owner("x".repeat(201)),
        NewProgress::new("t").with_owner("a\0b"),
        NewProgress::new("t").with_metadata(large),
    ] {
        assert!(matches!(suite.store.create(&job).await, Err(ProgressError::Invalid(_))));
        assert_eq!(suite.store.get(job.id()).await.expect("read"), None);
    }
}

pub(super) async fn pages_hold_every_record_once_and_only_the_owners(suite: &Suite) {
    let owner = ProgressId::new().to_string();
    let mut ids = Vec::new();
    for number in 0..7 {
        let job = NewProgress::new(if number % 2 == 0 { "even" } else { "odd" }).with_owner(&owner);
        ids.push(suite.store.create(&job).await.expect("created").id);
        suite
            .store
            .create(&NewProgress::new("even").with_owner(format!("{owner} other")))
            .await
            .expect("created");
    }
    suite.store.update(ids[0], &ProgressUpdate::request_cancel()).await.expect("cancelled");
    let query = || ProgressQuery::new().with_owner(&owner);

    let mut seen = Vec::new();
    let mut next = None;
    loop {
        let query = query().with_limit(3);
        let page = suite
            .store
            .list(&next.map_or(query.clone(), |cursor| query.with_cursor(cursor)))
            .await
            .expect("listed");
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
    assert_eq!(found, ids, "each record of the owner exactly once");

    let count =
        async |query: ProgressQuery| suite.store.list(&query).await.expect("listed").items.len();
    assert_eq!(count(query().with_active()).await, 6);
    assert_eq!(count(query().with_finished()).await, 1);
    assert_eq!(count(query().with_task_type("odd")).await, 3);
    assert_eq!(count(query().with_status(Status::Cancelled).with_active()).await, 0);
    assert_eq!(count(ProgressQuery::new().with_owner("no such owner")).await, 0);
    let full = suite.store.list(&query().with_limit(7)).await.expect("listed");
    assert_eq!((full.items.len(), full.next), (7, None), "a full last page has no cursor");
    for progress in &full.items {
        assert!(query().matches(progress));
    }
}

pub(super) async fn the_log_keeps_its_newest_entries_and_counts_the_rest(suite: &Suite) {
    let id = suite.running().await.id;
    let limit = u64::from(DEFAULT_LOG_LIMIT);
    let mut delta = Delta::new().with_dropped_entries(3);
    for number in 1..=limit {
        delta = delta.with_entry(NewEntry::info(format!("line {number}")).with_item("item"));
    }
    suite.store.update(id, &ProgressUpdate::advance(delta)).await.expect("logged");
    let more = Delta::new()
        .with_entry(NewEntry::error("one more"))
        .with_entry(NewEntry::error("and another"));
    suite.store.update(id, &ProgressUpdate::advance(more)).await.expect("logged");

    let page = suite.store.entries(id, 0, u32::MAX).await.expect("log read");
    assert_eq!(page.entries.len() as u64, limit);
    assert_eq!(page.dropped, 5);
    assert_eq!((page.entries[0].seq, page.entries[0].message.as_str()), (6, "line 3"));
    assert_eq!(page.next_after, limit + 5);

    let part = suite.store.entries(id, 10, 2).await.expect("log read");
    assert_eq!(part.entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [11, 12]);
    assert_eq!(part.next_after, 12);
    let end = suite.store.entries(id, limit + 5, 10).await.expect("log read");
    assert_eq!((end.entries.len(), end.next_after), (0, limit + 5));
    let beyond = suite.store.entries(id, u64::MAX, 10).await.expect("log read");
    assert!(beyond.entries.is_empty());
}

pub(super) async fn several_at_once_are_as_one_by_one(suite: &Suite) {
    let (first, second) = (suite.running().await.id, suite.pending().await.id);
    let unknown = ProgressId::new();
    let found = suite.store.get_many(&[second, unknown, first, second]).await.expect("read");
    let found: Vec<_> =
        found.into_iter().map(|progress| progress.map(|progress| progress.id)).collect();
    assert_eq!(found, [Some(second), None, Some(first), Some(second)]);

    let outcomes = suite
        .store
        .update_many(&[(first, one()), (second, one()), (unknown, one()), (first, one())])
        .await;
    assert_eq!(outcomes.len(), 4);
    assert_eq!(outcomes[0].as_ref().expect("counted").succeeded, 1);
    assert!(matches!(outcomes[1], Err(ProgressError::Refused { .. })));
    assert!(matches!(outcomes[2], Err(ProgressError::NotFound(_))));
    assert_eq!(outcomes[3].as_ref().expect("counted").succeeded, 2);
    assert_eq!(suite.read(first).await.succeeded, 2, "a refused update affected the others");
    assert!(suite.store.update_many(&[]).await.is_empty());
    assert!(suite.store.get_many(&[]).await.expect("read").is_empty());
}

pub(super) async fn owners_are_compared_to_the_letter(suite: &Suite) {
    let unique = ProgressId::new();
    let owners = ["Ann", "ann", "Ann ", " Ann", "Ànn", "Ann\u{301}"];
    let owners = owners.map(|owner| format!("{owner}{unique}{owner}"));
    for owner in &owners {
        let job = NewProgress::new("conformance").with_owner(owner);
        suite.store.create(&job).await.expect("created");
    }
    for owner in &owners {
        let query = ProgressQuery::new().with_owner(owner);
        let page = suite.store.list(&query).await.expect("listed");
        let found: Vec<_> = page.items.iter().map(|item| item.owner.as_deref()).collect();
        assert_eq!(found, [Some(owner.as_str())]);
    }
}

pub(super) async fn task_types_are_compared_to_the_letter(suite: &Suite) {
    let unique = ProgressId::new();
    for task_type in ["Import", "import", "import "] {
        let job = NewProgress::new(format!("{unique}{task_type}"));
        suite.store.create(&job).await.expect("created");
    }
    for task_type in ["Import", "import", "import "] {
        let query = ProgressQuery::new().with_task_type(format!("{unique}{task_type}"));
        assert_eq!(suite.store.list(&query).await.expect("listed").items.len(), 1, "{task_type:?}");
    }
}
