//! Stores with a bug on purpose, around one that has none: what a check is there to find out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use progress_core::{
    EntryPage, NewProgress, Progress, ProgressError, ProgressId, ProgressPage, ProgressQuery,
    ProgressStore, ProgressUpdate, WORKER_LOST,
};
use sqlx::SqlitePool;

use crate::place::open;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// A record is read once, changed in the program and saved as a whole, whatever has become of it meanwhile.
    SavesCopies,
    /// Who is dead is told by the clocks of processes that disagree.
    TrustsTheClock,
    /// Text is cut where its bytes, not its characters, are too many.
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
    /// A store in an SQLite file.
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
        let save = "UPDATE progress_records SET status = $2, succeeded = $3, failed = $4, error = $5, version = $6, \
            started_at = $7, updated_at = $8, heartbeat_at = $9, finished_at = $10 WHERE id = $1";
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

    async fn fail_by_the_clock(&self, silent_for: Duration) -> Result<u64, ProgressError> {
        let fail = "UPDATE progress_records SET status = 'failed', error = $1, version = version + 1, \
            finished_at = updated_at WHERE status = 'running' \
            AND heartbeat_at < CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER) - $2";
        let silent_for = i64::try_from(silent_for.as_millis()).unwrap();
        let failed = sqlx::query(fail).bind(WORKER_LOST).bind(silent_for).execute(&self.pool).await;
        Ok(failed.map_err(ProgressError::unavailable)?.rows_affected())
    }
}

fn cut(text: &mut Option<String>, bytes: usize) {
    if let Some(text) = text {
        *text = String::from_utf8_lossy(&text.as_bytes()[..text.len().min(bytes)]).into_owned();
    }
}

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
            Bug::TrustsTheClock | Bug::CutsBytes => self.inner.update(id, update).await,
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

    async fn fail_stale(&self, silent_for: Duration) -> Result<u64, ProgressError> {
        match self.bug {
            Bug::TrustsTheClock => self.fail_by_the_clock(silent_for).await,
            Bug::SavesCopies | Bug::CutsBytes => self.inner.fail_stale(silent_for).await,
        }
    }

    async fn delete_finished(
        &self,
        older_than: Duration,
        limit: u32,
    ) -> Result<u64, ProgressError> {
        self.inner.delete_finished(older_than, limit).await
    }
}
