//! Calls on many records or entries. A store must not return or change only the first of them.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::{Suite, assert_not_found, assert_refused, must, one};
use crate::testing::threads::SLOW;
use crate::testing::timeless;
use crate::{
    Changed, Changes, DEFAULT_LOG_LIMIT, Delta, Heartbeat, MAX_PAGE, NewEntry, NewProgress,
    Progress, ProgressId, ProgressQuery, ProgressUpdate, Status,
};

/// So many jobs that a page cannot hold those of one owner. A store might use a page of its own for
/// other calls too.
const MANY: usize = MAX_PAGE as usize + 25;

/// On a slow store, a rule creates only so many jobs.
const FEW: usize = 12;

/// Creates many jobs.
async fn many(suite: &Suite, job: impl Fn(usize) -> NewProgress) -> Vec<Progress> {
    let start = Instant::now();
    let mut created = Vec::with_capacity(MANY);
    while created.len() < FEW || (created.len() < MANY && start.elapsed() < SLOW) {
        created.push(suite.store.create(&job(created.len())).await.expect(must::CREATE));
    }
    created
}

fn ids(created: &[Progress]) -> Vec<ProgressId> {
    created.iter().map(|progress| progress.id).collect()
}

pub(super) async fn pages_hold_every_record_once_and_only_the_owners(suite: &Suite) {
    let unique = ProgressId::new().to_string();
    let (even, odd) = (format!("{unique} even"), format!("{unique} odd"));
    let mut created = many(suite, |number| {
        let job = NewProgress::new(if number.is_multiple_of(2) { &even } else { &odd });
        match number % 12 {
            4 => job.with_owner(format!("{unique} other")),
            10 => job,
            _ => job.with_owner(&unique),
        }
    })
    .await;
    // Every status follows every other, so that a store cannot list one after the other.
    let start = ProgressUpdate::start();
    let endings = [
        vec![ProgressUpdate::request_cancel()],
        vec![start.clone()],
        vec![start.clone(), ProgressUpdate::fail(Delta::new(), "over")],
        vec![start, ProgressUpdate::complete(Delta::new(), crate::Completion::new())],
    ];
    for (number, updates) in endings.iter().enumerate() {
        let places: Vec<_> = (number..created.len()).step_by(5).collect();
        let ids: Vec<_> = places.iter().map(|place| created[*place].id).collect();
        for update in updates {
            let updated = suite.update_all(&ids, update).await;
            places.iter().zip(updated).for_each(|(place, job)| created[*place] = job);
        }
    }
    created.sort_by_key(|progress| Reverse((progress.created_at, progress.id)));

    let owned = || ProgressQuery::new().with_owner(&unique);
    for (query, rule) in [
        (owned(), "with_owner must select all jobs of this owner"),
        (owned().with_limit(3), "the pages must hold every job once, although there are many"),
        (owned().with_limit(35), "the pages must hold every job once, although they are long"),
        (owned().with_limit(MAX_PAGE), "a page must hold as many jobs as its limit allows"),
        (owned().with_active(), "with_active must select pending and running jobs"),
        (owned().with_finished(), "with_finished must select the jobs that have ended"),
        (owned().with_status(Status::Pending), "with_status must select this status"),
        (owned().with_status(Status::Cancelled), "with_status must select this status"),
        (
            owned().with_status(Status::Cancelled).with_active(),
            "a query that no status satisfies must select nothing",
        ),
        (owned().with_active().with_limit(3), "the pages of several statuses must hold every job"),
        (
            owned().with_finished().with_limit(3),
            "the pages of several statuses must hold every job",
        ),
        (owned().with_task_type(&odd), "with_task_type must select this type"),
        (owned().with_task_type(&even).with_limit(3), "the pages of a type must hold every job"),
        (owned().with_task_type(&odd).with_status(Status::Failed), "all conditions must hold"),
        (owned().with_task_type(&odd).with_active(), "all conditions must hold"),
        (
            ProgressQuery::new().with_task_type(&odd).with_finished().with_limit(7),
            "all conditions must hold, without an owner as well",
        ),
        (
            ProgressQuery::new().with_task_type(&even).with_status(Status::Completed),
            "all conditions must hold, without an owner as well",
        ),
        (
            ProgressQuery::new().with_task_type("no such type"),
            "a type without jobs must have an empty list",
        ),
        (
            ProgressQuery::new().with_task_type(&even),
            "a query without an owner must select all jobs, with or without an owner",
        ),
        (owned().with_owner("no such owner"), "an owner without jobs must have an empty list"),
    ] {
        let listed: Vec<_> = pages(suite, &query, rule).await.iter().map(timeless).collect();
        let selected = created.iter().filter(|progress| query.matches(progress));
        let selected: Vec<_> = selected.map(timeless).collect();
        assert_eq!(listed.len(), selected.len(), "list: {rule} ({query:?})");
        for (listed, selected) in listed.iter().zip(&selected) {
            assert_eq!(
                listed, selected,
                "list: the newest job must come first (of the same time, the highest id), each as \
                 `get` returns it ({query:?})"
            );
        }
    }
}

