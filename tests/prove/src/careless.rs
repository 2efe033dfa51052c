//! Wrappers for controls: stores with a deliberate bug that a check must detect.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use progress_core::{
    Changes, EntryPage, Heartbeat, NewProgress, Progress, ProgressError, ProgressId, ProgressPage,
    ProgressQuery, ProgressStore, ProgressUpdate,
};
use sqlx::SqlitePool;

use crate::place::open;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Reads a record once, changes the copy and saves it as a whole, ignoring other changes.
    SavesCopies,
    /// Truncates text by bytes instead of characters.
    CutsBytes,
}

#[derive(Debug)]
pub(crate) struct Careless {
    bug: Bug,
    inner: Arc<dyn ProgressStore>,
    pool: SqlitePool,
    copies: Mutex<HashMap<ProgressId, Progress>>,
}

impl Careless {
    /// Opens a store in an SQLite file.
    pub(crate) async fn open(url: &str, bug: Bug) -> Arc<dyn ProgressStore> {
        let inner = open(url).await;
        let pool = SqlitePool::connect(url).await.unwrap();
        Arc::new(Self { bug, inner, pool, copies: Mutex::default() })
    }

    async fn update_a_copy(
        &self,
        id: ProgressId,
        update: &ProgressUpdate,
    ) -> Result<Progress, ProgressError> {
        let copy = self.copies.lock().unwrap().get(&id).cloned();
        let mut copy = match copy {
            Some(copy) => copy,
            None => self.inner.get(id).await?.ok_or(ProgressError::NotFound(id))?,
        };
        copy.apply(update, copy.observed_at)?;
        let save = "UPDATE progress_records SET status = $2, succeeded = $3, failed = $4, \
            error = $5, version = $6, started_at = $7, updated_at = $8, heartbeat_at = $9, \
            finished_at = $10 WHERE id = $1";
        let whole = |count: u64| i64::try_from(count).unwrap();
        let saved = sqlx::query(save)
            .bind(id.to_string())
            .bind(copy.status.as_str())
            .bind(whole(copy.succeeded))
            .bind(whole(copy.failed))
            .bind(copy.error.clone())
            .bind(whole(copy.version))
            .bind(copy.started_at.map(|at| at.timestamp_millis()))
            .bind(copy.updated_at.timestamp_millis())
            .bind(copy.heartbeat_at.map(|at| at.timestamp_millis()))
            .bind(copy.finished_at.map(|at| at.timestamp_millis()))
            .execute(&self.pool)
            .await;
        saved.map_err(ProgressError::unavailable)?;
        self.copies.lock().unwrap().insert(id, copy.clone());
        Ok(copy)
    }
}

/// A janitor that compares the times of heartbeats with its own clock, while the clocks of the
/// processes that write them disagree.
pub(crate) async fn sweep_by_the_clock(store: Arc<dyn ProgressStore>, interval: Duration) {
    loop {
        for Heartbeat { id, at, lease, .. } in store.heartbeats().await.unwrap() {
            let silence = SystemTime::now().duration_since(at.into()).unwrap_or_default();
            if silence > lease {
                // Refused if the worker has just sent another one.
                let _ = store.update(id, &ProgressUpdate::lose(at)).await;
            }
        }
        tokio::time::sleep(interval).await;
    }
}

fn cut(text: &mut Option<String>, bytes: usize) {
    if let Some(text) = text {
        *text = String::from_utf8_lossy(&text.as_bytes()[..text.len().min(bytes)]).into_owned();
    }
}

#[deny(clippy::missing_trait_methods, reason = "a default would hide the store's own")]
#[async_trait]
impl ProgressStore for Careless {
    async fn create(&self, job: &NewProgress) -> Result<Progress, ProgressError> {
        self.inner.create(job).await
    }

    async fn get(&self, id: ProgressId) -> Result<Option<Progress>, ProgressError> {
        let mut found = self.inner.get(id).await?;
        if let Some(progress) = found.as_mut().filter(|_| self.bug == Bug::CutsBytes) {
            cut(&mut progress.title, progress_core::limits::MAX_TITLE);
            cut(&mut progress.message, progress_core::limits::MAX_MESSAGE);
        }
        Ok(found)
    }

    async fn update(
        &self,
        id: ProgressId,
        update: &ProgressUpdate,
    ) -> Result<Progress, ProgressError> {
        match self.bug {
            Bug::SavesCopies => self.update_a_copy(id, update).await,
            Bug::CutsBytes => self.inner.update(id, update).await,
        }
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

    async fn ping(&self) -> Result<(), ProgressError> {
        self.inner.ping().await
    }

    async fn get_many(&self, ids: &[ProgressId]) -> Result<Vec<Option<Progress>>, ProgressError> {
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            found.push(self.get(*id).await?);
        }
        Ok(found)
    }

    async fn update_many(
        &self,
        updates: &[(ProgressId, ProgressUpdate)],
    ) -> Vec<Result<Progress, ProgressError>> {
        let mut outcomes = Vec::with_capacity(updates.len());
        for (id, update) in updates {
            outcomes.push(self.update(*id, update).await);
        }
        outcomes
    }

    fn changes(&self) -> Option<Changes> {
        self.inner.changes()
    }
}
