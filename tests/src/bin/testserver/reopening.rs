use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use progress_core::{
    EntryPage, Heartbeat, NewProgress, Progress, ProgressError, ProgressId, ProgressPage,
    ProgressQuery, ProgressStore, ProgressUpdate,
};

/// A store that opens its database anew for each call.
#[derive(Debug)]
pub(crate) struct Reopening {
    url: String,
}

impl Reopening {
    pub(crate) fn new(url: &str) -> Self {
        Self { url: url.to_owned() }
    }

    async fn open(&self) -> Result<Arc<dyn ProgressStore>, ProgressError> {
        progress_sqlx::connect_any(&self.url).await
    }
}

#[async_trait]
impl ProgressStore for Reopening {
    async fn create(&self, job: &NewProgress) -> Result<Progress, ProgressError> {
        self.open().await?.create(job).await
    }

    async fn get(&self, id: ProgressId) -> Result<Option<Progress>, ProgressError> {
        self.open().await?.get(id).await
    }

    async fn update(
        &self,
        id: ProgressId,
        update: &ProgressUpdate,
    ) -> Result<Progress, ProgressError> {
        self.open().await?.update(id, update).await
    }

    async fn list(&self, query: &ProgressQuery) -> Result<ProgressPage, ProgressError> {
        self.open().await?.list(query).await
    }

    async fn entries(
        &self,
        id: ProgressId,
        after: u64,
        limit: u32,
    ) -> Result<EntryPage, ProgressError> {
        self.open().await?.entries(id, after, limit).await
    }

    async fn delete(&self, id: ProgressId) -> Result<(), ProgressError> {
        self.open().await?.delete(id).await
    }

    async fn heartbeats(&self) -> Result<Vec<Heartbeat>, ProgressError> {
        self.open().await?.heartbeats().await
    }

    async fn delete_finished(
        &self,
        older_than: Duration,
        limit: u32,
    ) -> Result<u64, ProgressError> {
        self.open().await?.delete_finished(older_than, limit).await
    }

    async fn unannounced(&self, limit: u32) -> Result<Vec<Progress>, ProgressError> {
        self.open().await?.unannounced(limit).await
    }

    async fn delete_owned(&self, owner: &str, limit: u32) -> Result<u64, ProgressError> {
        self.open().await?.delete_owned(owner, limit).await
    }
}
