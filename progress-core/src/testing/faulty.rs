use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::{
    Changes, EntryPage, Heartbeat, NewProgress, Progress, ProgressError, ProgressId, ProgressPage,
    ProgressQuery, ProgressStore, ProgressUpdate,
};

/// How a [`FaultyStore`] fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The store works.
    #[default]
    None,
    /// Every call fails with [`Unavailable`](ProgressError::Unavailable) and has no effect.
    Away,
    /// Creations and updates fail with [`Unavailable`](ProgressError::Unavailable), as on a full
    /// disk. Reads and deletions work.
    Full,
    /// Updates are applied but return [`Unavailable`](ProgressError::Unavailable), because the
    /// acknowledgement is lost.
    LosesAnswers,
    /// Every call fails with [`Store`](ProgressError::Store) and has no effect.
    Broken,
    /// No call ever returns.
    Silent,
    /// Updates are applied without their stamp, as by a naive store. The suite must detect this.
    ForgetsStamps,
}

/// Wraps a store, fails on demand and counts the calls.
///
/// ```
/// # use std::sync::Arc;
/// # use progress_core::{MemoryStore, ProgressId, ProgressStore, testing::{Fault, FaultyStore}};
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let store = FaultyStore::new(Arc::new(MemoryStore::new()));
/// store.set(Fault::Away);
/// assert!(store.get(ProgressId::new()).await.unwrap_err().is_transient());
/// assert_eq!(store.reads(), 1);
/// # });
/// ```
#[derive(Debug)]
pub struct FaultyStore {
    inner: Arc<dyn ProgressStore>,
    fault: Mutex<Fault>,
    reads: AtomicU64,
    writes: AtomicU64,
    changes: Mutex<Option<Changes>>,
}

impl FaultyStore {
    /// Wraps `inner`, without a fault until [`set`](Self::set) is called.
    #[must_use]
    pub fn new(inner: Arc<dyn ProgressStore>) -> Self {
        Self {
            inner,
            fault: Mutex::default(),
            reads: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            changes: Mutex::default(),
        }
    }

    /// Sets the hints that the next call of [`changes`](ProgressStore::changes) returns instead of
    /// those of the inner store.
    #[must_use]
    pub fn with_changes(mut self, changes: Changes) -> Self {
        self.changes = Mutex::new(Some(changes));
        self
    }

    /// Sets the fault of all calls from now on.
    pub fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    /// Returns the number of reading calls so far, including failed ones.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// Returns the number of writing calls so far, including failed ones.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    async fn read(&self) -> Result<(), ProgressError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.fail().await
    }

    /// Counts a call that adds data to the store, and fails it if the fault says so.
    async fn add(&self) -> Result<(), ProgressError> {
        self.write().await?;
        if self.fault() == Fault::Full {
            return Err(ProgressError::unavailable("injected fault: the store is full"));
        }
        Ok(())
    }

    async fn write(&self) -> Result<(), ProgressError> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.fail().await
    }

    fn fault(&self) -> Fault {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fail(&self) -> Result<(), ProgressError> {
        match self.fault() {
            Fault::Away => Err(ProgressError::unavailable("injected fault: the store is down")),
            Fault::Broken => Err(ProgressError::store("injected fault: the store is broken")),
            Fault::Silent => std::future::pending().await,
            Fault::None | Fault::Full | Fault::LosesAnswers | Fault::ForgetsStamps => Ok(()),
        }
    }
}

#[deny(clippy::missing_trait_methods, reason = "a default would bypass the inner store's method")]
#[async_trait]
impl ProgressStore for FaultyStore {
    async fn create(&self, job: &NewProgress) -> Result<Progress, ProgressError> {
        self.add().await?;
        self.inner.create(job).await
    }

    async fn get(&self, id: ProgressId) -> Result<Option<Progress>, ProgressError> {
        self.read().await?;
        self.inner.get(id).await
    }

    async fn update(
        &self,
        id: ProgressId,
        update: &ProgressUpdate,
    ) -> Result<Progress, ProgressError> {
        self.add().await?;
        match self.fault() {
            Fault::ForgetsStamps => self.inner.update(id, &update.clone().without_stamp()).await,
            Fault::LosesAnswers => {
                // The outcome is discarded, even a refusal.
                let _ = self.inner.update(id, update).await;
                Err(lost_answer())
            }
            _ => self.inner.update(id, update).await,
        }
    }

    async fn list(&self, query: &ProgressQuery) -> Result<ProgressPage, ProgressError> {
        self.read().await?;
        self.inner.list(query).await
    }

    async fn entries(
        &self,
        id: ProgressId,
        after: u64,
        limit: u32,
    ) -> Result<EntryPage, ProgressError> {
        self.read().await?;
        self.inner.entries(id, after, limit).await
    }

    async fn delete(&self, id: ProgressId) -> Result<(), ProgressError> {
        self.write().await?;
        self.inner.delete(id).await
    }

    async fn heartbeats(&self) -> Result<Vec<Heartbeat>, ProgressError> {
        self.read().await?;
        self.inner.heartbeats().await
    }

    async fn delete_finished(
        &self,
        older_than: Duration,
        limit: u32,
    ) -> Result<u64, ProgressError> {
        self.write().await?;
        self.inner.delete_finished(older_than, limit).await
    }

    async fn unannounced(&self, limit: u32) -> Result<Vec<Progress>, ProgressError> {
        self.read().await?;
        self.inner.unannounced(limit).await
    }

    async fn delete_owned(&self, owner: &str, limit: u32) -> Result<u64, ProgressError> {
        self.write().await?;
        self.inner.delete_owned(owner, limit).await
    }

    async fn ping(&self) -> Result<(), ProgressError> {
        self.read().await?;
        self.inner.ping().await
    }

    async fn get_many(&self, ids: &[ProgressId]) -> Result<Vec<Option<Progress>>, ProgressError> {
        self.read().await?;
        self.inner.get_many(ids).await
    }

    async fn update_many(
        &self,
        updates: &[(ProgressId, ProgressUpdate)],
    ) -> Vec<Result<Progress, ProgressError>> {
        if let Err(error) = self.add().await {
            return for_each(&error, updates.len());
        }
        match self.fault() {
            Fault::ForgetsStamps => {
                let unstamped: Vec<_> = updates
                    .iter()
                    .map(|(id, update)| (*id, update.clone().without_stamp()))
                    .collect();
                self.inner.update_many(&unstamped).await
            }
            Fault::LosesAnswers => {
                // The outcome is discarded, even a refusal.
                let _ = self.inner.update_many(updates).await;
                for_each(&lost_answer(), updates.len())
            }
            _ => self.inner.update_many(updates).await,
        }
    }

    fn changes(&self) -> Option<Changes> {
        let own = self.changes.lock().unwrap_or_else(PoisonError::into_inner).take();
        own.or_else(|| self.inner.changes())
    }
}

fn lost_answer() -> ProgressError {
    ProgressError::unavailable("injected fault: the acknowledgement was lost")
}

/// Copies an error for each of several calls that failed together.
fn for_each(error: &ProgressError, calls: usize) -> Vec<Result<Progress, ProgressError>> {
    let copy = || match error {
        ProgressError::Unavailable(source) => ProgressError::unavailable(source.to_string()),
        error => ProgressError::store(error.to_string()),
    };
    (0..calls).map(|_| Err(copy())).collect()
}
