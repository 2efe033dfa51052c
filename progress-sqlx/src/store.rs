//! What every store does, whatever its database.

use std::collections::HashMap;
use std::time::Duration;

use chrono::DateTime;
use progress_core::{
    DEFAULT_LOG_LIMIT, EntryPage, NewProgress, Progress, ProgressError, ProgressId, ProgressPage,
    ProgressQuery, ProgressUpdate,
};
use sqlx::{Connection as _, Pool};

use crate::dialect::{Dialect, Turn, Value, values};
use crate::error::{Attempts, classify, for_each};
use crate::health::{Origin, Pools};
use crate::{convert, row, update};

/// How long a call may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadlines {
    pub(crate) read: Duration,
    pub(crate) write: Duration,
}

/// The one body of all stores.
#[derive(Debug)]
pub(crate) struct Body<D: Dialect> {
    pub(crate) pools: Pools<D>,
    pub(crate) log_limit: u32,
    pub(crate) deadlines: Deadlines,
    pub(crate) shared: D::Shared,
}

// Not derived: that would ask for databases that can be cloned.
impl<D: Dialect> Clone for Body<D> {
    fn clone(&self) -> Self {
        Self {
            pools: self.pools.clone(),
            log_limit: self.log_limit,
            deadlines: self.deadlines,
            shared: self.shared.clone(),
        }
    }
}

impl<D: Dialect> Body<D> {
    /// On a pool of the application's own.
    pub(crate) fn new(pool: Pool<D>) -> Self {
        Self::on(Pools::new(pool.clone(), pool, Origin::Application))
    }

    pub(crate) fn on(pools: Pools<D>) -> Self {
        Self {
            pools,
            log_limit: DEFAULT_LOG_LIMIT,
            deadlines: D::DEADLINES,
            shared: D::Shared::default(),
        }
    }

    pub(crate) async fn begin(&self) -> Result<Turn<D>, ProgressError> {
        D::begin(self).await
    }

    pub(crate) async fn writing<T>(
        &self,
        call: impl Future<Output = Result<T, ProgressError>>,
    ) -> Result<T, ProgressError> {
        self.pools.within(self.deadlines.write, call).await
    }

    async fn fetch(
        &self,
        statement: &'static str,
        values: Vec<Value>,
    ) -> Result<Vec<D::Row>, ProgressError> {
        let call = async {
            let mut connection = self.pools.reader().acquire().await.map_err(classify)?;
            D::fetch(&mut connection, statement, values).await.map_err(classify)
        };
        self.pools.within(self.deadlines.read, call).await
    }

    pub(crate) async fn create(&self, job: &NewProgress) -> Result<Progress, ProgressError> {
        let mut attempts = Attempts::new();
        loop {
            match self.writing(self.create_once(job)).await {
                Err(error) if attempts.again(&error).await => {}
                outcome => return outcome,
            }
        }
    }

    async fn create_once(&self, job: &NewProgress) -> Result<Progress, ProgressError> {
        // For its checks and its defaults; the times are the database's.
        let progress = Progress::new(job, DateTime::UNIX_EPOCH)?;
        let metadata =
            progress.metadata.as_ref().map(|metadata| convert::json("metadata", metadata));
        let values = values![
            progress.id.to_string(),
            progress.owner,
            progress.task_type,
            progress.total.map(convert::count),
            progress.title,
            progress.completion_message,
            metadata.transpose()?,
            i64::from(progress.auto_complete),
        ];
        let mut turn = self.begin().await?;
        let created = D::change(&mut turn.transaction, D::STATEMENTS.create, values)
            .await
            .map_err(classify)?;
        let created = created.ok_or(ProgressError::AlreadyExists(progress.id))?;
        let mut created = row::progress::<D>(&created)?;
        turn.commit().await?;
        // Where it takes a second statement to read the record, the clock may have gone on.
        created.observed_at = created.created_at;
        Ok(created)
    }

    pub(crate) async fn get(&self, id: ProgressId) -> Result<Option<Progress>, ProgressError> {
        let found = self.fetch(D::STATEMENTS.get, values![id.to_string()]).await?;
        found.first().map(row::progress::<D>).transpose()
    }

    pub(crate) async fn get_many(
        &self,
        ids: &[ProgressId],
    ) -> Result<Vec<Option<Progress>>, ProgressError> {
        let found = self.fetch(D::STATEMENTS.get_many, values![convert::list(ids.iter())]).await?;
        let found = found.iter().map(row::progress::<D>).collect::<Result<Vec<_>, _>>()?;
        let found: HashMap<_, _> =
            found.into_iter().map(|progress| (progress.id, progress)).collect();
        Ok(ids.iter().map(|id| found.get(id).cloned()).collect())
    }

