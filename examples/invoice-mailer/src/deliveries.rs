//! What became of each invoice.

use std::collections::HashMap;

use progress_axum::ProgressId;
use serde::Serialize;
use sqlx::QueryBuilder;

use crate::database::{Database, on};

/// The table of what became of each invoice.
#[derive(Debug, Clone)]
pub struct Deliveries {
    database: Database,
}

/// What became of one invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// `sent`, `refused` by the server, or `failed` for another reason.
    pub outcome: String,
    /// The server's words.
    pub detail: String,
}

impl Deliveries {
    /// Those in this database.
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Notes what became of an invoice. What has been noted before stays as it is, so this may be repeated.
    ///
    /// # Errors
    ///
    /// When the database does not take it.
    pub async fn note(
        &self,
        job: ProgressId,
        number: u32,
        delivery: &Delivery,
    ) -> Result<(), sqlx::Error> {
        let insert = "INSERT INTO deliveries (job_id, number, outcome, detail) ";
        let inserted = on!(self.database, pool => {
            let mut query = QueryBuilder::new(insert);
            query.push_values([delivery], |mut row, Delivery { outcome, detail }| {
                row.push_bind(job.to_string()).push_bind(i64::from(number));
                row.push_bind(outcome.clone()).push_bind(detail.clone());
            });
            query.build().execute(pool).await.map(drop)
        });
        match inserted {
            Err(error) if is_noted_already(&error) => Ok(()),
            inserted => inserted,
        }
    }

    /// What became of the invoices `from` to `to` of a job, by number; those that still wait are missing.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn of(
        &self,
        job: ProgressId,
        from: u32,
        to: u32,
    ) -> Result<HashMap<u32, Delivery>, sqlx::Error> {
        let rows: Vec<(i64, String, String)> = on!(self.database, pool => {
            let mut query = QueryBuilder::new("SELECT number, outcome, detail FROM deliveries WHERE job_id = ");
            query.push_bind(job.to_string());
            query.push(" AND number BETWEEN ").push_bind(i64::from(from));
            query.push(" AND ").push_bind(i64::from(to));
            query.build_query_as().fetch_all(pool).await?
        });
        let noted = rows.into_iter().filter_map(|(number, outcome, detail)| {
            Some((u32::try_from(number).ok()?, Delivery { outcome, detail }))
        });
        Ok(noted.collect())
    }
}

/// The first attempt got through although nobody could say so.
fn is_noted_already(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}
