//! What became of each invoice: the application's own table, in the same database as the library's.

use std::collections::HashMap;
use std::str::FromStr;
use std::time::Duration;

use serde::Serialize;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

/// The table, and a few connections to it.
#[derive(Debug, Clone)]
pub struct Deliveries {
    pool: SqlitePool,
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
    /// Opens the database and brings the application's own tables up to date.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    pub async fn open(url: &str) -> Result<Self, sqlx::Error> {
        let options = SqliteConnectOptions::from_str(url)?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(Duration::from_secs(5));
        let pool = SqlitePoolOptions::new().max_connections(2).connect_with(options).await?;
        sqlx::migrate!().run(&pool).await?;
        Ok(Self { pool })
    }

    /// Notes what became of an invoice.
    ///
    /// # Errors
    ///
    /// When the database does not take it.
    pub async fn note(&self, job: &str, number: u32, outcome: &str, detail: &str) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT OR REPLACE INTO deliveries (job_id, number, outcome, detail) VALUES ($1, $2, $3, $4)",
        )
        .bind(job)
        .bind(number)
        .bind(outcome)
        .bind(detail)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// What became of the invoices `from` to `to` of a job, by number; those that still wait are missing.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn of(&self, job: &str, from: u32, to: u32) -> Result<HashMap<u32, Delivery>, sqlx::Error> {
        let rows: Vec<(u32, String, String)> = sqlx::query_as(
            "SELECT number, outcome, detail FROM deliveries WHERE job_id = $1 AND number BETWEEN $2 AND $3",
        )
        .bind(job)
        .bind(from)
        .bind(to)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|(number, outcome, detail)| (number, Delivery { outcome, detail })).collect())
    }
}
