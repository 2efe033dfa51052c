//! A cache in front of a store: many readers of few records cause few reads.

mod cache_entries;
mod cache_entry;
mod gatherer;
mod snapshot;
mod watch;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use self::cache_entries::CacheEntries;
use self::cache_entry::WaitOutcome;
use self::gatherer::Gatherer;
pub use self::snapshot::Snapshot;
use self::watch::Poller;
pub use self::watch::Watch;
use crate::{
    Changes, EntryPage, Heartbeat, NewProgress, Progress, ProgressError, ProgressId, ProgressPage,
    ProgressQuery, ProgressStore, ProgressUpdate,
};

/// Default maximum age of a cached record.
const DEFAULT_FRESHNESS: Duration = Duration::from_millis(250);

/// Wraps a store in a cache, so that many readers of few records cause few reads. Concurrent reads
/// of one record share one read of the inner store. A record read less than 250 ms ago is returned
/// from memory.
///
/// A returned record is at most 250 ms old, and never older than what was written through this
/// store or one of its clones. Lists and logs are not cached. Missing records are not cached
/// either, so that guessed ids do not fill the memory. The cache holds records that were read
/// recently or are [watched](Self::watch). If the store has [hints](ProgressStore::changes), a
/// watched record is read again when it has changed, and otherwise every 3 s.
///
/// Cheap to clone; clones share the cache. [`Jobs`](crate::Jobs) reads and writes through one.
///
/// ```
/// # use std::sync::Arc;
/// # use progress_core::{CachedStore, MemoryStore, NewProgress, ProgressStore, ProgressUpdate};
/// use progress_core::testing::FaultyStore;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let counting = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
/// let store = CachedStore::new(counting.clone());
/// let id = store.create(&NewProgress::new("import")).await?.id;
/// for _ in 0..1_000 {
///     store.get(id).await?;
/// }
/// assert_eq!(counting.reads(), 1);
///
/// store.update(id, &ProgressUpdate::start()).await?;
/// let started = store.get(id).await?;
/// assert!(started.is_some_and(|progress| progress.version == 2), "own writes are seen at once");
/// # Ok::<(), progress_core::ProgressError>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct CachedStore {
    cache: Arc<Cache>,
}

#[derive(Debug)]
struct Cache {
    store: Arc<dyn ProgressStore>,
    freshness: Duration,
    entries: CacheEntries,
    gatherer: Gatherer,
    poller: Poller,
}

impl CachedStore {
    /// Creates a new cache around this store.
    #[must_use]
    pub fn new(store: Arc<dyn ProgressStore>) -> Self {
        Self::with_freshness(store, DEFAULT_FRESHNESS)
    }

    /// Creates a cache with another freshness than 250 ms, which is the maximum age of a returned
    /// record; a day at most. With zero, only concurrent reads share a read of the inner store.
    #[must_use]
    pub fn with_freshness(store: Arc<dyn ProgressStore>, freshness: Duration) -> Self {
        // Upper bound; keeps `Instant` arithmetic from overflowing.
        let freshness = freshness.min(Duration::from_secs(86_400));
        Self { cache: Arc::new(Cache::new(store, freshness)) }
    }

    /// Reads a record as [`get`](ProgressStore::get) does, without copying it. When many records
    /// are read at about the same time, a read may wait 25 ms, and shares a call of the inner store
    /// with up to 99 others.
    ///
    /// # Errors
    ///
    /// As [`get`](ProgressStore::get): only those of the inner store.
    pub async fn read(&self, id: ProgressId) -> Result<Option<Arc<Snapshot>>, ProgressError> {
        self.cache.read(id).await
    }

    /// Returns a record that is fresh, without reading the inner store. `None` says nothing about
    /// the record: [`read`](Self::read) it then.
    #[must_use]
    pub fn fresh(&self, id: ProgressId) -> Option<Arc<Snapshot>> {
        self.cache.entries.fresh(id, self.cache.freshness)
    }

