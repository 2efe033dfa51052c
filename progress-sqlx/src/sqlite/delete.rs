//! Records go with their entries and their writers, in one transaction.

use std::time::Duration;

use progress_core::{ProgressError, ProgressId};
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::{SqliteStore, row, statements, update};
use crate::convert;
use crate::error::classify;

/// Records deleted in one transaction. With 1,000 entries each, other writers wait for about a tenth of a second.
const CHUNK: u32 = 50;

impl SqliteStore {
    pub(super) async fn delete_one(&self, id: ProgressId) -> Result<(), ProgressError> {
        let mut transaction = self.begin().await?;
        let deleted = sqlx::query(statements::DELETE)
            .bind(id.to_string())
            .fetch_all(&mut *transaction)
            .await
            .map_err(classify)?;
        if deleted.is_empty() {
            let status = update::read(&mut transaction, id).await?.status;
            return Err(ProgressError::Refused { id, status });
        }
        delete_rest(&mut transaction, &deleted).await?;
        transaction.commit().await
    }

    pub(super) async fn delete_old(&self, older_than: Duration, limit: u32) -> Result<u64, ProgressError> {
        let mut left = limit;
        while left > 0 {
            let chunk = left.min(CHUNK);
            let mut transaction = self.begin().await?;
            let deleted = sqlx::query(statements::DELETE_FINISHED)
                .bind(convert::millis(older_than))
                .bind(i64::from(chunk))
                .fetch_all(&mut *transaction)
                .await
                .map_err(classify)?;
            delete_rest(&mut transaction, &deleted).await?;
            transaction.commit().await?;
            let gone = u32::try_from(deleted.len()).unwrap_or(chunk);
            left -= gone;
            if gone < chunk {
                break;
            }
        }
        Ok(u64::from(limit - left))
    }
}

async fn delete_rest(transaction: &mut SqliteConnection, records: &[SqliteRow]) -> Result<(), ProgressError> {
    if records.is_empty() {
        return Ok(());
    }
    let ids = records.iter().map(row::id).collect::<Result<Vec<_>, _>>()?;
    let ids = convert::list(ids.iter());
    for statement in [statements::DELETE_ENTRIES, statements::DELETE_WRITERS] {
        sqlx::query(statement).bind(ids.as_str()).execute(&mut *transaction).await.map_err(classify)?;
    }
    Ok(())
}
