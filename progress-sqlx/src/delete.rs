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

/// What a transaction has deleted.
#[derive(Default)]
struct Deleted {
    /// How many records were found.
    found: u32,
    ids: Vec<ProgressId>,
}

impl Deleted {
    fn new<T>(found: &[T], ids: Vec<ProgressId>) -> Result<Self, ProgressError> {
        Ok(Self { found: u32::try_from(found.len()).map_err(ProgressError::store)?, ids })
    }
}

/// Deletes the oldest finished records that no other session has locked.
struct DeleteOld {
    older_than: Duration,
    limit: u32,
}

impl<D: Dialect> Operation<D> for DeleteOld {
    const WRITES: bool = true;
    type Output = Deleted;

    async fn run(&self, session: &mut Session<'_, D>) -> Result<Deleted, ProgressError> {
        let values = D::old(to_millis(self.older_than), self.limit);
        let old = session.fetch(D::STATEMENTS.old, values).await?;
        Deleted::new(&old, delete_rows(session, &old).await?)
    }
}

/// Deletes finished records of an owner.
struct DeleteOwned {
    owner: String,
    limit: u32,
}

impl<D: Dialect> Operation<D> for DeleteOwned {
    const WRITES: bool = true;
    type Output = Deleted;

    fn waits_for_lock(&self) -> bool {
        true
    }

    async fn run(&self, session: &mut Session<'_, D>) -> Result<Deleted, ProgressError> {
        let owned = session.fetch(D::STATEMENTS.owned, D::owned(&self.owner, self.limit)).await?;
        if owned.is_empty() {
            return Ok(Deleted::default());
        }
        // Locked by their ids, because a condition on the owner would also wait for active records.
        // Another call may have deleted some meanwhile.
        let locked = session.fetch(D::STATEMENTS.lock_finished, values![ids::<D>(&owned)?]).await?;
        // Not those that were locked: fewer than the limit means that none is left.
        Deleted::new(&owned, delete_rows(session, &locked).await?)
    }
}

/// Returns the ids of rows as JSON. They are not parsed, so a record with an unreadable id can be
/// deleted as well.
fn ids<D: Dialect>(rows: &[D::Cells]) -> Result<String, ProgressError> {
    let ids = rows.iter().map(|row| D::text(row, 0)).collect::<Result<Vec<_>, _>>();
    to_json(ids.map_err(crate::error::classify)?)
}

/// Deletes the records of these rows, and returns the ids that can be read.
async fn delete_rows<D: Dialect>(
    session: &mut Session<'_, D>,
    rows: &[D::Cells],
) -> Result<Vec<ProgressId>, ProgressError> {
    if !rows.is_empty() {
        delete(session, ids::<D>(rows)?).await?;
    }
    let ids = rows.iter().filter_map(|row| D::text(row, 0).ok()??.parse().ok());
    Ok(ids.collect())
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
        self.delete_chunks(limit, |limit| DeleteOld { older_than, limit }).await
    }

    pub(crate) async fn delete_owned(&self, owner: &str, limit: u32) -> Result<u64, ProgressError> {
        // No record contains a NUL, and PostgreSQL rejects it in a parameter.
        if owner.contains('\0') {
            return Ok(0);
        }
        let owned = |limit| DeleteOwned { owner: owner.to_owned(), limit };
        self.delete_chunks(limit, owned).await
    }

    /// Deletes up to `limit` records in transactions of at most [`CHUNK`], until one finds fewer.
    async fn delete_chunks<O: Operation<D, Output = Deleted>>(
        &self,
        limit: u32,
        operation: impl Fn(u32) -> O,
    ) -> Result<u64, ProgressError> {
        let mut remaining = limit;
        while remaining > 0 {
            let chunk = remaining.min(CHUNK);
            let Deleted { found, ids } = self.call(operation(chunk)).await?;
            self.announce(ids.into_iter().map(|id| (id, Changes::DELETED))).await;
            remaining -= found.min(remaining);
            if found < chunk {
                break;
            }
        }
        Ok(u64::from(limit - remaining))
    }
}
