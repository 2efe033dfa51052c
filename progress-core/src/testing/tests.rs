//! The suite must detect wrong stores, name the method that is wrong, and leave the caller's time
//! alone.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use uuid::Uuid;

use super::threads::{THREADS, race};
use super::*;
use crate::{
    Changes, EntryPage, Heartbeat, MemoryStore, NewProgress, ProgressError, ProgressId,
    ProgressPage, ProgressQuery, ProgressUpdate, Record, Stamp,
};

/// The rules that find an update out which is not atomic, and the method that they name.
const RACES: [(&str, &str); 5] = [
    ("of_several_creations_one_wins", "create"),
    ("of_several_starts_one_wins", "update"),
    ("concurrent_counts_are_neither_lost_nor_doubled", "update"),
    ("of_several_endings_one_wins", "update"),
    ("the_last_worker_ends_a_shared_job", "update"),
];

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).expect("a panic with a text")
}

/// Checks a rule on a wrong store and returns the message of its panic.
async fn complaint(store: impl ProgressStore, rule: &'static str) -> String {
    let suite = Suite::new(Arc::new(store));
    let verdict = tokio::spawn(async move { suite.check(rule).await }).await;
    let panic = verdict.expect_err(&format!("{rule} did not detect the wrong store")).into_panic();
    message(&*panic).to_owned()
}

async fn assert_detected(store: impl ProgressStore, rule: &'static str, method: &str) {
    let complaint = complaint(store, rule).await;
    let names_it = complaint.starts_with(&format!("{method}: "))
        || complaint.starts_with(&format!("assertion `left == right` failed: {method}: "));
    assert!(names_it, "{rule} must name {method}, but its message is: {complaint}");
}

/// Lets another thread have the processor now, which the system may do at any time. The suite also
/// detects these stores without it, but on a single processor only in 98 of 100 runs.
fn interrupt() {
    std::thread::yield_now();
}

/// Keeps each record as bytes: reads, changes and writes them back, without an `.await`.
#[derive(Debug, Default)]
struct ByteStore {
    records: Mutex<HashMap<ProgressId, Vec<u8>>>,
    /// Whether it writes only if the record has not changed since it was read.
    compares: bool,
}

impl ByteStore {
    fn lock(&self) -> MutexGuard<'_, HashMap<ProgressId, Vec<u8>>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, id: ProgressId) -> Result<(Vec<u8>, Record), ProgressError> {
        let bytes = self.lock().get(&id).cloned().ok_or(ProgressError::NotFound(id))?;
        let record = serde_json::from_slice(&bytes).map_err(ProgressError::store)?;
        Ok((bytes, record))
    }

    /// Writes a record that was read as `before`. Returns whether it did.
    fn write(&self, before: Option<&Vec<u8>>, record: &Record) -> Result<bool, ProgressError> {
        interrupt();
        let after = serde_json::to_vec(record).map_err(ProgressError::store)?;
        let mut records = self.lock();
        if self.compares && records.get(&record.progress.id) != before {
            return Ok(false);
        }
        records.insert(record.progress.id, after);
        Ok(true)
    }
}

#[async_trait]
impl ProgressStore for ByteStore {
    async fn create(&self, job: &NewProgress) -> Result<Progress, ProgressError> {
        let is_there = self.lock().contains_key(&job.id());
        let record = Record::new(job, Utc::now())?;
        if is_there || !self.write(None, &record)? {
            return Err(ProgressError::AlreadyExists(job.id()));
        }
        Ok(record.progress)
    }

    async fn get(&self, id: ProgressId) -> Result<Option<Progress>, ProgressError> {
        Ok(self.read(id).ok().map(|(_, record)| record.snapshot(Utc::now())))
    }

    async fn update(
        &self,
        id: ProgressId,
        update: &ProgressUpdate,
    ) -> Result<Progress, ProgressError> {
        loop {
            let (before, mut record) = self.read(id)?;
            record.update(update, Utc::now())?;
            if self.write(Some(&before), &record)? {
                return Ok(record.progress);
            }
        }
    }

    async fn list(&self, _: &ProgressQuery) -> Result<ProgressPage, ProgressError> {
        Err(ProgressError::store("not needed"))
    }

    /// It keeps no log.
    async fn entries(
        &self,
        id: ProgressId,
        after: u64,
        _: u32,
    ) -> Result<EntryPage, ProgressError> {
        let (_, record) = self.read(id)?;
        Ok(EntryPage { entries: vec![], next_after: after, dropped: record.progress.last_entry })
    }

