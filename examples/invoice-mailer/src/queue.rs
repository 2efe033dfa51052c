//! The jobs that wait for a worker, which may run in another process.
//!
//! The queue lists the jobs; a job's record decides which worker runs it. A worker first starts the
//! record, which succeeds only once, and then removes the job from the queue. So no job runs twice
//! and none is lost. If the worker dies in between, the janitor fails the running record, and the
//! next worker removes the job from the queue because its record cannot start again.

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
}

impl Queue {
    /// The queue in this database.
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Creates the record of a job and then queues the job, so that a worker always finds a record.
    ///
    /// # Errors
    ///
    /// If either fails. A job that could not be queued is cancelled. If that fails as well, or the
    /// process dies in between, [`fail_unqueued`](Self::fail_unqueued) ends it later.
    pub async fn submit(
        &self,
        jobs: &Jobs,
        job: NewProgress,
        order: Order,
    ) -> Result<(), ProgressError> {
        jobs.create(job).await?;
        let Err(error) = self.push(order).await else {
            return Ok(());
        };
        // It may be in the queue after all, and running. A cancellation is right in both cases.
        jobs.cancel(order.job).await?;
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

    /// Returns the job that has waited longest.
    ///
    /// # Errors
    ///
    /// If the database is unavailable.
    pub async fn first(&self) -> Result<Option<Order>, sqlx::Error> {
        let select = "SELECT job_id, count, language FROM queue ORDER BY place LIMIT 1";
        let row: Option<(String, i64, String)> = on_database!(self.database, pool => {
            sqlx::query_as(select).fetch_optional(pool).await?
        });
        row.map(|(job, count, language)| {
            Ok(Order {
                job: job.parse().map_err(unreadable)?,
                count: count.try_into().map_err(unreadable)?,
                language: Language::from_tag(&language).unwrap_or_default(),
            })
        })
        .transpose()
    }

    async fn contains(&self, job: ProgressId) -> Result<bool, sqlx::Error> {
        let found: Option<(i64,)> = on_database!(self.database, pool => {
            let mut query = QueryBuilder::new("SELECT place FROM queue WHERE job_id = ");
            query.push_bind(job.to_string()).build_query_as().fetch_optional(pool).await?
        });
        Ok(found.is_some())
    }

    /// Removes a job from the queue.
    ///
    /// # Errors
    ///
    /// If the database is unavailable.
    pub async fn remove(&self, job: ProgressId) -> Result<(), sqlx::Error> {
        on_database!(self.database, pool => {
            let mut query = QueryBuilder::new("DELETE FROM queue WHERE job_id = ");
            query.push_bind(job.to_string()).build().execute(pool).await.map(drop)
        })
    }

    /// Fails the jobs that have been pending for `grace` and are not in the queue, because the
    /// process that created them died before it queued them. The janitor does not end pending jobs.
    ///
    /// `store` is that of `jobs`. It is read without their cache, which may show a job as pending
    /// that another process has started.
    ///
    /// # Errors
    ///
    /// If the store or the database is unavailable.
    pub async fn fail_unqueued(
        &self,
        jobs: &Jobs,
        store: &dyn ProgressStore,
        grace: Duration,
    ) -> Result<u64, ProgressError> {
        let mut query = ProgressQuery::new().with_task_type(TASK_TYPE).with_status(Status::Pending);
        let mut failed = 0;
        loop {
            let page = store.list(&query).await?;
            for job in &page.items {
                let age = (job.observed_at - job.created_at).to_std().unwrap_or_default();
                if age < grace || self.contains(job.id).await.map_err(ProgressError::unavailable)? {
                    continue;
                }
                // It has left the queue since, if its record is no longer pending.
                if store.get(job.id).await?.is_none_or(|job| job.status != Status::Pending) {
                    continue;
                }
                match jobs.fail(job.id, Language::default().not_queued()).await {
                    Ok(_) => failed += 1,
                    // A viewer has cancelled it.
                    Err(ProgressError::Refused { .. } | ProgressError::NotFound(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            let Some(next) = page.next else {
                return Ok(failed);
            };
            query = query.with_cursor(next);
        }
    }
}

fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}