/// Reads all pages of a query, and checks their size and their cursors.
async fn pages(suite: &Suite, query: &ProgressQuery, rule: &str) -> Vec<Progress> {
    let limit = query.limit() as usize;
    let mut listed = Vec::new();
    let mut page = query.clone();
    loop {
        let found = suite.store.list(&page).await.expect(must::LIST);
        assert!(
            found.items.len() <= limit,
            "list: a page must hold at most {limit} records, but it holds {}",
            found.items.len()
        );
        let is_full = found.items.len() == limit;
        listed.extend(found.items);
        let Some(next) = found.next else { return listed };
        assert!(is_full, "list: a page that is not full must be the last one, without `next`");
        assert!(
            listed.last().is_some_and(|last| crate::Cursor::of(last) == next),
            "list: `next` must be the position of the page's last record"
        );
        assert!(
            listed.len() <= MANY,
            "list: {rule}, but the pages do not end, as if the cursor were ignored"
        );
        page = query.clone().with_cursor(next);
    }
}

pub(super) async fn the_log_keeps_its_newest_entries_and_counts_the_rest(suite: &Suite) {
    let (id, other) = (suite.running().await.id, suite.running().await.id);
    let limit = u64::from(DEFAULT_LOG_LIMIT);
    let log = async |id, delta| {
        let logged = suite.store.update(id, &ProgressUpdate::advance(delta)).await;
        logged.expect("update: a running job must accept entries")
    };
    let mut delta = Delta::new().with_dropped_entries(3);
    for number in 1..=limit {
        delta = delta.with_entry(NewEntry::info(format!("line {number}")).with_item("item"));
    }
    log(id, delta).await;
    log(other, Delta::new().with_entry(NewEntry::info("of another job"))).await;
    let more = Delta::new()
        .with_entry(NewEntry::error("one more"))
        .with_entry(NewEntry::error("and another"));
    log(id, more).await;
    // Numbered after the 3 that were dropped. The 2 oldest entries made room for the last 2.
    let expected: Vec<_> = (6..=limit + 3)
        .map(|seq| (seq, format!("line {}", seq - 3)))
        .chain([(limit + 4, "one more".to_owned()), (limit + 5, "and another".to_owned())])
        .collect();

    for page_limit in [u32::MAX, DEFAULT_LOG_LIMIT, 300] {
        let (mut after, mut kept) = (0, Vec::new());
        loop {
            let page = suite.store.entries(id, after, page_limit).await.expect(must::READ_LOG);
            assert!(
                page.entries.len() as u64 <= u64::from(page_limit),
                "entries: a page must hold at most {page_limit} entries, but it holds {}",
                page.entries.len()
            );
            assert_eq!(
                page.dropped, 5,
                "entries: `dropped` must count the entries that are not kept and those that the \
                 updates report as dropped"
            );
            let last = page.entries.last().map_or(after, |entry| entry.seq);
            assert_eq!(
                page.next_after, last,
                "entries: `next_after` must be the number of the page's last entry, or `after`"
            );
            if page.entries.is_empty() {
                break;
            }
            kept.extend(page.entries.into_iter().map(|entry| (entry.seq, entry.message)));
            assert!(kept.len() as u64 <= limit, "entries: at most the log limit must be kept");
            after = last;
        }
        assert_eq!(
            kept.len() as u64,
            limit,
            "entries: the newest entries must be kept, up to the log limit (read in pages of \
             {page_limit})"
        );
        for (kept, expected) in kept.iter().zip(&expected) {
            assert_eq!(
                kept, expected,
                "entries: the entries of the job must come in the order of their numbers"
            );
        }
        if page_limit >= DEFAULT_LOG_LIMIT {
            let page = suite.store.entries(id, 0, page_limit).await.expect(must::READ_LOG);
            assert_eq!(
                page.entries.len() as u64,
                limit,
                "entries: one page must hold as many entries as its limit allows"
            );
        }
    }

    let part = suite.store.entries(id, 10, 2).await.expect(must::READ_LOG);
    assert_eq!(
        part.entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(),
        [11, 12],
        "entries: a page must hold the first entries after `after`"
    );
    let beyond = suite.store.entries(id, u64::MAX, 10).await.expect(must::READ_LOG);
    assert_eq!(beyond.entries, [], "entries: no entry comes after the highest number");
}