    async fn delete(&self, id: ProgressId) -> Result<(), ProgressError> {
        let status = self.read(id)?.1.progress.status;
        if status.is_active() {
            return Err(ProgressError::Refused { id, status });
        }
        self.lock().remove(&id);
        Ok(())
    }

    async fn heartbeats(&self) -> Result<Vec<Heartbeat>, ProgressError> {
        Err(ProgressError::store("not needed"))
    }

    async fn delete_finished(&self, _: Duration, _: u32) -> Result<u64, ProgressError> {
        Err(ProgressError::store("not needed"))
    }

    async fn unannounced(&self, _: u32) -> Result<Vec<Progress>, ProgressError> {
        Err(ProgressError::store("not needed"))
    }

    async fn delete_owned(&self, _: &str, _: u32) -> Result<u64, ProgressError> {
        Err(ProgressError::store("not needed"))
    }
}

#[tokio::test]
async fn a_store_that_writes_back_without_comparing_is_detected() {
    for (rule, method) in RACES {
        assert_detected(ByteStore::default(), rule, method).await;
    }
}

/// The same store is accepted once it compares.
#[tokio::test]
async fn a_store_that_compares_is_accepted() {
    let suite = Suite::new(Arc::new(ByteStore { compares: true, ..ByteStore::default() }));
    for (rule, _) in RACES {
        suite.check(rule).await;
    }
    suite.check("a_stamp_sent_by_several_at_once_counts_once").await;
    suite.check("an_update_and_a_deletion_do_not_meet_half_way").await;
}

