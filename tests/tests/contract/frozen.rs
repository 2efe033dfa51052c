use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use progress_core::{
    Entry, EntryPage, NewProgress, Progress, ProgressError, ProgressId, ProgressPage,
    ProgressQuery, ProgressStore, ProgressUpdate,
};

/// A store whose clock stands still until it is told to go on: two of them that were told the same hold the same, to the
/// millisecond, and so do the answers made of them.
#[derive(Debug)]
pub(crate) struct FrozenStore(Mutex<Content>);

#[derive(Debug)]
struct Content {
    now: DateTime<Utc>,
    records: BTreeMap<ProgressId, (Progress, Vec<Entry>)>,
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
        let (progress, _) = self.records.get(&id)?;
        let mut progress = progress.clone();
        progress.observed_at = self.now;
        Some(progress)
    }
}

#[async_trait]
impl ProgressStore for FrozenStore {
    async fn create(&self, job: &NewProgress) -> Result<Progress, ProgressError> {
        let mut content = self.content();
        let progress = Progress::new(job, content.now)?;
        let known = content.records.insert(progress.id, (progress.clone(), Vec::new()));
        assert!(known.is_none(), "the table makes every record once");
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
        let (progress, log) = content.records.get_mut(&id).ok_or(ProgressError::NotFound(id))?;
        progress.apply(update, now)?;
        for entry in update.delta().entries() {
            log.push(Entry {
                seq: log.len() as u64 + 1,
                at: now,
                level: entry.level(),
                item: entry.item().map(str::to_owned),
                message: entry.message().to_owned(),
            });
        }
        content.snapshot(id).ok_or(ProgressError::NotFound(id))
    }

    async fn list(&self, query: &ProgressQuery) -> Result<ProgressPage, ProgressError> {
        let content = self.content();
        let snapshots = content.records.keys().filter_map(|id| content.snapshot(*id));
        let mut items: Vec<_> = snapshots.filter(|progress| query.matches(progress)).collect();
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
        let (_, log) = content.records.get(&id).ok_or(ProgressError::NotFound(id))?;
        let entries: Vec<_> =
            log.iter().filter(|entry| entry.seq > after).take(limit as usize).cloned().collect();
        let next_after = entries.last().map_or(after, |entry| entry.seq);
        Ok(EntryPage { entries, next_after, dropped: 0 })
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

    async fn fail_stale(&self, _: Duration) -> Result<u64, ProgressError> {
        Ok(0)
    }

    async fn delete_finished(&self, _: Duration, _: u32) -> Result<u64, ProgressError> {
        Ok(0)
    }
}
