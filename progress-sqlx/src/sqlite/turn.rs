//! One writer at a time: first among the tasks of this process, in the order of their coming, then among processes.

use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use progress_core::ProgressError;
use sqlx::sqlite::{Sqlite, SqliteConnection};
use sqlx::{Connection as _, Transaction};
use tokio::sync::OwnedMutexGuard;

use super::{SqliteStore, statements};
use crate::error::{classify, is_busy};

/// How long a task waits for the others of its process. Longer than they wait for other processes, so that a locked file
/// is reported as such.
const TURN_TIMEOUT: Duration = Duration::from_secs(30);
/// SQLite itself would soon ask for the lock only every 100 ms, and a busy process leaves gaps of less than one.
const PAUSE: Duration = Duration::from_millis(1);

/// A transaction that holds the write lock. Dropped without a commit, also by a cancelled call, it is rolled back before
/// anybody else gets its connection.
pub(super) struct Turn {
    // Before the guard: fields are dropped in this order.
    transaction: Transaction<'static, Sqlite>,
    _guard: OwnedMutexGuard<()>,
}

impl SqliteStore {
    pub(super) async fn begin(&self) -> Result<Turn, ProgressError> {
        let turn = tokio::time::timeout(TURN_TIMEOUT, self.turn.clone().lock_owned()).await;
        let guard = turn.map_err(|_| ProgressError::unavailable("too many updates wait for their turn"))?;
        let started = Instant::now();
        loop {
            match self.begin_now().await {
                Err(error) if is_busy(&error) && started.elapsed() < self.patience => {
                    tokio::time::sleep(PAUSE).await;
                }
                outcome => {
                    let transaction = outcome.map_err(classify)?;
                    return Ok(Turn { transaction, _guard: guard });
                }
            }
        }
    }

    async fn begin_now(&self) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
        match self.writer.begin_with(statements::BEGIN).await {
            // A failed write to the disk can make SQLite roll back by itself. sqlx does not notice, and takes the
            // connection to be inside a transaction for ever.
            Err(sqlx::Error::InvalidSavePointStatement) => {
                let connection = self.writer.acquire().await?;
                if connection.is_in_transaction() {
                    connection.close().await?;
                }
                self.writer.begin_with(statements::BEGIN).await
            }
            outcome => outcome,
        }
    }
}

impl Turn {
    pub(super) async fn commit(self) -> Result<(), ProgressError> {
        self.transaction.commit().await.map_err(classify)
    }
}

impl Deref for Turn {
    type Target = SqliteConnection;

    fn deref(&self) -> &Self::Target {
        &self.transaction
    }
}

impl DerefMut for Turn {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.transaction
    }
}
