use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use progress_core::{
    Entry, EntryPage, Heartbeat, NewProgress, Progress, ProgressError, ProgressId, ProgressPage,
    ProgressQuery, ProgressStore, ProgressUpdate, Record,
};

/// A store whose clock moves only when it is told to. Two of them with the same history are equal
/// to the millisecond, and so are the responses made from them.
#[derive(Debug)]
pub(crate) struct FrozenStore(Mutex<Content>);

#[derive(Debug)]
struct Content {
    now: DateTime<Utc>,
    records: BTreeMap<ProgressId, (Record, Vec<Entry>)>,
}

impl FrozenStore {
    pub(crate) fn new(now: DateTime<Utc>) -> Self {
        Self(Mutex::new(Content { now, records: BTreeMap::new() }))
    }

    pub(crate) fn wait(&self, seconds: i64) {
        self.content().now += TimeDelta::seconds(seconds);
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap()
    }
}

impl Content {
    fn snapshot(&self, id: ProgressId) -> Option<Progress> {
        self.records.get(&id).map(|(record, _)| record.snapshot(self.now))
    }

    fn snapshots(&self) -> impl Iterator<Item = Progress> {
        self.records.values().map(|(record, _)| record.snapshot(self.now))
    }
}

#[async_trait]
impl ProgressStore for FrozenStore {
    async fn create(&self, job: &NewProgress) -> Result<Progress, ProgressError> {
        let mut content = self.content();
        let record = Record::new(job, content.now)?;
        let progress = record.progress.clone();
        let known = content.records.insert(progress.id, (record, Vec::new()));
        assert!(known.is_none(), "the table creates every record once");
        Ok(progress)
    }

    async fn get(&self, id: ProgressId) -> Result<Option<Progress>, ProgressError> {
        Ok(self.content().snapshot(id))
    }

    async fn update(
        &self,
        id: ProgressId,
        update: &ProgressUpdate,
    ) -> Result<Progress, ProgressError> {
        let mut content = self.content();
        let now = content.now;
        let (record, log) = content.records.get_mut(&id).ok_or(ProgressError::NotFound(id))?;
        log.extend(record.update(update, now)?.entries);
        Ok(record.progress.clone())
    }

    async fn list(&self, query: &ProgressQuery) -> Result<ProgressPage, ProgressError> {
        let content = self.content();
        let mut items: Vec<_> =
            content.snapshots().filter(|progress| query.matches(progress)).collect();
        items
            .sort_unstable_by_key(|progress| std::cmp::Reverse((progress.created_at, progress.id)));
        Ok(ProgressPage::from_one_more(items, query.limit()))
    }

    async fn entries(
        &self,
        id: ProgressId,
        after: u64,
        limit: u32,
    ) -> Result<EntryPage, ProgressError> {
        let content = self.content();
        let (record, log) = content.records.get(&id).ok_or(ProgressError::NotFound(id))?;
        Ok(EntryPage::from_log(log.iter(), record.progress.last_entry, after, limit))
    }

    async fn delete(&self, id: ProgressId) -> Result<(), ProgressError> {
        let mut content = self.content();
        let status = content.snapshot(id).ok_or(ProgressError::NotFound(id))?.status;
        if status.is_active() {
            return Err(ProgressError::Refused { id, status });
        }
        content.records.remove(&id);
        Ok(())
    }

    async fn heartbeats(&self) -> Result<Vec<Heartbeat>, ProgressError> {
        Ok(self.content().snapshots().filter_map(|progress| Heartbeat::of(&progress)).collect())
    }

    async fn delete_finished(&self, _: Duration, _: u32) -> Result<u64, ProgressError> {
        Ok(0)
    }

    async fn unannounced(&self, _: u32) -> Result<Vec<Progress>, ProgressError> {
        Ok(Vec::new())
    }

    async fn delete_owned(&self, _: &str, _: u32) -> Result<u64, ProgressError> {
        Ok(0)
    }
}
