//! The jobs that wait for a worker, which may be another process.
//!
//! The queue says what is to be done; who does it is decided by the job's record. A worker takes a job by starting it, which
//! a record allows once, whatever happens on the way; only then it removes the job from the queue. So no job is done
//! twice, and none is lost between the two: a worker that dies in between leaves a running record, which the janitor fails, and
//! a line in the queue, which the next worker strikes out because the record refuses to start again.

use std::time::Duration;

use progress_axum::{
    Delta, Jobs, NewProgress, ProgressError, ProgressId, ProgressQuery, ProgressStore,
    ProgressUpdate, Status,
};
use sqlx::QueryBuilder;

use crate::database::{Database, on};
use crate::language::Language;

/// The kind of job, as records name it.
pub const TASK_TYPE: &str = "email_sending";

/// A job that waits for a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// Its record.
    pub job: ProgressId,
    /// How many invoices are to be sent.
    pub count: u32,
    /// What the people speak who will read how it goes.
    pub language: Language,
}

/// The table of them.
#[derive(Debug, Clone)]
pub struct Queue {
    database: Database,
}

impl Queue {
    /// The one in this database.
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Makes the record of a job, and only then queues it: a worker that finds the one finds the other.
    ///
    /// # Errors
    ///
    /// When either cannot be done. A record that could not be queued is cancelled; when not even that is possible, or this
    /// process dies in between, [`give_up_forgotten`](Self::give_up_forgotten) ends it later.
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
        // It may be in the queue all the same, and begun: a request to cancel is right for both.
        jobs.cancel(order.job).await?;
        Err(ProgressError::unavailable(error))
    }

    async fn push(&self, order: Order) -> Result<(), sqlx::Error> {
        on!(self.database, pool => {
            let mut query = QueryBuilder::new("INSERT INTO queue (job_id, count, language) ");
            query.push_values([order], |mut row, Order { job, count, language }| {
                row.push_bind(job.to_string()).push_bind(i64::from(count)).push_bind(language.tag());
            });
            query.build().execute(pool).await.map(drop)
        })
    }

    /// The job that has waited longest.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn first(&self) -> Result<Option<Order>, sqlx::Error> {
        let select = "SELECT job_id, count, language FROM queue ORDER BY place LIMIT 1";
        let row: Option<(String, i64, String)> = on!(self.database, pool => {
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

    /// Whether a job waits.
    async fn contains(&self, job: ProgressId) -> Result<bool, sqlx::Error> {
        let found: Option<(i64,)> = on!(self.database, pool => {
            let mut query = QueryBuilder::new("SELECT place FROM queue WHERE job_id = ");
            query.push_bind(job.to_string()).build_query_as().fetch_optional(pool).await?
        });
        Ok(found.is_some())
    }

    /// Strikes a job out.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn remove(&self, job: ProgressId) -> Result<(), sqlx::Error> {
        on!(self.database, pool => {
            let mut query = QueryBuilder::new("DELETE FROM queue WHERE job_id = ");
            query.push_bind(job.to_string()).build().execute(pool).await.map(drop)
        })
    }

    /// Fails the jobs that have waited for `grace` and are not in the queue: whoever made them died before they were queued.
    /// A pending job is nobody's concern but the queue's, so nobody else would ever end it.
    ///
    /// `store` must not be a cache: a record that is a moment old says pending of a job that another process has begun.
    ///
    /// # Errors
    ///
    /// When the store or the database does not answer.
    pub async fn give_up_forgotten(
        &self,
        store: &dyn ProgressStore,
        grace: Duration,
    ) -> Result<u64, ProgressError> {
        let mut query = ProgressQuery::new().with_task_type(TASK_TYPE).with_status(Status::Pending);
        let mut given_up = 0;
        loop {
            let page = store.list(&query).await?;
            for job in &page.items {
                let age = (job.observed_at - job.created_at).to_std().unwrap_or_default();
                if age < grace || self.contains(job.id).await.map_err(ProgressError::unavailable)? {
                    continue;
                }
                // It left the queue, or was never in it: the record tells.
                if store.get(job.id).await?.is_none_or(|job| job.status != Status::Pending) {
                    continue;
                }
                let update = ProgressUpdate::fail(Delta::new(), Language::default().not_queued());
                match store.update(job.id, &update).await {
                    Ok(_) => given_up += 1,
                    // A viewer cancelled it meanwhile.
                    Err(ProgressError::Refused { .. } | ProgressError::NotFound(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            let Some(next) = page.next else {
                return Ok(given_up);
            };
            query = query.with_cursor(next);
        }
    }
}

fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}
