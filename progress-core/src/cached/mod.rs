//! A cache in front of a store: many readers of few records cause few reads.

mod slot;
mod slots;
mod watch;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use self::slot::Meanwhile;
use self::slots::Slots;
use self::watch::Driver;
pub use self::watch::Watch;
use crate::{
    EntryPage, Heartbeat, NewProgress, Progress, ProgressError, ProgressId, ProgressPage,
    ProgressQuery, ProgressStore, ProgressUpdate,
};

/// Default maximum age of a cached record.
const FRESHNESS: Duration = Duration::from_millis(250);

/// Wraps a store in a cache, so that many readers of few records cause few reads. Concurrent reads
/// of one record share one read of the inner store. A record read less than 250 ms ago is returned
/// from memory.
///
/// A returned record is at most 250 ms old, and never older than what was written through this
/// store or one of its clones. Lists and logs are not cached. Missing records are not cached
/// either, so that guessed ids do not fill the memory. The cache holds records that were read
/// recently or are [watched](Self::watch).
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
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: Arc<dyn ProgressStore>,
    freshness: Duration,
    slots: Slots,
    driver: Driver,
}

impl CachedStore {
    /// Creates a new cache around this store.
    #[must_use]
    pub fn new(store: Arc<dyn ProgressStore>) -> Self {
        Self::with_freshness(store, FRESHNESS)
    }

    /// Creates a cache with another freshness than 250 ms, which is the maximum age of a returned
    /// record; a day at most. With zero, only concurrent reads share a read of the inner store.
    #[must_use]
    pub fn with_freshness(store: Arc<dyn ProgressStore>, freshness: Duration) -> Self {
        // Upper bound; keeps `Instant` arithmetic from overflowing.
        let freshness = freshness.min(Duration::from_secs(86_400));
        Self { shared: Arc::new(Shared::new(store, freshness)) }
    }

    /// Reads a record as [`get`](ProgressStore::get) does, without copying it.
    ///
    /// # Errors
    ///
    /// As [`get`](ProgressStore::get): only those of the inner store.
    pub async fn read(&self, id: ProgressId) -> Result<Option<Arc<Progress>>, ProgressError> {
        self.shared.read(id).await
    }

    /// Watches a record for changes: see [`Watch`].
    #[must_use]
    pub fn watch(&self, id: ProgressId) -> Watch {
        Watch::new(Arc::clone(&self.shared), id)
    }
}

impl Shared {
    fn new(store: Arc<dyn ProgressStore>, freshness: Duration) -> Self {
        Self { store, freshness, slots: Slots::default(), driver: Driver::default() }
    }

    async fn read(&self, id: ProgressId) -> Result<Option<Arc<Progress>>, ProgressError> {
        let slot = self.slots.of(id, self.freshness);
        let asked = slot.ask();
        if let Some(fresh) = slot.fresh(asked, self.freshness) {
            return Ok(Some(fresh));
        }
        // One caller reads and the others wait. If its future is dropped, the next caller reads.
        let _turn = slot.reading.lock().await;
        match slot.meanwhile(asked, self.freshness) {
            Meanwhile::Read(found) => return Ok(found),
            Meanwhile::Failed => {
                return Err(failed_read());
            }
            Meanwhile::Nothing => {}
        }
        loop {
            let began = slot.begin();
            let outcome = self.store.get(id).await;
            match outcome {
                Ok(found) => {
                    // Otherwise a concurrent write may have made this read stale, and the loop
                    // repeats it.
                    if let Some(found) = slot.learn_read(found.map(Arc::new), began) {
                        if found.is_none() {
                            self.slots.remove(id, &slot);
                        }
                        return Ok(found);
                    }
                }
                Err(error) => {
                    slot.learn_failure(began);
                    return Err(error);
                }
            }
        }
    }

    /// Updates the cached record after a write, if the record has an entry.
    fn learn(&self, id: ProgressId, began: Instant, outcome: &Result<Progress, ProgressError>) {
        let Some(slot) = self.slots.find(id) else { return };
        match outcome {
            Ok(progress) => slot.learn_write(progress, began),
            // The record is unchanged.
            Err(ProgressError::Invalid(_)) => {}
            // Another process wrote first, or it is unknown whether the write happened.
            Err(_) => slot.forget(),
        }
    }
}

/// Invalidates records on drop, unless [`settle`](Self::settle) is called: a write whose future is
/// dropped may have happened.
struct Unknown<'a> {
    shared: &'a Shared,
    ids: &'a [ProgressId],
}

impl Drop for Unknown<'_> {
    fn drop(&mut self) {
        for id in self.ids {
            if let Some(slot) = self.shared.slots.find(*id) {
                slot.forget();
            }
        }
    }
}

impl Unknown<'_> {
    fn settle(self) {
        std::mem::forget(self);
    }
}

/// Invalidates all records on drop. Leaked by `mem::forget` if no record has changed.
struct UnknownAll<'a> {
    shared: &'a Shared,
}

impl Drop for UnknownAll<'_> {
    fn drop(&mut self) {
        self.shared.slots.forget_all();
    }
}

