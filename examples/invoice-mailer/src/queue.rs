//! The jobs that have not ended, for workers in any process.
//!
//! The queue lists the jobs; a job's record decides whether it runs. A worker runs the oldest job
//! whose record is pending, and of several workers only one can start it. A job stays in the queue
//! until its record has ended. So if its worker stops, or dies and a janitor notices, the record is
//! pending again, and the next worker goes on.

use std::sync::Arc;
use std::time::Duration;

use example_support::database::{Database, on_database};
use example_support::language::Language;
use progress_axum::{
    Jobs, NewProgress, ProgressError, ProgressId, ProgressQuery, ProgressStore, Status,
};
use sqlx::QueryBuilder;

/// The task type of these jobs in their records.
pub const TASK_TYPE: &str = "email_sending";

/// A job in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// The id of its record.
    pub job: ProgressId,
    /// How many invoices to send.
    pub count: u32,
    /// The language of its messages.
    pub language: Language,
}

/// The queue, a table of the database.
#[derive(Debug, Clone)]
pub struct Queue {
    database: Database,
    jobs: Jobs,
    /// Read without the cache of `jobs`, which shows later what other workers have started.
    store: Arc<dyn ProgressStore>,
}

impl Queue {
    /// The queue in this database, of jobs whose records are in `store`.
    pub fn new(database: Database, jobs: Jobs, store: Arc<dyn ProgressStore>) -> Self {
        Self { database, jobs, store }
    }

    /// Creates the record of a job and then queues the job, so that a worker always finds a record.
    ///
    /// # Errors
    ///
    /// If either fails. A job that could not be queued is cancelled. If that fails as well, or the
    /// process dies in between, [`fail_unqueued`](Self::fail_unqueued) ends it later.
    pub async fn submit(&self, job: NewProgress, order: Order) -> Result<(), ProgressError> {
        self.jobs.create(job).await?;
        let Err(error) = self.push(order).await else { return Ok(()) };
        // It may be in the queue after all, and running. A cancellation is right in both cases.
        self.jobs.cancel(order.job).await?;
        Err(ProgressError::unavailable(error))
    }

    async fn push(&self, Order { job, count, language }: Order) -> Result<(), sqlx::Error> {
        on_database!(self.database, pool => {
            let mut query = QueryBuilder::new("INSERT INTO queue (job_id, count, language) ");
            query.push_values([()], |mut row, ()| {
                row.push_bind(job.to_string()).push_bind(i64::from(count));
                row.push_bind(language.tag());
            });
            query.build().execute(pool).await.map(drop)
        })
    }

    /// Returns the oldest jobs that a worker may start, and removes those that have ended.
    ///
    /// # Errors
    ///
    /// If the store or the database is unavailable.
    pub async fn due(&self) -> Result<Vec<Order>, ProgressError> {
        let mut place = 0;
        loop {
            let page = self.after(place).await.map_err(ProgressError::unavailable)?;
            let Some((last, _)) = page.last() else { return Ok(Vec::new()) };
            place = *last;
            let ids: Vec<_> = page.iter().map(|(_, order)| order.job).collect();
            let mut due = Vec::new();
            for ((_, order), record) in page.into_iter().zip(self.store.get_many(&ids).await?) {
                let Some(record) = record.filter(|record| record.status.is_active()) else {
                    self.remove(order.job).await.map_err(ProgressError::unavailable)?;
                    continue;
                };
                let is_early = record.retry_at.is_some_and(|at| at > record.observed_at);
                if record.status == Status::Pending && !is_early {
                    due.push(order);
                }
            }
            if !due.is_empty() {
                return Ok(due);
            }
        }
    }

    /// Returns the next jobs behind a place, oldest first.
    async fn after(&self, place: i64) -> Result<Vec<(i64, Order)>, sqlx::Error> {
        let select = "SELECT place, job_id, count, language FROM queue WHERE place > ";
        let rows: Vec<(i64, String, i64, String)> = on_database!(self.database, pool => {
            let mut query = QueryBuilder::new(select);
            query.push_bind(place).push(" ORDER BY place LIMIT 50");
            query.build_query_as().fetch_all(pool).await?
        });
        let orders = rows.into_iter().map(|(place, job, count, language)| {
            let job = job.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
            let count = count.try_into().map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
            let language = Language::from_tag(&language).unwrap_or_default();
            Ok((place, Order { job, count, language }))
        });
        orders.collect()
    }

    async fn contains(&self, job: ProgressId) -> Result<bool, sqlx::Error> {
        let found: Option<(i64,)> = on_database!(self.database, pool => {
            let mut query = QueryBuilder::new("SELECT place FROM queue WHERE job_id = ");
            query.push_bind(job.to_string()).build_query_as().fetch_optional(pool).await?
        });
        Ok(found.is_some())
    }

    async fn remove(&self, job: ProgressId) -> Result<(), sqlx::Error> {
        on_database!(self.database, pool => {
            let mut query = QueryBuilder::new("DELETE FROM queue WHERE job_id = ");
            query.push_bind(job.to_string()).build().execute(pool).await.map(drop)
        })
    }

    /// Fails the jobs that have been pending for `grace` and are not in the queue, because the
    /// process that created them died before it queued them. The janitor does not end pending jobs.
    ///
    /// # Errors
    ///
    /// If the store or the database is unavailable.
    pub async fn fail_unqueued(&self, grace: Duration) -> Result<u64, ProgressError> {
        let mut query = ProgressQuery::new().with_task_type(TASK_TYPE).with_status(Status::Pending);
        let mut failed = 0;
        loop {
            let page = self.jobs.list(&query).await?;
            for job in &page.items {
                let age = (job.observed_at - job.created_at).to_std().unwrap_or_default();
                if age < grace || self.contains(job.id).await.map_err(ProgressError::unavailable)? {
                    continue;
                }
                match self.jobs.fail(job.id, Language::default().not_queued()).await {
                    Ok(_) => failed += 1,
                    // It has ended, and has left the queue for that reason.
                    Err(ProgressError::Refused { .. } | ProgressError::NotFound(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            let Some(next) = page.next else { return Ok(failed) };
            query = query.with_cursor(next);
        }
    }
}
