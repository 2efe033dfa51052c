//! The queue of jobs: apalis on SQLite, PostgreSQL or Redis.
//!
//! It delivers a job to one worker, and again when that worker has died. Whether the job runs then
//! is decided by its record.

use std::time::Duration;

use apalis_postgres::{PgPool, PostgresStorage};
use apalis_redis::{ConnectionManager, RedisStorage};
use apalis_sqlite::{SqlitePool, SqliteStorage};
use example_support::language::Language;
use progress_apalis::SubmitError;
use progress_axum::{Jobs, NewProgress, Progress, ProgressId};
use serde::{Deserialize, Serialize};

/// The task type of these jobs in their records.
pub const TASK_TYPE: &str = "email_sending";

/// The invoices of a job: 1 to `count`, without those that earlier jobs have sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Batch {
    /// The number of the last invoice.
    pub count: u32,
    /// The jobs whose unsent invoices this one sends again, oldest first. They have ended.
    #[serde(default)]
    pub again_of: Vec<ProgressId>,
}

impl Batch {
    /// Returns the batch of a job, which is in the metadata of its record.
    pub(crate) fn of(job: &Progress) -> Self {
        let batch = job.metadata.as_ref().and_then(|batch| Self::deserialize(batch).ok());
        // A job of an earlier version of this program.
        let count = || u32::try_from(job.total.unwrap_or(0)).unwrap_or(0);
        batch.unwrap_or_else(|| Self { count: count(), again_of: Vec::new() })
    }
}

/// What a job does.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Order {
    /// The invoices to send.
    #[serde(flatten)]
    pub batch: Batch,
    /// The language of its messages.
    pub language: Language,
}

/// The queue. An application that knows its kind of database has one of these types in its place.
#[derive(Clone)]
pub enum Queue {
    /// In a file.
    Sqlite(SqliteStorage<Order>),
    /// In the schema `apalis` of a database.
    Postgres(PostgresStorage<Order>),
    /// In keys that begin with the name of the queue.
    Redis(RedisStorage<Order>),
}

/// Evaluates an expression with `$storage` bound to the queue of whichever kind `$queue` is.
macro_rules! on_queue {
    ($queue:expr, $storage:pat => $work:expr) => {
        match $queue {
            $crate::queue::Queue::Sqlite($storage) => $work,
            $crate::queue::Queue::Postgres($storage) => $work,
            $crate::queue::Queue::Redis($storage) => $work,
        }
    };
}
pub(crate) use on_queue;

/// Configures a queue of any kind. A worker is missed just after the lease of its jobs has ended.
macro_rules! configure {
    ($config:expr, $lease:expr) => {
        $config
            .queue("invoice-mailer")
            .heartbeat_interval($lease / 9)
            .missed_heartbeats(10)
            // A worker takes only the jobs that it runs, and leaves the others to the next worker.
            .batch_size(1)
    };
}

impl Queue {
    pub(crate) fn sqlite(pool: &SqlitePool, lease: Duration) -> Self {
        let config = configure!(apalis_sqlite::Config::default(), lease);
        Self::Sqlite(SqliteStorage::new(pool).with_config(config))
    }

    pub(crate) fn postgres(pool: &PgPool, lease: Duration) -> Self {
        let config = configure!(apalis_postgres::Config::default(), lease);
        Self::Postgres(PostgresStorage::new(pool).with_config(config))
    }

    pub(crate) fn redis(connection: ConnectionManager, lease: Duration) -> Self {
        let config = configure!(apalis_redis::Config::default(), lease);
        Self::Redis(RedisStorage::new(connection).with_config(config))
    }

    /// Creates the record of a job and queues the job.
    ///
    /// # Errors
    ///
    /// If either fails. The record of a job that could not be queued has failed.
    pub async fn submit(
        &self,
        jobs: &Jobs,
        job: NewProgress,
        order: Order,
    ) -> Result<Progress, SubmitError> {
        on_queue!(self.clone(), mut storage =>
            progress_apalis::submit(jobs, &mut storage, job, order).await)
    }
}