#[deny(clippy::missing_trait_methods, reason = "a default would bypass the inner store's method")]
#[async_trait]
impl ProgressStore for CachedStore {
    async fn create(&self, job: &NewProgress) -> Result<Progress, ProgressError> {
        let began = Instant::now();
        let ids = [job.id()];
        let unknown = Unknown { shared: &self.shared, ids: &ids };
        let outcome = self.shared.store.create(job).await;
        unknown.settle();
        // A concurrent read may have found no record.
        self.shared.learn(job.id(), began, &outcome);
        outcome
    }

    async fn get(&self, id: ProgressId) -> Result<Option<Progress>, ProgressError> {
        Ok(self.read(id).await?.map(Arc::unwrap_or_clone))
    }

    async fn update(
        &self,
        id: ProgressId,
        update: &ProgressUpdate,
    ) -> Result<Progress, ProgressError> {
        let began = Instant::now();
        let unknown = Unknown { shared: &self.shared, ids: &[id] };
        let outcome = self.shared.store.update(id, update).await;
        unknown.settle();
        self.shared.learn(id, began, &outcome);
        outcome
    }

    async fn list(&self, query: &ProgressQuery) -> Result<ProgressPage, ProgressError> {
        self.shared.store.list(query).await
    }

    async fn entries(
        &self,
        id: ProgressId,
        after: u64,
        limit: u32,
    ) -> Result<EntryPage, ProgressError> {
        self.shared.store.entries(id, after, limit).await
    }

    async fn delete(&self, id: ProgressId) -> Result<(), ProgressError> {
        // Invalidates after any outcome, because another process may have deleted the record first.
        let _unknown = Unknown { shared: &self.shared, ids: &[id] };
        self.shared.store.delete(id).await
    }

    async fn heartbeats(&self) -> Result<Vec<Heartbeat>, ProgressError> {
        self.shared.store.heartbeats().await
    }

    async fn delete_finished(
        &self,
        older_than: Duration,
        limit: u32,
    ) -> Result<u64, ProgressError> {
        // It is unknown which records are deleted, and a call whose future is dropped may delete
        // some.
        let all = UnknownAll { shared: &self.shared };
        let deleted = self.shared.store.delete_finished(older_than, limit).await;
        if matches!(deleted, Ok(0)) {
            std::mem::forget(all);
        }
        deleted
    }

    async fn get_many(&self, ids: &[ProgressId]) -> Result<Vec<Option<Progress>>, ProgressError> {
        let found = self.shared.read_many(ids).await?;
        Ok(found.into_iter().map(|found| found.map(Arc::unwrap_or_clone)).collect())
    }

    async fn update_many(
        &self,
        updates: &[(ProgressId, ProgressUpdate)],
    ) -> Vec<Result<Progress, ProgressError>> {
        let began = Instant::now();
        let ids: Vec<_> = updates.iter().map(|(id, _)| *id).collect();
        let unknown = Unknown { shared: &self.shared, ids: &ids };
        let outcomes = self.shared.store.update_many(updates).await;
        unknown.settle();
        for (id, outcome) in ids.iter().zip(&outcomes) {
            self.shared.learn(*id, began, outcome);
        }
        outcomes
    }
}

impl Shared {
    /// Reads all records that are not fresh in one call. Concurrent calls read each record once.
    async fn read_many(
        &self,
        ids: &[ProgressId],
    ) -> Result<Vec<Option<Arc<Progress>>>, ProgressError> {
        let mut found = HashMap::with_capacity(ids.len());
        let mut wanted = Vec::new();
        for id in ids {
            match self.slots.find(*id).and_then(|slot| slot.fresh(slot.ask(), self.freshness)) {
                Some(fresh) => drop(found.insert(*id, Some(fresh))),
                None => wanted.push(*id),
            }
        }
        // Locks in sorted order, so that two calls cannot deadlock.
        wanted.sort_unstable();
        wanted.dedup();
        let slots: Vec<_> = wanted.iter().map(|id| self.slots.of(*id, self.freshness)).collect();
        let asked: Vec<_> = slots.iter().map(|slot| slot.ask()).collect();
        let mut turns = Vec::with_capacity(slots.len());
        for slot in &slots {
            turns.push(slot.reading.lock().await);
        }
        let mut missing = Vec::new();
        for ((id, slot), asked) in wanted.into_iter().zip(&slots).zip(asked) {
            match slot.meanwhile(asked, self.freshness) {
                Meanwhile::Read(read) => drop(found.insert(id, read)),
                Meanwhile::Failed => return Err(failed_read()),
                Meanwhile::Nothing => missing.push(id),
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
    ) -> Result<Vec<Option<Arc<Progress>>>, ProgressError> {
        let slots: Vec<_> = ids.iter().map(|id| self.slots.of(*id, self.freshness)).collect();
        let began: Vec<_> = slots.iter().map(|slot| slot.begin()).collect();
        let read = match self.store.get_many(ids).await {
            Ok(read) => read,
            Err(error) => {
                slots.iter().zip(began).for_each(|(slot, began)| slot.learn_failure(began));
                return Err(error);
            }
        };
        let mut found = Vec::with_capacity(ids.len());
        for (((id, slot), began), read) in ids.iter().zip(&slots).zip(began).zip(read) {
            let read = read.map(Arc::new);
            // After a concurrent write, this result is still right for the caller but is not
            // cached.
            let newest = slot.learn_read(read.clone(), began).unwrap_or(read);
            if newest.is_none() {
                self.slots.remove(*id, slot);
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
