use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use chrono::DateTime;
use progress_core::{
    EntryPage, NewProgress, Progress, ProgressError, ProgressId, ProgressPage, ProgressQuery, ProgressStore,
    ProgressUpdate, WORKER_LOST,
};
use sqlx::Connection as _;

use super::{SqliteStore, row, statements, update};
use crate::convert;
use crate::error::{classify, for_each};

/// Updates in one transaction: more would gain nothing and make other processes wait.
const BATCH: usize = 500;

#[async_trait]
impl ProgressStore for SqliteStore {
    async fn create(&self, job: &NewProgress) -> Result<Progress, ProgressError> {
        // For its checks and its defaults; the times are the database's.
        let progress = Progress::new(job, DateTime::UNIX_EPOCH)?;
        let metadata = progress.metadata.as_ref().map(|metadata| convert::json("metadata", metadata));
        let metadata = metadata.transpose()?;
        let mut transaction = self.begin().await?;
        let created = sqlx::query(statements::CREATE)
            .bind(progress.id.to_string())
            .bind(progress.owner)
            .bind(progress.task_type)
            .bind(progress.total.map(convert::count))
            .bind(progress.title)
            .bind(progress.completion_message)
            .bind(metadata)
            .bind(i64::from(progress.auto_complete))
            .fetch_optional(&mut *transaction)
            .await
            .map_err(classify)?;
        let created = row::progress(&created.ok_or(ProgressError::AlreadyExists(progress.id))?)?;
        transaction.commit().await?;
        Ok(created)
    }

    async fn get(&self, id: ProgressId) -> Result<Option<Progress>, ProgressError> {
        let found = sqlx::query(statements::GET)
            .bind(id.to_string())
            .fetch_optional(&self.reader)
            .await
            .map_err(classify)?;
        found.as_ref().map(row::progress).transpose()
    }

    async fn update(&self, id: ProgressId, update: &ProgressUpdate) -> Result<Progress, ProgressError> {
        let mut transaction = self.begin().await?;
        let progress = update::apply(&mut transaction, id, update, self.log_limit).await?;
        transaction.commit().await?;
        Ok(progress)
    }

    async fn list(&self, query: &ProgressQuery) -> Result<ProgressPage, ProgressError> {
        // No time is later than the latest integer, so the first page begins there.
        let (time, id) = match query.after() {
            Some(cursor) => (cursor.created_at().timestamp_millis(), cursor.id().to_string()),
            None => (i64::MAX, String::new()),
        };
        let statement = match query.owner() {
            Some(_) => statements::LIST_OWNED,
            None => statements::LIST,
        };
        let found = sqlx::query(statement)
            .bind(time)
            .bind(id)
            .bind(convert::list(query.statuses().iter()))
            .bind(query.task_type())
            .bind(i64::from(query.limit()) + 1)
            .bind(query.owner())
            .fetch_all(&self.reader)
            .await
            .map_err(classify)?;
        let items = found.iter().map(row::progress).collect::<Result<_, _>>()?;
        Ok(ProgressPage::from_one_more(items, query.limit()))
    }

    async fn entries(&self, id: ProgressId, after: u64, limit: u32) -> Result<EntryPage, ProgressError> {
        let found = sqlx::query(statements::ENTRIES)
            .bind(id.to_string())
            .bind(convert::whole(after))
            .bind(i64::from(limit))
            .fetch_all(&self.reader)
            .await
            .map_err(classify)?;
        let (last, kept) = row::log(found.first().ok_or(ProgressError::NotFound(id))?)?;
        let entries: Vec<_> =
            found.iter().filter_map(|found| row::entry(found).transpose()).collect::<Result<_, _>>()?;
        Ok(EntryPage {
            next_after: entries.last().map_or(after, |entry| entry.seq),
            entries,
            dropped: last.saturating_sub(kept),
        })
    }

    async fn delete(&self, id: ProgressId) -> Result<(), ProgressError> {
        self.delete_one(id).await
    }

    async fn fail_stale(&self, silent_for: Duration) -> Result<u64, ProgressError> {
        let mut transaction = self.begin().await?;
        let failed = sqlx::query(statements::FAIL_STALE)
            .bind(convert::millis(silent_for))
            .bind(WORKER_LOST)
            .execute(&mut *transaction)
            .await
            .map_err(classify)?;
        transaction.commit().await?;
        Ok(failed.rows_affected())
    }

    async fn delete_finished(&self, older_than: Duration, limit: u32) -> Result<u64, ProgressError> {
        self.delete_old(older_than, limit).await
    }

    async fn get_many(&self, ids: &[ProgressId]) -> Result<Vec<Option<Progress>>, ProgressError> {
        let found = sqlx::query(statements::GET_MANY)
            .bind(convert::list(ids.iter()))
            .fetch_all(&self.reader)
            .await
            .map_err(classify)?;
        let found = found.iter().map(row::progress).collect::<Result<Vec<_>, _>>()?;
        let found: HashMap<_, _> = found.into_iter().map(|progress| (progress.id, progress)).collect();
        Ok(ids.iter().map(|id| found.get(id).cloned()).collect())
    }

    async fn update_many(
        &self,
        updates: &[(ProgressId, ProgressUpdate)],
    ) -> Vec<Result<Progress, ProgressError>> {
        let mut outcomes = Vec::with_capacity(updates.len());
        for batch in updates.chunks(BATCH) {
            match self.update_together(batch).await {
                Ok(applied) => outcomes.extend(applied),
                Err(error) => outcomes.extend(for_each(error, batch.len()).map(Err)),
            }
        }
        outcomes
    }
}

impl SqliteStore {
    /// One transaction for all, one savepoint for each: what is refused, or unreadable, undoes itself alone. What makes
    /// the database unavailable undoes all, and so does a failed commit.
    async fn update_together(
        &self,
        updates: &[(ProgressId, ProgressUpdate)],
    ) -> Result<Vec<Result<Progress, ProgressError>>, ProgressError> {
        let mut outcomes = Vec::with_capacity(updates.len());
        let mut transaction = self.begin().await?;
        for (id, update) in updates {
            let mut savepoint = transaction.begin().await.map_err(classify)?;
            let outcome = update::apply(&mut savepoint, *id, update, self.log_limit).await;
            match &outcome {
                Ok(_) => savepoint.commit().await.map_err(classify)?,
                Err(ProgressError::Unavailable(_)) => return outcome.map(|_| Vec::new()),
                Err(_) => savepoint.rollback().await.map_err(classify)?,
            }
            outcomes.push(outcome);
        }
        transaction.commit().await?;
        Ok(outcomes)
    }
}
