//! The result of each mail, in a table of the application's own.

use std::collections::HashMap;

use example_support::database::{Database, on_database};
use progress_axum::ProgressId;
use serde::Serialize;
use sqlx::QueryBuilder;
use sqlx::error::DatabaseError;

/// The table of results.
#[derive(Debug, Clone)]
pub struct Deliveries {
    database: Database,
}

/// The result of one mail.
#[derive(Debug, Serialize)]
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
}

impl Deliveries {
    /// The results in this database.
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Saves the result of a mail. May be repeated: a saved result does not change.
    pub(crate) async fn save(
        &self,
        job: ProgressId,
        number: u32,
        delivery: &Delivery,
    ) -> Result<(), sqlx::Error> {
        let insert = "INSERT INTO deliveries (job_id, number, outcome, detail) ";
        let inserted = on_database!(self.database, pool => {
            let mut query = QueryBuilder::new(insert);
            query.push_values([delivery], |mut row, Delivery { outcome, detail }| {
                row.push_bind(job.to_string()).push_bind(i64::from(number));
                row.push_bind(outcome.clone()).push_bind(detail.clone());
            });
            query.build().execute(pool).await.map(drop)
        });
        inserted.or_else(|error| match error.as_database_error() {
            // The first attempt succeeded, although its acknowledgement was lost.
            Some(error) if DatabaseError::is_unique_violation(error) => Ok(()),
            _ => Err(error),
        })
    }

    /// Returns the results of the invoices `from` to `to` of a job by their numbers, without those
    /// that were not sent yet.
    pub(crate) async fn of(
        &self,
        job: ProgressId,
        from: u32,
        to: u32,
    ) -> Result<HashMap<i64, Delivery>, sqlx::Error> {
        let select = "SELECT number, outcome, detail FROM deliveries WHERE job_id = ";
        let rows: Vec<(i64, String, String)> = on_database!(self.database, pool => {
            let mut query = QueryBuilder::new(select);
            query.push_bind(job.to_string());
            query.push(" AND number BETWEEN ").push_bind(i64::from(from));
            query.push(" AND ").push_bind(i64::from(to));
            query.build_query_as().fetch_all(pool).await?
        });
        let deliveries = rows
            .into_iter()
            .map(|(number, outcome, detail)| (number, Delivery { outcome, detail }));
        Ok(deliveries.collect())
    }
}