pub(super) async fn several_at_once_are_as_one_by_one(suite: &Suite) {
    let (first, second) = (suite.running().await.id, suite.pending().await.id);
    let unknown = ProgressId::new();
    let outcomes = suite
        .store
        .update_many(&[(first, one()), (second, one()), (unknown, one()), (first, one())])
        .await;
    assert_eq!(outcomes.len(), 4, "update_many: each update must have an outcome");
    let succeeded = |index: usize| outcomes[index].as_ref().map(|progress| progress.succeeded).ok();
    assert_eq!(
        (succeeded(0), succeeded(3)),
        (Some(1), Some(2)),
        "update_many: each update of the same job must count, although others are refused"
    );
    let rule = "update_many: counts of a pending job must be refused";
    assert_refused(&outcomes[1], second, Status::Pending, rule);
    assert_not_found(&outcomes[2], unknown, "update_many: an unknown id must be refused");
    assert_eq!(
        suite.read(first).await.succeeded,
        2,
        "update_many: a refused update must not affect the others"
    );

    let ids = ids(&many(suite, |_| NewProgress::new("conformance")).await);
    let starts: Vec<_> = ids.iter().map(|id| (*id, ProgressUpdate::start())).collect();
    let outcomes = suite.store.update_many(&starts).await;
    assert_eq!(outcomes.len(), ids.len(), "update_many: each update must have an outcome");
    let mut records = HashMap::from([(first, suite.read(first).await)]);
    for (id, outcome) in ids.iter().zip(outcomes) {
        let started = outcome.expect("update_many: a pending job must start");
        assert_eq!(
            started.id, *id,
            "update_many: the outcomes must be in the order of the updates"
        );
        records.insert(*id, started);
    }

    let mut asked = vec![unknown, first];
    asked.extend(ids.iter().rev());
    asked.extend([first, unknown]);
    let found = suite.store.get_many(&asked).await.expect(must::READ_MANY);
    assert_eq!(
        found.len(),
        asked.len(),
        "get_many: each id must have an item, also a repeated one"
    );
    for (id, found) in asked.iter().zip(&found) {
        assert_eq!(
            found.as_ref().map(timeless),
            records.get(id).map(timeless),
            "get_many: each item must be as `get` returns it, in the order of the ids ({id})"
        );
    }
    let outcomes = suite.store.update_many(&[]).await;
    assert!(outcomes.is_empty(), "update_many: no updates must have no outcomes");
    let found = suite.store.get_many(&[]).await.expect(must::READ_MANY);
    assert!(found.is_empty(), "get_many: no ids must have no items");
}

