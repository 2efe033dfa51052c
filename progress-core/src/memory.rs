use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    Delta, Entry, EntryPage, NewProgress, Progress, ProgressError, ProgressId, ProgressPage,
    ProgressQuery, ProgressStore, ProgressUpdate, WORKER_LOST,
};

/// A store in the process's memory: for tests, and for programs that need not remember.
///
/// Records are gone when the process is, and no other process sees them. Its clock is the monotonic one, started at the
/// system's time: it never jumps, and under tokio's paused time it stands still with everything else.
#[derive(Debug)]
pub struct MemoryStore {
    records: Mutex<HashMap<ProgressId, Record>>,
    log_limit: usize,
    started_at: DateTime<Utc>,
    started: Instant,
}

#[derive(Debug)]
struct Record {
    progress: Progress,
    /// The highest number applied, of each writer.
    writers: HashMap<Uuid, u64>,
    log: VecDeque<Entry>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// An empty store that keeps the newest 1,000 entries of each log.
    #[must_use]
    pub fn new() -> Self {
        Self {
            records: Mutex::default(),
            log_limit: crate::DEFAULT_LOG_LIMIT as usize,
            started_at: Utc::now(),
            started: Instant::now(),
        }
    }

    /// Keeps this many of the newest entries of each log instead.
    #[must_use]
    pub fn with_log_limit(mut self, entries: u32) -> Self {
        self.log_limit = entries as usize;
        self
    }

    fn now(&self) -> DateTime<Utc> {
        crate::limits::time(self.started_at + self.started.elapsed())
    }

    fn records(&self) -> MutexGuard<'_, HashMap<ProgressId, Record>> {
        // Every change below is complete before anything can panic, so a poisoned map is still a sound one.
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    fn snapshot(&self, now: DateTime<Utc>) -> Progress {
        Progress { observed_at: now, ..self.progress.clone() }
    }

    fn update(
        &mut self,
        update: &ProgressUpdate,
        now: DateTime<Utc>,
        log_limit: usize,
    ) -> Result<(), ProgressError> {
        if let Some(stamp) = update.stamp()
            && self.writers.get(&stamp.writer).is_some_and(|applied| *applied >= stamp.seq)
        {
            return Ok(());
        }
        self.progress.apply(update, now)?;
        if let Some(stamp) = update.stamp() {
            self.writers.insert(stamp.writer, stamp.seq);
        }
        self.append(update.delta(), now, log_limit);
        Ok(())
    }

    fn append(&mut self, delta: &Delta, now: DateTime<Utc>, limit: usize) {
        let first = self.progress.last_entry + 1 - delta.entries().len() as u64;
        let numbered = (first..).zip(delta.entries()).map(|(seq, entry)| Entry {
            seq,
            at: now,
            level: entry.level(),
            item: entry.item().map(str::to_owned),
            message: entry.message().to_owned(),
        });
        self.log.extend(numbered);
        let surplus = self.log.len().saturating_sub(limit);
        self.log.drain(..surplus);
    }
}

#[async_trait]
impl ProgressStore for MemoryStore {
    async fn create(&self, job: &NewProgress) -> Result<Progress, ProgressError> {
        let progress = Progress::new(job, self.now())?;
        let mut records = self.records();
        if records.contains_key(&progress.id) {
            return Err(ProgressError::AlreadyExists(progress.id));
        }
        let record =
            Record { progress: progress.clone(), writers: HashMap::new(), log: VecDeque::new() };
        records.insert(progress.id, record);
        Ok(progress)
    }

    async fn get(&self, id: ProgressId) -> Result<Option<Progress>, ProgressError> {
        let now = self.now();
        Ok(self.records().get(&id).map(|record| record.snapshot(now)))
    }

    async fn update(
        &self,
        id: ProgressId,
        update: &ProgressUpdate,
    ) -> Result<Progress, ProgressError> {
        let now = self.now();
        let mut records = self.records();
        let record = records.get_mut(&id).ok_or(ProgressError::NotFound(id))?;
        record.update(update, now, self.log_limit)?;
        Ok(record.snapshot(now))
    }

    async fn list(&self, query: &ProgressQuery) -> Result<ProgressPage, ProgressError> {
        let now = self.now();
        let mut items: Vec<_> = self
            .records()
            .values()
            .filter(|record| query.matches(&record.progress))
            .map(|record| record.snapshot(now))
            .collect();
        items
            .sort_unstable_by_key(|progress| std::cmp::Reverse((progress.created_at, progress.id)));
        items.truncate(query.limit() as usize + 1);
        Ok(ProgressPage::from_one_more(items, query.limit()))
    }

    async fn entries(
        &self,
        id: ProgressId,
        after: u64,
        limit: u32,
    ) -> Result<EntryPage, ProgressError> {
        let records = self.records();
        let record = records.get(&id).ok_or(ProgressError::NotFound(id))?;
        let entries: Vec<_> = record
            .log
            .iter()
            .filter(|entry| entry.seq > after)
            .take(limit as usize)
            .cloned()
            .collect();
        let next_after = entries.last().map_or(after, |entry| entry.seq);
        Ok(EntryPage {
            entries,
            next_after,
            dropped: record.progress.last_entry - record.log.len() as u64,
        })
    }

    async fn delete(&self, id: ProgressId) -> Result<(), ProgressError> {
        let mut records = self.records();
        let status = records.get(&id).ok_or(ProgressError::NotFound(id))?.progress.status;
        if status.is_active() {
            return Err(ProgressError::Refused { id, status });
        }
        records.remove(&id);
        Ok(())
    }

    async fn fail_stale(&self, silent_for: Duration) -> Result<u64, ProgressError> {
        let now = self.now();
        let lost = ProgressUpdate::fail(Delta::new(), WORKER_LOST);
        let mut failed = 0;
        for record in self.records().values_mut() {
            record.progress.observed_at = now;
            if record.progress.is_stale(silent_for) {
                record.progress.apply(&lost, now)?;
                failed += 1;
            }
        }
        Ok(failed)
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
            .values()
            .filter_map(|record| Some((record.progress.finished_at?, record.progress.id)))
            .filter(|(finished_at, _)| *finished_at < deadline)
            .collect();
        old.sort_unstable();
        old.truncate(limit as usize);
        for (_, id) in &old {
            records.remove(id);
        }
        Ok(old.len() as u64)
    }
}
