//! The library's own migrations. sqlx's would share `_sqlx_migrations` with the application's, and do not lock SQLite.

use progress_core::ProgressError;
use sqlx::sqlite::SqliteConnection;

use super::connect::Patience;
use super::{SqliteStore, statements};
use crate::error::classify;

impl SqliteStore {
    /// Makes the tables, or brings those of an earlier version up to date, in one transaction. Any number of processes may
    /// do so at once, beside the application's own migrations, before or after them.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](ProgressError::Unavailable) when the database stays locked; [`Store`](ProgressError::Store) when
    /// its tables are newer than this program, or in the way.
    pub async fn migrate(&self) -> Result<(), ProgressError> {
        let mut patience = Patience::new();
        let steps = loop {
            match self.try_to_migrate().await {
                Ok(steps) => break steps,
                Err(error) => patience.after(error).await.map_err(classify)?,
            }
        };
        if steps > 0 {
            tracing::info!(steps, "progress tables migrated");
        }
        Ok(())
    }

    async fn try_to_migrate(&self) -> Result<usize, sqlx::Error> {
        let mut transaction = self.writer.begin_with(statements::BEGIN).await?;
        let steps = migrate(&mut transaction, statements::MIGRATIONS).await?;
        transaction.commit().await?;
        Ok(steps)
    }

    /// What [`migrate`](Self::migrate) runs, for those who have a migration tool of their own: one script per version,
    /// each of which also records its version. A script that was released never changes.
    ///
    /// ```
    /// # use progress_sqlx::SqliteStore;
    /// assert!(SqliteStore::migrations_sql()[0].contains("CREATE TABLE progress_records"));
    /// ```
    #[must_use]
    pub const fn migrations_sql() -> &'static [&'static str] {
        statements::MIGRATIONS
    }
}

/// Runs the scripts that are missing and returns how many.
async fn migrate(transaction: &mut SqliteConnection, scripts: &[&'static str]) -> Result<usize, sqlx::Error> {
    let tables: i64 = sqlx::query_scalar(statements::HAS_SCHEMA).fetch_one(&mut *transaction).await?;
    let found: i64 = match tables {
        0 => 0,
        _ => sqlx::query_scalar(statements::SCHEMA_VERSION).fetch_one(&mut *transaction).await?,
    };
    let known = scripts.len();
    let missing = usize::try_from(found).ok().and_then(|found| scripts.get(found..)).ok_or_else(|| {
        sqlx::Error::Protocol(format!(
            "the progress tables have version {found}, this program knows up to {known}; upgrade the program"
        ))
    })?;
    for script in missing {
        sqlx::raw_sql(*script).execute(&mut *transaction).await?;
    }
    Ok(missing.len())
}