pub(super) async fn heartbeats_are_those_of_running_jobs(suite: &Suite) {
    let lease = Duration::from_millis(90_500);
    let jobs = ids(&many(suite, |_| NewProgress::new("conformance").with_lease(lease)).await);
    let mut ids = jobs.clone();
    for _ in 0..3 {
        // These are never listed.
        ids.push(suite.pending().await.id);
        ids.push(suite.finished().await.id);
    }
    // The jobs of other rules may be running too.
    let listed = async || {
        let mut listed = suite.store.heartbeats().await.expect(must::HEARTBEATS);
        listed.retain(|heartbeat| ids.contains(&heartbeat.id));
        listed.sort_unstable_by_key(|heartbeat| heartbeat.id);
        listed
    };
    assert_eq!(listed().await, [], "heartbeats: a job that is not running must not be listed");

    let mut running = suite.update_all(&jobs, &ProgressUpdate::start()).await;
    running.sort_unstable_by_key(|progress| progress.id);
    suite.pass(Duration::from_millis(2)).await;
    let renewed = suite.store.update(running[0].id, &ProgressUpdate::heartbeat()).await;
    running[0] = renewed.expect("update: a running job must accept a heartbeat");
    let found = listed().await;
    assert_eq!(
        found.len(),
        jobs.len(),
        "heartbeats: every running job must be listed exactly once, and no other"
    );
    for (heartbeat, progress) in found.iter().zip(&running) {
        let at = progress.heartbeat_at.expect("update: a running job must have heartbeat_at");
        assert_eq!(
            *heartbeat,
            Heartbeat { id: progress.id, at, lease },
            "heartbeats: each item must hold heartbeat_at and lease of the job's record"
        );
    }

    suite.update_all(&jobs, &ProgressUpdate::cancel(Delta::new())).await;
    assert_eq!(listed().await, [], "heartbeats: a job that has ended must not be listed");
}

pub(super) async fn one_call_deletes_as_many_as_its_limit(suite: &Suite) {
    suite.clear().await;
    let ids = ids(&many(suite, |_| NewProgress::new("conformance")).await);
    suite.update_all(&ids, &ProgressUpdate::fail(Delta::new(), "over")).await;
    suite.pass(Duration::from_millis(20)).await;
    assert_eq!(
        suite.delete_finished(Duration::ZERO, 500).await,
        ids.len() as u64,
        "delete_finished: all old jobs must be deleted if the limit allows it. A janitor stops \
         after a call that deletes fewer jobs than its limit."
    );
    assert!(
        suite.are_there(&ids).await.iter().all(|is_there| !is_there),
        "delete_finished: every job that is counted as deleted must be gone"
    );
}

/// How long a hint may take. Watchers wait for it, so it should take some milliseconds; a test
/// machine may be busy.
const HINT_TIMEOUT: Duration = Duration::from_secs(10);

/// A store without hints passes: they are optional.
pub(super) async fn hints_tell_of_every_change(suite: &Suite) {
    let Some(mut changes) = suite.store.changes() else { return };
    let live = timeout(HINT_TIMEOUT, async {
        // The first hint says that the subscription has become live.
        while changes.next().await != Changed::Any || !changes.is_live() {}
    });
    live.await.expect("changes: hints must become live");
    // Made by another process, if the suite can do so.
    let store = suite.other.as_ref().unwrap_or(&suite.store);
    let job = store.create(&NewProgress::new("conformance")).await.expect(must::CREATE);
    expect_hint(&mut changes, job.id, 1, "create").await;
    let started = store.update(job.id, &ProgressUpdate::start()).await.expect(must::START);
    expect_hint(&mut changes, job.id, started.version, "update").await;
    let mut batch = vec![(job.id, ProgressUpdate::fail(Delta::new(), "over"))];
    // As many as a flush loop sends in one call.
    for id in suite.many_pending(127).await {
        batch.push((id, ProgressUpdate::fail(Delta::new(), "over")));
    }
    let outcomes = store.update_many(&batch).await;
    let ended: Vec<_> = outcomes.into_iter().map(|ended| ended.expect(must::END)).collect();
    expect_hints(&mut changes, &ended, "update_many").await;
    store.delete(job.id).await.expect(must::DELETE);
    expect_hint(&mut changes, job.id, Changes::DELETED, "delete").await;
    suite.pass(Duration::from_millis(20)).await;
    while store.delete_finished(Duration::ZERO, 500).await.expect("delete_finished") > 0 {}
    expect_hint(&mut changes, ended[1].id, Changes::DELETED, "delete_finished").await;
}