/// A wrong store around a good one.
#[derive(Debug)]
struct Wrong {
    inner: MemoryStore,
    fault: Wrongness,
    stamps: Mutex<HashMap<(ProgressId, Uuid), u64>>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Wrongness {
    /// The stamp is looked up, and remembered after the update: not atomic.
    StampsApart,
    /// An update takes 1 ms, on the clock of the runtime that calls. This is not wrong.
    Slow,
    /// This method returns or changes only so many.
    Short(&'static str, usize),
}

impl Wrong {
    fn new(fault: Wrongness) -> Self {
        Self { inner: MemoryStore::new(), fault, stamps: Mutex::default() }
    }

    fn limit(&self, method: &str) -> usize {
        match self.fault {
            Wrongness::Short(short, limit) if short == method => limit,
            _ => usize::MAX,
        }
    }

    fn limit_u32(&self, method: &str, limit: u32) -> u32 {
        limit.min(u32::try_from(self.limit(method)).unwrap_or(u32::MAX))
    }

    fn stamps(&self) -> MutexGuard<'_, HashMap<(ProgressId, Uuid), u64>> {
        self.stamps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ProgressStore for Wrong {
    async fn create(&self, job: &NewProgress) -> Result<Progress, ProgressError> {
        self.inner.create(job).await
    }

    async fn get(&self, id: ProgressId) -> Result<Option<Progress>, ProgressError> {
        self.inner.get(id).await
    }

    async fn update(
        &self,
        id: ProgressId,
        update: &ProgressUpdate,
    ) -> Result<Progress, ProgressError> {
        match (self.fault, update.stamp()) {
            (Wrongness::StampsApart, Some(Stamp { writer, seq })) => {
                if self.stamps().get(&(id, writer)).is_some_and(|last| *last >= seq) {
                    return Ok(self.get(id).await?.expect("a record"));
                }
                interrupt();
                let updated = self.inner.update(id, &update.clone().without_stamp()).await?;
                self.stamps().insert((id, writer), seq);
                Ok(updated)
            }
            (Wrongness::Slow, _) => {
                tokio::time::sleep(Duration::from_millis(1)).await;
                self.inner.update(id, update).await
            }
            _ => self.inner.update(id, update).await,
        }
    }

    async fn list(&self, query: &ProgressQuery) -> Result<ProgressPage, ProgressError> {
        let limit = self.limit_u32("list", query.limit());
        self.inner.list(&query.clone().with_limit(limit)).await
    }

    async fn entries(
        &self,
        id: ProgressId,
        after: u64,
        limit: u32,
    ) -> Result<EntryPage, ProgressError> {
        self.inner.entries(id, after, self.limit_u32("entries", limit)).await
    }

    async fn delete(&self, id: ProgressId) -> Result<(), ProgressError> {
        self.inner.delete(id).await
    }

    async fn heartbeats(&self) -> Result<Vec<Heartbeat>, ProgressError> {
        let mut heartbeats = self.inner.heartbeats().await?;
        heartbeats.truncate(self.limit("heartbeats"));
        Ok(heartbeats)
    }

    async fn delete_finished(
        &self,
        older_than: Duration,
        limit: u32,
    ) -> Result<u64, ProgressError> {
        let limit = self.limit_u32("delete_finished", limit);
        self.inner.delete_finished(older_than, limit).await
    }

    async fn unannounced(&self, limit: u32) -> Result<Vec<Progress>, ProgressError> {
        self.inner.unannounced(self.limit_u32("unannounced", limit)).await
    }

    async fn delete_owned(&self, owner: &str, limit: u32) -> Result<u64, ProgressError> {
        let limit = self.limit_u32("delete_owned", limit);
        self.inner.delete_owned(owner, limit).await
    }

    async fn get_many(&self, ids: &[ProgressId]) -> Result<Vec<Option<Progress>>, ProgressError> {
        let mut found = self.inner.get_many(ids).await?;
        found.iter_mut().skip(self.limit("get_many")).for_each(|found| *found = None);
        Ok(found)
    }

    async fn update_many(
        &self,
        updates: &[(ProgressId, ProgressUpdate)],
    ) -> Vec<Result<Progress, ProgressError>> {
        let limit = self.limit("update_many");
        let mut outcomes = Vec::new();
        for (number, (id, update)) in updates.iter().enumerate() {
            outcomes.push(if number < limit {
                self.update(*id, update).await
            } else {
                Err(ProgressError::NotFound(*id))
            });
        }
        outcomes
    }
}

#[tokio::test]
async fn a_store_that_checks_stamps_apart_is_detected() {
    let rule = "a_stamp_sent_by_several_at_once_counts_once";
    assert_detected(Wrong::new(Wrongness::StampsApart), rule, "update").await;
}

#[tokio::test]
async fn a_store_that_serves_only_the_first_few_is_detected() {
    for (method, rule) in [
        ("list", "pages_hold_every_record_once_and_only_the_owners"),
        ("entries", "the_log_keeps_its_newest_entries_and_counts_the_rest"),
        ("heartbeats", "heartbeats_are_those_of_running_jobs"),
        ("delete_finished", "one_call_deletes_as_many_as_its_limit"),
        ("unannounced", "the_end_is_announced_once_at_a_time_until_it_is_noted"),
        ("delete_owned", "of_an_owner_all_finished_records_are_deleted_and_no_others"),
        ("get_many", "several_at_once_are_as_one_by_one"),
        ("update_many", "several_at_once_are_as_one_by_one"),
    ] {
        for limit in [1, 2, 50, 100] {
            // A page of a list never holds more than 100 records.
            if (method, limit) != ("list", 100) {
                assert_detected(Wrong::new(Wrongness::Short(method, limit)), rule, method).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_keeps_a_change_to_itself_is_detected() {
    let rule = "hints_tell_of_every_change";
    let (sender, changes) = Changes::channel();
    let store = FaultyStore::new(Arc::new(MemoryStore::new())).with_changes(changes);
    assert_detected(store, rule, "changes").await;
    drop(sender);
    let methods = ["create", "update", "update_many", "delete", "delete_finished"];
    for (hints, method) in methods.into_iter().enumerate() {
        let (sender, changes) = Changes::channel();
        sender.set_live(true);
        let store = FaultyStore::new(Arc::new(MemoryStore::new())).with_changes(changes);
        tokio::spawn(async move {
            for _ in 0..hints {
                sender.wanted().await;
                sender.send_any();
            }
            // Stays live, and silent.
            sender.closed().await;
        });
        assert_detected(store, rule, method).await;
    }
}

#[tokio::test(start_paused = true)]
async fn paused_time_stays_the_callers_own() {
    let before = tokio::time::Instant::now();
    let slept = race(THREADS, |_| async {
        let start = Instant::now();
        tokio::time::sleep(Duration::from_millis(20)).await;
        start.elapsed()
    });
    let slept = slept.await;
    assert_eq!(slept.len(), THREADS);
    assert!(slept.iter().all(|slept| *slept >= Duration::from_millis(20)), "{slept:?}");
    assert_eq!(before.elapsed(), Duration::ZERO);
    conformance(Arc::new(MemoryStore::new()), 10).await;
    conformance(Arc::new(Wrong::new(Wrongness::Slow)), 1).await;
}

#[tokio::test]
async fn a_race_ends_although_a_thread_panics() {
    let run = race(3, async |thread| assert_ne!(thread, 1, "update: of thread {thread}"));
    let panic = tokio::spawn(run).await.expect_err("a panic").into_panic();
    assert!(message(&*panic).contains("update: of thread 1"));
}