    /// Watches a record for changes: see [`Watch`].
    #[must_use]
    pub fn watch(&self, id: ProgressId) -> Watch {
        Watch::new(Arc::clone(&self.cache), id)
    }

    /// Watches a record for changes since it was read, also for those that have happened before
    /// this call.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use progress_core::{CachedStore, MemoryStore, NewProgress, ProgressStore, ProgressUpdate};
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
    /// # .block_on(async {
    /// let store = CachedStore::new(Arc::new(MemoryStore::new()));
    /// let created = store.create(&NewProgress::new("import")).await?;
    /// store.update(created.id, &ProgressUpdate::start()).await?;
    /// let mut watch = store.watch_since(&created);
    /// watch.changed().await; // returns at once
    /// assert_eq!(watch.read().await?.map(|progress| progress.version), Some(2));
    /// # Ok::<(), progress_core::ProgressError>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn watch_since(&self, record: &Progress) -> Watch {
        Watch::since(Arc::clone(&self.cache), record)
    }
}

impl Cache {
    fn new(store: Arc<dyn ProgressStore>, freshness: Duration) -> Self {
        Self {
            store,
            freshness,
            entries: CacheEntries::default(),
            gatherer: Gatherer::default(),
            poller: Poller::default(),
        }
    }

    /// Reads a record, together with other records that are being read.
    async fn read(&self, id: ProgressId) -> Result<Option<Arc<Snapshot>>, ProgressError> {
        self.read_by(id, || self.gatherer.read(&*self.store, id)).await
    }

    /// Returns a fresh record, or reads it by this call.
    async fn read_by<F>(
        &self,
        id: ProgressId,
        call: impl Fn() -> F,
    ) -> Result<Option<Arc<Snapshot>>, ProgressError>
    where
        F: Future<Output = Result<Option<Progress>, ProgressError>>,
    {
        let entry = self.entries.get_or_insert(id, self.freshness);
        let request = entry.read_request();
        if let Some(fresh) = entry.fresh(request, self.freshness) {
            return Ok(Some(fresh));
        }
        // One caller reads and the others wait. If its future is dropped, another caller reads.
        let _guard = loop {
            let guard = entry.lock_or_wait().await;
            match entry.wait_outcome(request, self.freshness) {
                WaitOutcome::Read(found) => return Ok(found),
                WaitOutcome::Failed => return Err(failed_read()),
                WaitOutcome::NotRead => {}
            }
            if let Some(guard) = guard {
                break guard;
            }
        };
        loop {
            let token = entry.begin_read();
            match call().await {
                Ok(found) => {
                    // Otherwise a concurrent write may have made this read stale, and the loop
                    // repeats it.
                    if let Some(found) =
                        entry.record_read(found.map(Snapshot::new).map(Arc::new), token)
                    {
                        if found.is_none() {
                            self.entries.remove(id, &entry);
                        }
                        return Ok(found);
                    }
                }
                Err(error) => {
                    entry.record_failure(token);
                    return Err(error);
                }
            }
        }
    }

    /// Updates the cached record after a write, if the record has an entry.
    fn record_write(
        &self,
        id: ProgressId,
        began: Instant,
        outcome: &Result<Progress, ProgressError>,
    ) {
        let Some(entry) = self.entries.get(id) else { return };
        match outcome {
            Ok(progress) => entry.record_write(progress, began),
            // The record is unchanged.
            Err(ProgressError::Invalid(_)) => {}
            // Another process wrote first, or it is unknown whether the write happened.
            Err(_) => entry.invalidate(),
        }
    }
}

/// Invalidates records on drop, unless [`disarm`](Self::disarm) is called: a write whose future is
/// dropped may have happened.
struct InvalidateOnDrop<'a> {
    cache: &'a Cache,
    ids: &'a [ProgressId],
}