    pub(crate) async fn list(&self, query: &ProgressQuery) -> Result<ProgressPage, ProgressError> {
        // No record holds it, and PostgreSQL does not even take the question.
        if [query.owner(), query.task_type()].into_iter().flatten().any(|text| text.contains('\0'))
        {
            return Ok(ProgressPage::from_one_more(Vec::new(), query.limit()));
        }
        // No time is later than the latest integer, so the first page begins there.
        let (time, id) = match query.after() {
            Some(cursor) => (cursor.created_at().timestamp_millis(), cursor.id().to_string()),
            None => (i64::MAX, String::new()),
        };
        let mut values = values![
            time,
            id,
            convert::list(query.statuses().iter()),
            query.task_type().map(str::to_owned),
            i64::from(query.limit()) + 1,
        ];
        let statement = match query.owner() {
            Some(owner) => {
                values.extend(values![owner.to_owned()]);
                D::STATEMENTS.list_owned
            }
            None => D::STATEMENTS.list,
        };
        let found = self.fetch(statement, values).await?;
        let items = found.iter().map(row::progress::<D>).collect::<Result<_, _>>()?;
        Ok(ProgressPage::from_one_more(items, query.limit()))
    }

    pub(crate) async fn entries(
        &self,
        id: ProgressId,
        after: u64,
        limit: u32,
    ) -> Result<EntryPage, ProgressError> {
        let values = values![id.to_string(), convert::whole(after), i64::from(limit)];
        let found = self.fetch(D::STATEMENTS.entries, values).await?;
        let (last, kept) = row::log::<D>(found.first().ok_or(ProgressError::NotFound(id))?)?;
        let entries: Vec<_> = found
            .iter()
            .filter_map(|found| row::entry::<D>(found).transpose())
            .collect::<Result<_, _>>()?;
        Ok(EntryPage {
            next_after: entries.last().map_or(after, |entry| entry.seq),
            entries,
            dropped: last.saturating_sub(kept),
        })
    }

    pub(crate) async fn update(
        &self,
        id: ProgressId,
        update: &ProgressUpdate,
    ) -> Result<Progress, ProgressError> {
        let mut attempts = Attempts::new();
        loop {
            match self.writing(self.update_once(id, update)).await {
                Err(error) if attempts.again(&error).await => {}
                outcome => return outcome,
            }
        }
    }

    async fn update_once(
        &self,
        id: ProgressId,
        update: &ProgressUpdate,
    ) -> Result<Progress, ProgressError> {
        let mut turn = self.begin().await?;
        let progress =
            update::apply::<D>(&mut turn.transaction, id, update, self.log_limit).await?;
        turn.commit().await?;
        Ok(progress)
    }

    pub(crate) async fn update_many(
        &self,
        updates: &[(ProgressId, ProgressUpdate)],
    ) -> Vec<Result<Progress, ProgressError>> {
        // Everybody locks records in the same order, so two that work on the same jobs wait for one another instead of
        // each for the other. The updates of one job stay in their order.
        let mut order: Vec<_> = updates.iter().enumerate().collect();
        order.sort_by_key(|(_, (id, _))| *id);
        let mut outcomes = Vec::with_capacity(updates.len());
        for batch in order.chunks(D::BATCH as usize) {
            let mut attempts = Attempts::new();
            let applied = loop {
                match self.writing(self.update_together(batch)).await {
                    Err(error) if attempts.again(&error).await => {}
                    outcome => break outcome,
                }
            };
            let places = batch.iter().map(|(place, _)| *place);
            match applied {
                Ok(applied) => outcomes.extend(places.zip(applied)),
                Err(error) => outcomes.extend(places.zip(for_each(error, batch.len()).map(Err))),
            }
        }
        outcomes.sort_by_key(|(place, _)| *place);
        outcomes.into_iter().map(|(_, outcome)| outcome).collect()
    }

    /// One transaction for all, one savepoint for each: what is refused, or unreadable, undoes itself alone. What makes
    /// the database unavailable undoes all, and so does a failed commit.
    async fn update_together(
        &self,
        updates: &[(usize, &(ProgressId, ProgressUpdate))],
    ) -> Result<Vec<Result<Progress, ProgressError>>, ProgressError> {
        let mut outcomes = Vec::with_capacity(updates.len());
        let mut turn = self.begin().await?;
        for (_, (id, update)) in updates {
            let mut savepoint = turn.transaction.begin().await.map_err(classify)?;
            let outcome = update::apply::<D>(&mut savepoint, *id, update, self.log_limit).await;
            match &outcome {
                Ok(_) => savepoint.commit().await.map_err(classify)?,
                Err(ProgressError::Unavailable(_)) => return outcome.map(|_| Vec::new()),
                Err(_) => savepoint.rollback().await.map_err(classify)?,
            }
            outcomes.push(outcome);
        }
        turn.commit().await?;
        Ok(outcomes)
    }
}
