use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::{
    EntryPage, Heartbeat, NewProgress, Progress, ProgressError, ProgressId, ProgressPage,
    ProgressQuery, ProgressStore, ProgressUpdate,
};

/// How a [`FaultyStore`] misbehaves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Not at all.
    #[default]
    None,
    /// Nothing happens and every call says [`Unavailable`](ProgressError::Unavailable).
    Away,
    /// Reading and deletion work; creations and updates say
    /// [`Unavailable`](ProgressError::Unavailable): a full disk.
    Full,
    /// Updates happen, and say [`Unavailable`](ProgressError::Unavailable): their acknowledgement is lost.
    LosesAnswers,
    /// Nothing happens and every call says [`Store`](ProgressError::Store).
    Broken,
    /// No call ever answers.
    Silent,
    /// Updates are applied without looking at their stamp, as a naive store would: what the suite must notice.
    ForgetsStamps,
}

/// A store around a store that fails on demand and counts what it is asked.
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
}

impl FaultyStore {
    /// A store that behaves, until it is told otherwise.
    #[must_use]
    pub fn new(inner: Arc<dyn ProgressStore>) -> Self {
        Self { inner, fault: Mutex::default(), reads: AtomicU64::new(0), writes: AtomicU64::new(0) }
    }

    /// Misbehaves in this way from now on.
    pub fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    /// How many reading calls were made so far, failed ones included.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// How many writing calls were made so far, failed ones included.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    async fn read(&self) -> Result<(), ProgressError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.fail().await
    }

    /// Of a call that adds something to the store.
    async fn add(&self) -> Result<(), ProgressError> {
        self.write().await?;
        if self.fault() == Fault::Full {
            return Err(ProgressError::unavailable("the store was told to be full"));
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
            Fault::Away => Err(ProgressError::unavailable("the store was told to be away")),
            Fault::Broken => Err(ProgressError::store("the store was told to be broken")),
            Fault::Silent => std::future::pending().await,
            Fault::None | Fault::Full | Fault::LosesAnswers | Fault::ForgetsStamps => Ok(()),
        }
    }
}

#[deny(clippy::missing_trait_methods, reason = "a default would hide the store's own")]
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
                // What came of it, even a refusal, never arrives.
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
                // What came of it, even a refusal, never arrives.
                let _ = self.inner.update_many(updates).await;
                for_each(&lost_answer(), updates.len())
            }
            _ => self.inner.update_many(updates).await,
        }
    }
}

fn lost_answer() -> ProgressError {
    ProgressError::unavailable("the answer was lost, as told")
}

/// One error for each of several calls that failed together.
fn for_each(error: &ProgressError, calls: usize) -> Vec<Result<Progress, ProgressError>> {
    let copy = || match error {
        ProgressError::Unavailable(source) => ProgressError::unavailable(source.to_string()),
        error => ProgressError::store(error.to_string()),
    };
    (0..calls).map(|_| Err(copy())).collect()
}
