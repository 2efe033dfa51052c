use progress_core::ProgressError;
use sqlx::sqlite::Sqlite;

use super::connect::Patience;
use super::{SqliteStore, statements};
use crate::error::classify;
use crate::migrate;

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
        migrate::report(steps);
        Ok(())
    }

    async fn try_to_migrate(&self) -> Result<usize, sqlx::Error> {
        let mut transaction =
            self.body.pools.writer().begin_with(statements::STATEMENTS.begin).await?;
        let steps = migrate::run::<Sqlite>(&mut transaction).await?;
        transaction.commit().await?;
        Ok(steps)
    }
}
