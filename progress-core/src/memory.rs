use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

use crate::{
    Cursor, Entry, EntryPage, Heartbeat, NewProgress, Progress, ProgressError, ProgressId,
    ProgressPage, ProgressQuery, ProgressStore, ProgressUpdate, Record,
};

/// A store in the memory of the process. Use it in tests, or if records need not survive a restart.
///
/// Records are lost when the process ends, and no other process sees them. Lists, sweeps and
/// deletions of old records look at each record. The store's clock is the monotonic clock, started
/// at the system time. It never jumps, and it stands still under tokio's paused time.
#[derive(Debug)]
pub struct MemoryStore {
    records: Mutex<HashMap<ProgressId, Stored>>,
    log_limit: usize,
    started_at: DateTime<Utc>,
    started: Instant,
}

/// A record and its log.
#[derive(Debug)]
struct Stored {
    record: Record,
    log: VecDeque<Entry>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// Creates an empty store that keeps the newest 1,000 entries of each log.
    #[must_use]
    pub fn new() -> Self {
        Self {
            records: Mutex::default(),
            log_limit: crate::DEFAULT_LOG_LIMIT as usize,
            started_at: Utc::now(),
            started: Instant::now(),
        }
    }

    /// Sets how many of the newest entries of each log are kept.
    #[must_use]
    pub fn with_log_limit(mut self, entries: u32) -> Self {
        self.log_limit = entries as usize;
        self
    }

    fn now(&self) -> DateTime<Utc> {
        crate::limits::time(self.started_at + self.started.elapsed())
    }

    fn records(&self) -> MutexGuard<'_, HashMap<ProgressId, Stored>> {
        // Every change below is complete before anything can panic, so a poisoned map is still
        // consistent.
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ProgressStore for MemoryStore {
    async fn create(&self, job: &NewProgress) -> Result<Progress, ProgressError> {
        let record = Record::new(job, self.now())?;
        let progress = record.progress.clone();
        let mut records = self.records();
        if records.contains_key(&progress.id) {
            return Err(ProgressError::AlreadyExists(progress.id));
        }
        records.insert(progress.id, Stored { record, log: VecDeque::new() });
        Ok(progress)
    }

    async fn get(&self, id: ProgressId) -> Result<Option<Progress>, ProgressError> {
        let now = self.now();
        Ok(self.records().get(&id).map(|stored| stored.record.snapshot(now)))
    }

    async fn update(
        &self,
        id: ProgressId,
        update: &ProgressUpdate,
    ) -> Result<Progress, ProgressError> {
        let mut records = self.records();
        let Stored { record, log } = records.get_mut(&id).ok_or(ProgressError::NotFound(id))?;
        log.extend(record.update(update, self.now())?.entries);
        log.drain(..log.len().saturating_sub(self.log_limit));
        Ok(record.progress.clone())
    }

    async fn list(&self, query: &ProgressQuery) -> Result<ProgressPage, ProgressError> {
        let now = self.now();
        let records = self.records();
        let mut found: Vec<_> = records
            .values()
            .filter(|stored| query.matches(&stored.record.progress))
            .map(|stored| (Cursor::of(&stored.record.progress), stored))
            .collect();
        found.sort_unstable_by_key(|(place, _)| std::cmp::Reverse(*place));
        // Only the records of the page are copied.
        let page = found.iter().take(query.limit() as usize + 1);
        let items = page.map(|(_, stored)| stored.record.snapshot(now)).collect();
        Ok(ProgressPage::from_one_more(items, query.limit()))
    }

    async fn entries(
        &self,
        id: ProgressId,
        after: u64,
        limit: u32,
    ) -> Result<EntryPage, ProgressError> {
        let records = self.records();
        let Stored { record, log } = records.get(&id).ok_or(ProgressError::NotFound(id))?;
        Ok(EntryPage::from_log(log.iter(), record.progress.last_entry, after, limit))
    }

    async fn delete(&self, id: ProgressId) -> Result<(), ProgressError> {
        let mut records = self.records();
        let stored = records.get(&id).ok_or(ProgressError::NotFound(id))?;
        let status = stored.record.progress.status;
        if status.is_active() {
            return Err(ProgressError::Refused { id, status });
        }
        records.remove(&id);
        Ok(())
    }

    async fn heartbeats(&self) -> Result<Vec<Heartbeat>, ProgressError> {
        let records = self.records();
        Ok(records.values().filter_map(|stored| Heartbeat::of(&stored.record.progress)).collect())
    }

    async fn delete_finished(
        &self,
        older_than: Duration,
        limit: u32,
    ) -> Result<u64, ProgressError> {
        let age = TimeDelta::from_std(older_than).unwrap_or(TimeDelta::MAX);
        let Some(deadline) = self.now().checked_sub_signed(age) else {
            return Ok(0);
        };
        let mut records = self.records();
        let mut old: Vec<_> = records
            .iter()
            .filter_map(|(id, stored)| Some((stored.record.progress.retention_begins_at()?, *id)))
            .filter(|(begins_at, _)| *begins_at < deadline)
            .collect();
        old.sort_unstable();
        old.truncate(limit as usize);
        for (_, id) in &old {
            records.remove(id);
        }
        Ok(old.len() as u64)
    }

    async fn unannounced(&self, limit: u32) -> Result<Vec<Progress>, ProgressError> {
        let now = self.now();
        let mut due: Vec<_> = self
            .records()
            .values()
            .filter(|stored| stored.record.progress.finished_at.is_some())
            .filter(|stored| stored.record.progress.announce_at.is_some_and(|at| at < now))
            .map(|stored| stored.record.snapshot(now))
            .collect();
        due.sort_unstable_by_key(|progress| (progress.announce_at, progress.id));
        due.truncate(limit as usize);
        Ok(due)
    }

    async fn delete_owned(&self, owner: &str, limit: u32) -> Result<u64, ProgressError> {
        let mut records = self.records();
        let owned: Vec<_> = records
            .values()
            .map(|stored| &stored.record.progress)
            .filter(|progress| progress.owner.as_deref() == Some(owner))
            .filter(|progress| progress.status.is_finished())
            .map(|progress| progress.id)
            .take(limit as usize)
            .collect();
        for id in &owned {
            records.remove(id);
        }
        Ok(owned.len() as u64)
    }
}
