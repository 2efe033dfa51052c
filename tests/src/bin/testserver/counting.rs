use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use progress_core::{
    Changes, EntryPage, Heartbeat, NewProgress, Progress, ProgressError, ProgressId, ProgressPage,
    ProgressQuery, ProgressStore, ProgressUpdate,
};

/// Wraps a store and counts the calls. Reading a hundred records in one call counts once.
#[derive(Debug)]
pub(crate) struct CountingStore {
    store: Arc<dyn ProgressStore>,
    reads: AtomicU64,
    writes: AtomicU64,
}

impl CountingStore {
    pub(crate) fn new(store: Arc<dyn ProgressStore>) -> Self {
        Self { store, reads: AtomicU64::new(0), writes: AtomicU64::new(0) }
    }

    pub(crate) fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    pub(crate) fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    fn read(&self) -> &dyn ProgressStore {
        self.reads.fetch_add(1, Ordering::Relaxed);
        &*self.store
    }

    fn write(&self) -> &dyn ProgressStore {
        self.writes.fetch_add(1, Ordering::Relaxed);
        &*self.store
    }
}

#[deny(clippy::missing_trait_methods, reason = "a default would hide the store's own")]
#[async_trait]
impl ProgressStore for CountingStore {
    async fn create(&self, job: &NewProgress) -> Result<Progress, ProgressError> {
        self.write().create(job).await
    }

    async fn get(&self, id: ProgressId) -> Result<Option<Progress>, ProgressError> {
        self.read().get(id).await
    }

    async fn update(
        &self,
        id: ProgressId,
        update: &ProgressUpdate,
    ) -> Result<Progress, ProgressError> {
        self.write().update(id, update).await
    }

    async fn list(&self, query: &ProgressQuery) -> Result<ProgressPage, ProgressError> {
        self.read().list(query).await
    }

    async fn entries(
        &self,
        id: ProgressId,
        after: u64,
        limit: u32,
    ) -> Result<EntryPage, ProgressError> {
        self.read().entries(id, after, limit).await
    }

    async fn delete(&self, id: ProgressId) -> Result<(), ProgressError> {
        self.write().delete(id).await
    }

    async fn heartbeats(&self) -> Result<Vec<Heartbeat>, ProgressError> {
        self.read().heartbeats().await
    }

    async fn delete_finished(
        &self,
        older_than: Duration,
        limit: u32,
    ) -> Result<u64, ProgressError> {
        self.write().delete_finished(older_than, limit).await
    }

    async fn unannounced(&self, limit: u32) -> Result<Vec<Progress>, ProgressError> {
        self.read().unannounced(limit).await
    }

    async fn delete_owned(&self, owner: &str, limit: u32) -> Result<u64, ProgressError> {
        self.write().delete_owned(owner, limit).await
    }

    async fn ping(&self) -> Result<(), ProgressError> {
        self.read().ping().await
    }

    async fn get_many(&self, ids: &[ProgressId]) -> Result<Vec<Option<Progress>>, ProgressError> {
        self.read().get_many(ids).await
    }

    async fn update_many(
        &self,
        updates: &[(ProgressId, ProgressUpdate)],
    ) -> Vec<Result<Progress, ProgressError>> {
        self.write().update_many(updates).await
    }

    fn changes(&self) -> Option<Changes> {
        self.store.changes()
    }
}