async fn expect_hint(changes: &mut Changes, id: ProgressId, version: u64, method: &str) {
    expect(changes, HashMap::from([(id, version)]), method).await;
}

async fn expect_hints(changes: &mut Changes, changed: &[Progress], method: &str) {
    let versions = changed.iter().map(|progress| (progress.id, progress.version)).collect();
    expect(changes, versions, method).await;
}

async fn expect(changes: &mut Changes, mut expected: HashMap<ProgressId, u64>, method: &str) {
    let told = timeout(HINT_TIMEOUT, async {
        while !expected.is_empty() {
            match changes.next().await {
                Changed::Any => expected.clear(),
                Changed::Records(hints) => expected
                    .retain(|id, version| hints.get(id).is_none_or(|hinted| hinted < version)),
            }
        }
    });
    assert!(told.await.is_ok(), "{method}: a live subscription must get a hint of each change");
}

pub(super) async fn of_an_owner_all_finished_records_are_deleted_and_no_others(suite: &Suite) {
    let owner = format!("Ann {}", ProgressId::new());
    let others = [owner.to_lowercase(), format!("{owner} "), "Ann".to_owned()];
    let own = many(suite, |_| NewProgress::new("conformance").with_owner(&owner)).await;
    let (mut finished, mut kept) = (ids(&own), Vec::new());
    // Of each status, one that stays.
    kept.extend(finished.split_off(finished.len() - 2));
    suite.update_all(&kept[1..], &ProgressUpdate::start()).await;
    suite.update_all(&finished, &ProgressUpdate::request_cancel()).await;
    for other in others.iter().map(Some).chain([None]) {
        let job = NewProgress::new("conformance");
        let job = other.map_or(job.clone(), |other| job.with_owner(other));
        let id = suite.store.create(&job).await.expect(must::CREATE).id;
        suite.update_all(&[id], &ProgressUpdate::request_cancel()).await;
        kept.push(id);
    }
    let delete = async |limit| {
        let deleted = suite.store.delete_owned(&owner, limit).await;
        deleted.expect("delete_owned: every owner and limit must be accepted")
    };
    assert_eq!(delete(0).await, 0, "delete_owned: a limit of 0 must delete nothing");
    assert_eq!(delete(3).await, 3, "delete_owned: as many as the limit must be deleted");
    let left = finished.len() as u64 - 3;
    let count = suite.are_there(&finished).await.iter().filter(|is_there| **is_there).count();
    assert_eq!(
        count as u64, left,
        "delete_owned: as many records must be gone as are counted as deleted"
    );
    assert_eq!(
        delete(500).await,
        left,
        "delete_owned: all finished records of the owner must be deleted if the limit allows it"
    );
    assert!(
        suite.are_there(&finished).await.iter().all(|is_there| !is_there),
        "delete_owned: no finished record of the owner may be left"
    );
    assert!(
        suite.are_there(&kept).await.iter().all(|is_there| *is_there),
        "delete_owned: active records must stay, and so must those of other owners, which may \
         differ only in case or spaces, and those without an owner"
    );
    assert_eq!(delete(500).await, 0, "delete_owned: an owner without records has none to delete");

    let job = NewProgress::new("conformance").with_owner(&owner);
    let id = suite.store.create(&job).await.expect(must::CREATE).id;
    let start = ProgressUpdate::start().with_stamp(super::stamp(11, 1));
    suite.update_all(&[id], &start).await;
    let last = Delta::new().with_entry(NewEntry::info("last"));
    suite.update_all(&[id], &ProgressUpdate::cancel(last)).await;
    assert_eq!(delete(1).await, 1, "delete_owned: a cancelled job must be deleted");
    suite.assert_nothing_left_of(&job, &start).await;
}