impl Drop for InvalidateOnDrop<'_> {
    fn drop(&mut self) {
        for id in self.ids {
            if let Some(entry) = self.cache.entries.get(*id) {
                entry.invalidate();
            }
        }
    }
}

impl InvalidateOnDrop<'_> {
    fn disarm(self) {
        std::mem::forget(self);
    }
}

/// Invalidates all records on drop. Leaked by `mem::forget` if no record has changed.
struct InvalidateAllOnDrop<'a> {
    cache: &'a Cache,
}

impl Drop for InvalidateAllOnDrop<'_> {
    fn drop(&mut self) {
        self.cache.entries.invalidate_all();
    }
}

#[deny(clippy::missing_trait_methods, reason = "a default would bypass the inner store's method")]
#[async_trait]
impl ProgressStore for CachedStore {
    async fn create(&self, job: &NewProgress) -> Result<Progress, ProgressError> {
        let began = Instant::now();
        let ids = [job.id()];
        let on_drop = InvalidateOnDrop { cache: &self.cache, ids: &ids };
        let outcome = self.cache.store.create(job).await;
        on_drop.disarm();
        // A concurrent read may have found no record.
        self.cache.record_write(job.id(), began, &outcome);
        outcome
    }

    async fn get(&self, id: ProgressId) -> Result<Option<Progress>, ProgressError> {
        // Not gathered: a caller that reads one record after the other would wait each time.
        let found = self.cache.read_by(id, || self.cache.store.get(id)).await?;
        Ok(found.map(Snapshot::into_progress))
    }

    async fn update(
        &self,
        id: ProgressId,
        update: &ProgressUpdate,
    ) -> Result<Progress, ProgressError> {
        let began = Instant::now();
        let on_drop = InvalidateOnDrop { cache: &self.cache, ids: &[id] };
        let outcome = self.cache.store.update(id, update).await;
        on_drop.disarm();
        self.cache.record_write(id, began, &outcome);
        outcome
    }

    async fn list(&self, query: &ProgressQuery) -> Result<ProgressPage, ProgressError> {
        self.cache.store.list(query).await
    }

    async fn entries(
        &self,
        id: ProgressId,
        after: u64,
        limit: u32,
    ) -> Result<EntryPage, ProgressError> {
        self.cache.store.entries(id, after, limit).await
    }

    async fn delete(&self, id: ProgressId) -> Result<(), ProgressError> {
        // Invalidates after any outcome, because another process may have deleted the record first.
        let _on_drop = InvalidateOnDrop { cache: &self.cache, ids: &[id] };
        self.cache.store.delete(id).await
    }

    async fn heartbeats(&self) -> Result<Vec<Heartbeat>, ProgressError> {
        self.cache.store.heartbeats().await
    }

    async fn delete_finished(
        &self,
        older_than: Duration,
        limit: u32,
    ) -> Result<u64, ProgressError> {
        // It is unknown which records are deleted, and a call whose future is dropped may delete
        // some.
        let on_drop = InvalidateAllOnDrop { cache: &self.cache };
        let deleted = self.cache.store.delete_finished(older_than, limit).await;
        if matches!(deleted, Ok(0)) {
            std::mem::forget(on_drop);
        }
        deleted
    }

    async fn unannounced(&self, limit: u32) -> Result<Vec<Progress>, ProgressError> {
        self.cache.store.unannounced(limit).await
    }

    async fn delete_owned(&self, owner: &str, limit: u32) -> Result<u64, ProgressError> {
        // As in `delete_finished`.
        let on_drop = InvalidateAllOnDrop { cache: &self.cache };
        let deleted = self.cache.store.delete_owned(owner, limit).await;
        if matches!(deleted, Ok(0)) {
            std::mem::forget(on_drop);
        }
        deleted
    }

    async fn ping(&self) -> Result<(), ProgressError> {
        // Not from memory: the question is whether the store answers now.
        self.cache.store.ping().await
    }

