//! Reads and the creation of records.

use std::collections::HashMap;

use chrono::DateTime;
use progress_core::{
    EntryPage, Heartbeat, NewProgress, Progress, ProgressError, ProgressId, ProgressPage,
    ProgressQuery, Status,
};

use crate::dialect::{Dialect, ListPage, LogPage};
use crate::error::classify;
use crate::store::{Operation, Session, SqlStore};
use crate::value::{Value, values};
use crate::{row, rows};

/// Runs one statement that reads.
struct Read {
    statement: &'static str,
    values: Vec<Value>,
}

impl<D: Dialect> Operation<D> for Read {
    const WRITES: bool = false;
    type Output = Vec<D::Cells>;

    async fn run(&self, session: &mut Session<'_, D>) -> Result<Vec<D::Cells>, ProgressError> {
        session.fetch(self.statement, self.values.clone()).await
    }
}

/// Creates a record.
struct Create<'a>(&'a NewProgress);

impl<D: Dialect> Operation<D> for Create<'_> {
    const WRITES: bool = true;
    type Output = Progress;

    async fn run(&self, session: &mut Session<'_, D>) -> Result<Progress, ProgressError> {
        let clock = session.fetch(D::STATEMENTS.clock, Vec::new()).await?;
        let clock = clock.first().ok_or_else(|| classify(sqlx::Error::RowNotFound))?;
        let progress = Progress::new(self.0, row::clock::<D>(clock)?)?;
        match session.try_fetch(D::STATEMENTS.create, rows::create(&progress)).await {
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
                Err(ProgressError::AlreadyExists(progress.id))
            }
            outcome => outcome.map(|_| progress).map_err(classify),
        }
    }
}

impl<D: Dialect> SqlStore<D> {
    async fn read(
        &self,
        statement: &'static str,
        values: Vec<Value>,
    ) -> Result<Vec<D::Cells>, ProgressError> {
        self.call(Read { statement, values }).await
    }

    pub(crate) async fn create(&self, job: &NewProgress) -> Result<Progress, ProgressError> {
        // Rejects an invalid job without a connection.
        Progress::new(job, DateTime::UNIX_EPOCH)?;
        let created = self.call(Create(job)).await?;
        self.announce(std::iter::once((created.id, created.version))).await;
        Ok(created)
    }

    pub(crate) async fn get(&self, id: ProgressId) -> Result<Option<Progress>, ProgressError> {
        let found = self.read(D::STATEMENTS.get, values![id.to_string()]).await?;
        found.first().map(row::progress::<D>).transpose()
    }

    pub(crate) async fn get_many(
        &self,
        ids: &[ProgressId],
    ) -> Result<Vec<Option<Progress>>, ProgressError> {
        let values = values![rows::ids(ids.iter().copied())?];
        let mut found = HashMap::new();
        for row in &self.read(D::STATEMENTS.get_many, values).await? {
            let progress = row::progress::<D>(row)?;
            found.insert(progress.id, progress);
        }
        Ok(ids.iter().map(|id| found.get(id).cloned()).collect())
    }

    pub(crate) async fn list(&self, query: &ProgressQuery) -> Result<ProgressPage, ProgressError> {
        let has_nul = |text: Option<&str>| text.is_some_and(|text| text.contains('\0'));
        // No record contains a NUL, and PostgreSQL rejects it in a parameter.
        if query.statuses().is_empty() || has_nul(query.owner()) || has_nul(query.task_type()) {
            return Ok(ProgressPage::from_one_more(Vec::new(), query.limit()));
        }
        // The first page begins at the largest integer, because no time is later.
        let (before, before_id) = match query.after() {
            Some(cursor) => (cursor.created_at().timestamp_millis(), cursor.id().to_string()),
            None => (i64::MAX, String::new()),
        };
        let is_any_status = query.statuses().len() == Status::ALL.len();
        let statements = D::STATEMENTS;
        let statement = match (query.owner(), query.task_type(), is_any_status) {
            (None, None, true) => statements.list,
            (None, None, false) => statements.list_by_status,
            (None, Some(_), _) => statements.list_by_type,
            (Some(_), None, true) => statements.list_of_owner,
            (Some(_), None, false) => statements.list_of_owner_by_status,
            (Some(_), Some(_), _) => statements.list_of_owner_by_type,
        };
        let is_merged = query.task_type().is_some() || !is_any_status;
        let values = D::list(ListPage {
            before,
            before_id,
            limit: query.limit() + 1,
            statuses: is_merged.then(|| query.statuses().to_vec()),
            task_type: query.task_type().map(str::to_owned),
            owner: query.owner().map(str::to_owned),
        })?;
        let found = self.read(statement, values).await?;
        let items = found.iter().map(row::progress::<D>).collect::<Result<_, _>>()?;
        Ok(ProgressPage::from_one_more(items, query.limit()))
    }

    pub(crate) async fn entries(
        &self,
        id: ProgressId,
        after: u64,
        limit: u32,
    ) -> Result<EntryPage, ProgressError> {
        let page = LogPage { id: id.to_string(), after, limit, kept: self.log_limit };
        let values = D::entries(page);
        let found = self.read(D::STATEMENTS.entries, values).await?;
        let (last, kept, _) = row::log::<D>(found.first().ok_or(ProgressError::NotFound(id))?)?;
        let entries = found.iter().map(|row| row::log::<D>(row).map(|log| log.2));
        let entries: Vec<_> = entries.filter_map(Result::transpose).collect::<Result<_, _>>()?;
        Ok(EntryPage {
            next_after: entries.last().map_or(after, |entry| entry.seq),
            entries,
            dropped: last.saturating_sub(kept),
        })
    }

    pub(crate) async fn unannounced(&self, limit: u32) -> Result<Vec<Progress>, ProgressError> {
        let due = self.read(D::STATEMENTS.unannounced, values![limit]).await?;
        let readable = due.iter().filter_map(|row| match row::progress::<D>(row) {
            Ok(progress) => Some(progress),
            // As in `heartbeats`.
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "skipping an announcement with an unreadable record");
                None
            }
        });
        Ok(readable.collect())
    }

    pub(crate) async fn heartbeats(&self) -> Result<Vec<Heartbeat>, ProgressError> {
        let found = self.read(D::STATEMENTS.heartbeats, Vec::new()).await?;
        let readable = found.iter().filter_map(|row| match row::heartbeat::<D>(row) {
            Ok(heartbeat) => Some(heartbeat),
            // One unreadable record must not hide the others.
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "skipping a running job with an unreadable heartbeat");
                None
            }
        });
        Ok(readable.collect())
    }
}
