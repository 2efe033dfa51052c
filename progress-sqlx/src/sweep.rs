//! What janitors do, and deletion. Records are locked in one order and those in use are passed by, so that any number of
//! janitors may work at once; records go with their entries and their writers, in one transaction.

use std::time::Duration;

use progress_core::{ProgressError, ProgressId, WORKER_LOST};

use crate::convert;
use crate::dialect::{Dialect, ids, values};
use crate::error::{Attempts, classify};
use crate::store::Body;
use crate::update::{self, LOOKS};

/// Records deleted in one transaction. With 1,000 entries each, other writers to SQLite wait for about a tenth of a second.
const CHUNK: u32 = 50;

impl<D: Dialect> Body<D> {
    pub(crate) async fn fail_stale(&self, silent_for: Duration) -> Result<u64, ProgressError> {
        let mut failed = 0;
        loop {
            let mut attempts = Attempts::new();
            let chunk = loop {
                match self.writing(self.fail_chunk(silent_for)).await {
                    Err(error) if attempts.again(&error).await => {}
                    outcome => break outcome?,
                }
            };
            failed += u64::from(chunk);
            if chunk < D::BATCH {
                return Ok(failed);
            }
        }
    }

    async fn fail_chunk(&self, silent_for: Duration) -> Result<u32, ProgressError> {
        let mut turn = self.begin().await?;
        let silent = D::silent(&mut turn.transaction, &mut turn.guard, silent_for)
            .await
            .map_err(classify)?;
        if !silent.is_empty() {
            let values = values![convert::list(silent.iter()), WORKER_LOST.to_owned()];
            D::execute(&mut turn.transaction, D::STATEMENTS.fail_silent, values)
                .await
                .map_err(classify)?;
        }
        turn.commit().await?;
        u32::try_from(silent.len()).map_err(ProgressError::store)
    }

    pub(crate) async fn delete_finished(
        &self,
        older_than: Duration,
        limit: u32,
    ) -> Result<u64, ProgressError> {
        let mut left = limit;
        while left > 0 {
            let chunk = left.min(CHUNK);
            let mut attempts = Attempts::new();
            let gone = loop {
                match self.writing(self.delete_chunk(older_than, chunk)).await {
                    Err(error) if attempts.again(&error).await => {}
                    outcome => break outcome?,
                }
            };
            left -= gone;
            if gone < chunk {
                break;
            }
        }
        Ok(u64::from(limit - left))
    }

    async fn delete_chunk(&self, older_than: Duration, chunk: u32) -> Result<u32, ProgressError> {
        let mut turn = self.begin().await?;
        let old = values![convert::millis(older_than), i64::from(chunk)];
        let old =
            D::fetch(&mut turn.transaction, D::STATEMENTS.old, old).await.map_err(classify)?;
        if !old.is_empty() {
            let ids = convert::list(ids::<D>(&old).map_err(classify)?.iter());
            let deletion = values![ids.clone()];
            D::execute(&mut turn.transaction, D::STATEMENTS.delete_records, deletion)
                .await
                .map_err(classify)?;
            delete_rest::<D>(&mut turn.transaction, ids).await?;
        }
        turn.commit().await?;
        u32::try_from(old.len()).map_err(ProgressError::store)
    }

    pub(crate) async fn delete(&self, id: ProgressId) -> Result<(), ProgressError> {
        let mut attempts = Attempts::new();
        loop {
            match self.writing(self.delete_once(id)).await {
                Err(error) if attempts.again(&error).await => {}
                outcome => return outcome,
            }
        }
    }

    async fn delete_once(&self, id: ProgressId) -> Result<(), ProgressError> {
        let mut turn = self.begin().await?;
        for _ in 0..LOOKS {
            let deletion = values![id.to_string()];
            let deleted = D::execute(&mut turn.transaction, D::STATEMENTS.delete, deletion)
                .await
                .map_err(classify)?;
            if deleted > 0 {
                delete_rest::<D>(&mut turn.transaction, convert::list(std::iter::once(id))).await?;
                return turn.commit().await;
            }
            let status = update::read::<D>(&mut turn.transaction, id).await?.status;
            if status.is_active() {
                return Err(ProgressError::Refused { id, status });
            }
        }
        Err(ProgressError::unavailable("the record changed faster than it could be read"))
    }
}

async fn delete_rest<D: Dialect>(
    transaction: &mut D::Connection,
    ids: String,
) -> Result<(), ProgressError> {
    for statement in [D::STATEMENTS.delete_entries, D::STATEMENTS.delete_writers] {
        D::execute(transaction, statement, values![ids.clone()]).await.map_err(classify)?;
    }
    Ok(())
}
