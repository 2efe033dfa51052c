//! The result of each mail, which is the application's own data.

use std::collections::{BTreeSet, HashMap};

use apalis_redis::ConnectionManager;
use progress_axum::{BoxError, ProgressId};
use serde::{Deserialize, Serialize};
use serde_json::from_str;
use sqlx::{PgPool, SqlitePool};

use crate::queue::Batch;

/// Where the results are: at the same address as the records.
#[derive(Debug, Clone)]
pub enum Deliveries {
    /// In a table beside those of the records.
    Sqlite(SqlitePool),
    /// In a table beside those of the records.
    Postgres(PgPool),
    /// In a hash for each job.
    Redis(ConnectionManager),
}

/// The result of one mail.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Delivery {
    /// `sent`, `refused` by the mail server, or `failed` without a reply.
    pub(crate) outcome: String,
    /// The reply of the mail server, or another reason.
    pub(crate) detail: String,
}

impl Delivery {
    pub(crate) fn new(outcome: &str, detail: &str) -> Self {
        Self { outcome: outcome.to_owned(), detail: detail.to_owned() }
    }

    pub(crate) fn is_sent(&self) -> bool {
        self.outcome == "sent"
    }
}

// SQLite and PostgreSQL understand the same statements.
const SAVE: &str = "INSERT INTO deliveries (job_id, number, outcome, detail) \
     VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
const READ: &str = "SELECT number, outcome, detail FROM deliveries \
     WHERE job_id = $1 AND number BETWEEN $2 AND $3";

impl Deliveries {
    /// Saves the result of a mail. May be repeated: a saved result does not change.
    pub(crate) async fn save(
        &self,
        job: ProgressId,
        number: u32,
        delivery: &Delivery,
    ) -> Result<(), BoxError> {
        let Delivery { outcome, detail } = delivery;
        match self {
            Self::Sqlite(pool) => {
                let query = sqlx::query(SAVE).bind(job.to_string()).bind(i64::from(number));
                query.bind(outcome).bind(detail).execute(pool).await?;
            }
            Self::Postgres(pool) => {
                let query = sqlx::query(SAVE).bind(job.to_string()).bind(i64::from(number));
                query.bind(outcome).bind(detail).execute(pool).await?;
            }
            Self::Redis(connection) => {
                let mut command = redis::cmd("HSETNX");
                command.arg(key(job)).arg(number).arg(serde_json::to_string(delivery)?);
                command.exec_async(&mut connection.clone()).await?;
            }
        }
        Ok(())
    }

    /// Returns the results of the invoices `from` to `to` of a job by their numbers, without those
    /// that were not sent yet.
    pub(crate) async fn of(
        &self,
        job: ProgressId,
        from: u32,
        to: u32,
    ) -> Result<HashMap<u32, Delivery>, BoxError> {
        let rows: Vec<(i64, String, String)> = match self {
            Self::Sqlite(pool) => {
                let query = sqlx::query_as(READ).bind(job.to_string());
                query.bind(i64::from(from)).bind(i64::from(to)).fetch_all(pool).await?
            }
            Self::Postgres(pool) => {
                let query = sqlx::query_as(READ).bind(job.to_string());
                query.bind(i64::from(from)).bind(i64::from(to)).fetch_all(pool).await?
            }
            Self::Redis(connection) => {
                let mut command = redis::cmd("HMGET");
                command.arg(key(job)).arg((from..=to).collect::<Vec<_>>());
                let found: Vec<Option<String>> =
                    command.query_async(&mut connection.clone()).await?;
                let found = (from..=to).zip(found);
                let found = found.filter_map(|(number, text)| Some((number, text?)));
                return found.map(|(number, text)| Ok((number, from_str(&text)?))).collect();
            }
        };
        let rows = rows.into_iter().map(|(number, outcome, detail)| {
            Ok((u32::try_from(number)?, Delivery { outcome, detail }))
        });
        rows.collect()
    }

    /// Returns the numbers `from` to `to` of a batch in their order, without those that an earlier
    /// job has sent. The results of jobs that have ended do not change, so neither does this.
    pub(crate) async fn numbers(
        &self,
        batch: &Batch,
        from: u32,
        to: u32,
    ) -> Result<BTreeSet<u32>, BoxError> {
        let to = to.min(batch.count);
        let mut numbers: BTreeSet<_> = (from..=to).collect();
        for job in &batch.again_of {
            for (number, delivery) in self.of(*job, from, to).await? {
                if delivery.is_sent() {
                    numbers.remove(&number);
                }
            }
        }
        Ok(numbers)
    }
}

fn key(job: ProgressId) -> String {
    format!("invoice-mailer:deliveries:{job}")
}
