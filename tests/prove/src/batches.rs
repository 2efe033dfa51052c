//! A wrapper for controls: a store that handles many updates in one call badly.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use progress_core::{
    EntryPage, Heartbeat, NewProgress, Progress, ProgressError, ProgressId, ProgressPage,
    ProgressQuery, ProgressStore, ProgressUpdate,
};

pub(crate) type Store = Arc<dyn ProgressStore>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Makes a separate call for each update, one after the other.
    OneByOne,
    /// Acknowledges no update of a batch if one of them fails temporarily.
    AllOrNothing,
}

#[derive(Debug)]
pub(crate) struct BadBatches {
    inner: Store,
    fault: Fault,
}

impl BadBatches {
    /// Wraps a store; returns it as it is if there is no fault.
    pub(crate) fn around(inner: Store, fault: Option<Fault>) -> Store {
        match fault {
            Some(fault) => Arc::new(Self { inner, fault }),
            None => inner,
        }
    }
}

#[async_trait]
impl ProgressStore for BadBatches {
    async fn create(&self, job: &NewProgress) -> Result<Progress, ProgressError> {
        self.inner.create(job).await
    }

    async fn get(&self, id: ProgressId) -> Result<Option<Progress>, ProgressError> {
        self.inner.get(id).await
    }

    async fn update(
        &self,
        id: ProgressId,
        update: &ProgressUpdate,
    ) -> Result<Progress, ProgressError> {
        self.inner.update(id, update).await
    }

    async fn list(&self, query: &ProgressQuery) -> Result<ProgressPage, ProgressError> {
        self.inner.list(query).await
    }

    async fn entries(
        &self,
        id: ProgressId,
        after: u64,
        limit: u32,
    ) -> Result<EntryPage, ProgressError> {
        self.inner.entries(id, after, limit).await
    }

    async fn delete(&self, id: ProgressId) -> Result<(), ProgressError> {
        self.inner.delete(id).await
    }

    async fn heartbeats(&self) -> Result<Vec<Heartbeat>, ProgressError> {
        self.inner.heartbeats().await
    }

    async fn delete_finished(
        &self,
        older_than: Duration,
        limit: u32,
    ) -> Result<u64, ProgressError> {
        self.inner.delete_finished(older_than, limit).await
    }

    async fn unannounced(&self, limit: u32) -> Result<Vec<Progress>, ProgressError> {
        self.inner.unannounced(limit).await
    }

    async fn delete_owned(&self, owner: &str, limit: u32) -> Result<u64, ProgressError> {
        self.inner.delete_owned(owner, limit).await
    }

    async fn update_many(
        &self,
        updates: &[(ProgressId, ProgressUpdate)],
    ) -> Vec<Result<Progress, ProgressError>> {
        match self.fault {
            Fault::OneByOne => {
                let mut outcomes = Vec::with_capacity(updates.len());
                for (id, update) in updates {
                    outcomes.push(self.inner.update(*id, update).await);
                }
                outcomes
            }
            Fault::AllOrNothing => {
                let outcomes = self.inner.update_many(updates).await;
                let cannot_now = |outcome: &Result<Progress, ProgressError>| {
                    outcome.as_ref().is_err_and(ProgressError::is_transient)
                };
                if !outcomes.iter().any(cannot_now) {
                    return outcomes;
                }
                let undone = || Err(ProgressError::unavailable("another update failed"));
                updates.iter().map(|_| undone()).collect()
            }
        }
    }
}
