//! Many readers, few reads.

mod registry;
mod slot;
mod slots;
mod watch;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

pub(crate) use self::registry::tell;
use self::slot::Meanwhile;
use self::slots::Slots;
use self::watch::Driver;
pub use self::watch::Watch;
use crate::{
    EntryPage, NewProgress, Progress, ProgressError, ProgressId, ProgressPage, ProgressQuery,
    ProgressStore, ProgressUpdate,
};

/// How old an answer may be, unless told otherwise.
const FRESHNESS: Duration = Duration::from_millis(250);

/// A store around a store, for many readers of few records: reads of one record at the same time are one read, and a record
/// read less than 250 ms ago is answered from memory.
///
/// What an answer may be is simple to say: the record as it was 250 ms before the question, or later; and never older than what
/// was written through this very store, through one of its clones, or by a [`Tracker`](crate::Tracker) of this process on the
/// store inside. Lists and logs are read each time. A record that is not there is looked for each time, so that guessing ids
/// fills no memory; what is remembered is what was read in the last moment, and what is [watched](Self::watch).
///
/// Cheap to clone. The routers of `progress-axum` and `progress-actix` put one around the store that they are given.
///
/// ```
/// # use std::sync::Arc;
/// # use progress_core::{CachedStore, Delta, MemoryStore, NewProgress, ProgressStore, ProgressUpdate};
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
/// assert!(store.get(id).await?.is_some_and(|progress| progress.version == 2), "own writes are seen at once");
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
    /// The store around this one: always the same, so that all who read through it read once. A store that is a
    /// `CachedStore` already stays what it is.
    #[must_use]
    pub fn new(store: Arc<dyn ProgressStore>) -> Self {
        Self::with_freshness(store, FRESHNESS)
    }

    /// The same with another freshness than 250 ms: how old an answer may be, a day at most. Zero asks the store inside each
    /// time that nobody else is asking.
    #[must_use]
    pub fn with_freshness(store: Arc<dyn ProgressStore>, freshness: Duration) -> Self {
        let known: &dyn Any = &*store;
        if let Some(cached) = known.downcast_ref::<Self>() {
            return cached.clone();
        }
        // Clocks end somewhere, and a day is for ever.
        Self { shared: registry::find_or_add(store, freshness.min(Duration::from_secs(86_400))) }
    }

    /// What [`get`](ProgressStore::get) gives, without a copy of it.
    ///
    /// # Errors
    ///
    /// As [`get`](ProgressStore::get): only those of the store itself.
    pub async fn read(&self, id: ProgressId) -> Result<Option<Arc<Progress>>, ProgressError> {
        self.shared.read(id).await
    }

    /// Follows a record: see [`Watch`].
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
        // One reads and the others wait. Should the one go away in the middle, the next takes its place.
        let _turn = slot.reading.lock().await;
        match slot.meanwhile(asked, self.freshness) {
            Meanwhile::Read(found) => return Ok(found),
            Meanwhile::Failed => {
                return Err(ProgressError::unavailable("the read that this one waited for failed"));
            }
            Meanwhile::Nothing => {}
        }
        loop {
            let began = slot.begin();
            let outcome = self.store.get(id).await;
            match outcome {
                Ok(found) => {
                    let found = found.map(Arc::new);
                    if found.is_none() {
                        self.slots.remove(id, &slot);
                    }
                    // Otherwise something was written of which this read may know nothing.
                    if let Some(found) = slot.learn_read(found, began) {
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

    /// Takes over what a write has made of a record, if anybody has lately asked for it.
    fn learn(&self, id: ProgressId, began: Instant, outcome: &Result<Progress, ProgressError>) {
        let Some(slot) = self.slots.find(id) else { return };
        match outcome {
            Ok(progress) => slot.learn_write(progress, began),
            // It is as it was.
            Err(ProgressError::Invalid(_)) => {}
            // Another process was quicker, or nobody knows whether it happened.
            Err(_) => slot.forget(),
        }
    }
}

/// Forgets a record unless it is told what became of it: a write that is given up in the middle may have happened.
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

#[async_trait]
impl ProgressStore for CachedStore {
    async fn create(&self, job: &NewProgress) -> Result<Progress, ProgressError> {
        self.shared.store.create(job).await
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
        // Whatever comes of it: another process may have deleted it first.
        let _unknown = Unknown { shared: &self.shared, ids: &[id] };
        self.shared.store.delete(id).await
    }

    async fn fail_stale(&self, silent_for: Duration) -> Result<u64, ProgressError> {
        let failed = self.shared.store.fail_stale(silent_for).await;
        if !matches!(failed, Ok(0)) {
            self.shared.slots.forget_all();
        }
        failed
    }

    async fn delete_finished(
        &self,
        older_than: Duration,
        limit: u32,
    ) -> Result<u64, ProgressError> {
        let deleted = self.shared.store.delete_finished(older_than, limit).await;
        if !matches!(deleted, Ok(0)) {
            self.shared.slots.forget_all();
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
    /// Reads those that are not fresh in one call. Two batches that overlap may read a record twice.
    async fn read_many(
        &self,
        ids: &[ProgressId],
    ) -> Result<Vec<Option<Arc<Progress>>>, ProgressError> {
        let mut found: Vec<Option<Arc<Progress>>> = Vec::with_capacity(ids.len());
        let mut missing = Vec::new();
        for id in ids {
            let fresh =
                self.slots.find(*id).and_then(|slot| slot.fresh(slot.ask(), self.freshness));
            if fresh.is_none() {
                missing.push(*id);
            }
            found.push(fresh);
        }
        if missing.is_empty() {
            return Ok(found);
        }
        let mut read = self.refresh(&missing).await?.into_iter();
        for slot in found.iter_mut().filter(|slot| slot.is_none()) {
            *slot = read.next().flatten();
        }
        Ok(found)
    }

    /// Reads these, fresh or not, and remembers what was found.
    async fn refresh(
        &self,
        ids: &[ProgressId],
    ) -> Result<Vec<Option<Arc<Progress>>>, ProgressError> {
        let slots: Vec<_> = ids.iter().map(|id| self.slots.of(*id, self.freshness)).collect();
        let began: Vec<_> = slots.iter().map(|slot| slot.begin()).collect();
        let read = self.store.get_many(ids).await?;
        let mut found = Vec::with_capacity(ids.len());
        for (((id, slot), began), read) in ids.iter().zip(&slots).zip(began).zip(read) {
            let read = read.map(Arc::new);
            if read.is_none() {
                self.slots.remove(*id, slot);
            }
            // Where something was written meanwhile, this answer is still right for the question, if not to be kept.
            found.push(slot.learn_read(read.clone(), began).unwrap_or(read));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests;