pub(super) async fn the_end_is_announced_once_at_a_time_until_it_is_noted(suite: &Suite) {
    let due = async |limit| {
        let due = suite.store.unannounced(limit).await;
        due.expect("unannounced: every limit must be accepted")
    };
    let update = async |id, update: ProgressUpdate| {
        let updated = suite.store.update(id, &update).await;
        updated.expect("update: a finished job must accept a claim of what was seen, and a note")
    };
    let wanted = || NewProgress::new("conformance").with_announcement();
    let active = suite.store.create(&wanted()).await.expect(must::CREATE).id;
    let silent = suite.finished().await.id;
    let created = ids(&many(suite, |_| wanted()).await);
    let ended = suite.update_all(&created, &ProgressUpdate::request_cancel()).await;
    suite.pass(Duration::from_millis(20)).await;
    assert_eq!(
        ids(&due(500).await),
        [],
        "unannounced: jobs that ended just now must be left to the process that ended them"
    );
    for job in &ended {
        let seen = job.announce_at.expect("update: the end of a job must be announced if wanted");
        let claim = |delay| ProgressUpdate::claim_announcement(seen, delay);
        let claimed = update(job.id, claim(Duration::from_millis(1))).await;
        assert_eq!(
            (claimed.version, claimed.updated_at, claimed.status),
            (job.version, job.updated_at, job.status),
            "update: a claim must change nothing that viewers see"
        );
        assert_refused(
            &suite.store.update(job.id, &claim(Duration::from_secs(60))).await,
            job.id,
            Status::Cancelled,
            "update: a second claim of the same announcement must be refused",
        );
    }
    suite.pass(Duration::from_millis(20)).await;
    let found = due(500).await;
    assert!(
        found.is_sorted_by_key(|job| job.announce_at),
        "unannounced: the earliest must be first"
    );
    let sorted = |mut ids: Vec<ProgressId>| {
        ids.sort_unstable();
        ids
    };
    assert_eq!(
        sorted(ids(&found)),
        sorted(created.clone()),
        "unannounced: every finished job whose announcement is due must be returned, no active \
         one, and none that nothing asked to announce"
    );
    let timely = |job: &Progress| (timeless(job), job.announce_at);
    let read = suite.read(found[0].id).await;
    assert_eq!(
        timely(&found[0]),
        timely(&read),
        "unannounced: a record must be as `get` returns it"
    );
    assert_eq!(due(2).await.len(), 2, "unannounced: at most as many as the limit");

    let seen = found[0].announce_at.expect("unannounced: `announce_at` must be read");
    let claim = ProgressUpdate::claim_announcement(seen, Duration::from_secs(3_600));
    update(found[0].id, claim).await;
    for _ in 0..2 {
        let announced = update(found[1].id, ProgressUpdate::announced()).await;
        assert_eq!(announced.announce_at, None, "update: an announced end must not be due again");
    }
    assert_eq!(
        sorted(ids(&due(500).await)),
        sorted(ids(&found[2..])),
        "unannounced: a claimed and an announced end must not be returned"
    );
    assert_refused(
        &suite.store.update(active, &ProgressUpdate::announced()).await,
        active,
        Status::Pending,
        "update: the end of an active job cannot be announced",
    );
    suite.remove(&created).await;
    suite.remove(&[active, silent]).await;
    let left = ids(&due(500).await);
    assert_eq!(left, [], "unannounced: a deleted record must not be returned");
}
