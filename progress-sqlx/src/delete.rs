//! Deletes records with their entries and stamps, in one transaction.

use std::time::Duration;

use progress_core::{Changes, ProgressError, ProgressId};

use crate::dialect::Dialect;
use crate::store::{Operation, Session, SqlStore};
use crate::value::{to_json, to_millis, values};
use crate::{row, rows};

/// Maximum number of records deleted in one transaction. With 1,000 entries each, other writers to
/// SQLite wait for about 0.1 s.
const CHUNK: u32 = 50;

/// Deletes one finished record.
struct Delete(ProgressId);

impl<D: Dialect> Operation<D> for Delete {
    const WRITES: bool = true;
    type Output = ();

    fn waits_for_lock(&self) -> bool {
        true
    }

    async fn run(&self, session: &mut Session<'_, D>) -> Result<(), ProgressError> {
        let Self(id) = *self;
        // Read after the lock, because the record may have changed during the wait.
        session.fetch(D::STATEMENTS.wait, values![id.to_string()]).await?;
        let found = session.fetch(D::STATEMENTS.get, values![id.to_string()]).await?;
        let found = found.first().ok_or(ProgressError::NotFound(id))?;
        let status = row::progress::<D>(found)?.status;
        if status.is_active() {
            return Err(ProgressError::Refused { id, status });
        }
        delete(session, rows::ids(std::iter::once(id))?).await
    }
}

/// Deletes the oldest finished records that no other session has locked.
struct DeleteOld {
    older_than: Duration,
    limit: u32,
}

impl<D: Dialect> Operation<D> for DeleteOld {
    const WRITES: bool = true;
    type Output = Vec<String>;

    async fn run(&self, session: &mut Session<'_, D>) -> Result<Vec<String>, ProgressError> {
        let values = values![to_millis(self.older_than), self.limit];
        let old = session.fetch(D::STATEMENTS.old, values).await?;
        // The ids are not parsed, so a record with an unreadable id is deleted as well.
        let ids = old.iter().filter_map(|row| D::text(row, 0).transpose());
        let ids = ids.map(|id| id.map(str::to_owned)).collect::<Result<Vec<_>, _>>();
        let ids = ids.map_err(crate::error::classify)?;
        if !ids.is_empty() {
            delete(session, to_json(&ids)?).await?;
        }
        Ok(ids)
    }
}

async fn delete<D: Dialect>(
    session: &mut Session<'_, D>,
    ids: String,
) -> Result<(), ProgressError> {
    for statement in D::STATEMENTS.delete {
        session.fetch(statement, values![ids.as_str()]).await?;
    }
    Ok(())
}

impl<D: Dialect> SqlStore<D> {
    pub(crate) async fn delete(&self, id: ProgressId) -> Result<(), ProgressError> {
        self.call(Delete(id)).await?;
        self.announce(std::iter::once((id, Changes::DELETED))).await;
        Ok(())
    }

    pub(crate) async fn delete_finished(
        &self,
        older_than: Duration,
        limit: u32,
    ) -> Result<u64, ProgressError> {
        let mut remaining = limit;
        while remaining > 0 {
            let chunk = remaining.min(CHUNK);
            let deleted = self.call(DeleteOld { older_than, limit: chunk }).await?;
            let ids = deleted.iter().filter_map(|id| id.parse().ok());
            self.announce(ids.map(|id| (id, Changes::DELETED))).await;
            let deleted = u32::try_from(deleted.len()).map_err(ProgressError::store)?;
            remaining -= deleted.min(remaining);
            if deleted < chunk {
                break;
            }
        }
        Ok(u64::from(limit - remaining))
    }
}