    async fn get_many(&self, ids: &[ProgressId]) -> Result<Vec<Option<Progress>>, ProgressError> {
        let found = self.cache.read_many(ids).await?;
        Ok(found.into_iter().map(|found| found.map(Snapshot::into_progress)).collect())
    }

    async fn update_many(
        &self,
        updates: &[(ProgressId, ProgressUpdate)],
    ) -> Vec<Result<Progress, ProgressError>> {
        let began = Instant::now();
        let ids: Vec<_> = updates.iter().map(|(id, _)| *id).collect();
        let on_drop = InvalidateOnDrop { cache: &self.cache, ids: &ids };
        let outcomes = self.cache.store.update_many(updates).await;
        on_drop.disarm();
        for (id, outcome) in ids.iter().zip(&outcomes) {
            self.cache.record_write(*id, began, outcome);
        }
        outcomes
    }

    fn changes(&self) -> Option<Changes> {
        self.cache.store.changes()
    }
}

impl Cache {
    /// Reads all records that are not fresh in one call. Concurrent calls read each record once.
    async fn read_many(
        &self,
        ids: &[ProgressId],
    ) -> Result<Vec<Option<Arc<Snapshot>>>, ProgressError> {
        let mut found = HashMap::with_capacity(ids.len());
        let mut wanted = Vec::new();
        for id in ids {
            match self
                .entries
                .get(*id)
                .and_then(|entry| entry.fresh(entry.read_request(), self.freshness))
            {
                Some(fresh) => drop(found.insert(*id, Some(fresh))),
                None => wanted.push(*id),
            }
        }
        // Locks in sorted order, so that two calls cannot deadlock.
        wanted.sort_unstable();
        wanted.dedup();
        let entries: Vec<_> =
            wanted.iter().map(|id| self.entries.get_or_insert(*id, self.freshness)).collect();
        let requests: Vec<_> = entries.iter().map(|entry| entry.read_request()).collect();
        let mut guards = Vec::with_capacity(entries.len());
        for entry in &entries {
            guards.push(entry.lock().await);
        }
        let mut missing = Vec::new();
        for ((id, entry), request) in wanted.into_iter().zip(&entries).zip(requests) {
            match entry.wait_outcome(request, self.freshness) {
                WaitOutcome::Read(read) => drop(found.insert(id, read)),
                WaitOutcome::Failed => return Err(failed_read()),
                WaitOutcome::NotRead => missing.push(id),
            }
        }
        if !missing.is_empty() {
            let read = self.refresh(&missing).await?;
            found.extend(missing.into_iter().zip(read));
        }
        Ok(ids.iter().map(|id| found.get(id).cloned().flatten()).collect())
    }

    /// Reads these records, fresh or not, and caches what was found.
    async fn refresh(
        &self,
        ids: &[ProgressId],
    ) -> Result<Vec<Option<Arc<Snapshot>>>, ProgressError> {
        let entries: Vec<_> =
            ids.iter().map(|id| self.entries.get_or_insert(*id, self.freshness)).collect();
        let tokens: Vec<_> = entries.iter().map(|entry| entry.begin_read()).collect();
        let read = match self.store.get_many(ids).await {
            Ok(read) => read,
            Err(error) => {
                entries.iter().zip(tokens).for_each(|(entry, token)| entry.record_failure(token));
                return Err(error);
            }
        };
        let mut found = Vec::with_capacity(ids.len());
        for (((id, entry), token), read) in ids.iter().zip(&entries).zip(tokens).zip(read) {
            let read = read.map(Snapshot::new).map(Arc::new);
            // After a concurrent write, this result is still right for the caller but is not
            // cached.
            let newest = entry.record_read(read.clone(), token).unwrap_or(read);
            if newest.is_none() {
                self.entries.remove(*id, entry);
            }
            found.push(newest);
        }
        Ok(found)
    }
}

fn failed_read() -> ProgressError {
    ProgressError::unavailable("a concurrent read of the same record failed")
}

#[cfg(test)]
mod tests;
