//! One writer at a time: first among the tasks of this process, in the order of their coming, then among processes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use progress_core::ProgressError;
use sqlx::Transaction;
use sqlx::sqlite::{Sqlite, SqlitePool};
use tokio::sync::Mutex;

use super::codes::is_busy;
use super::statements::STATEMENTS;
use super::watch::Watch;
use crate::dialect::Turn;
use crate::error::classify;
use crate::store::Body;

/// How long a task waits for the others of its process. Longer than they wait for other processes, so that a locked file
/// is reported as such.
const TURN_TIMEOUT: Duration = Duration::from_secs(30);
/// SQLite itself would soon ask for the lock only every 100 ms, and a busy process leaves gaps of less than one.
const PAUSE: Duration = Duration::from_millis(1);

/// What the clones of a store share.
#[derive(Debug, Clone, Default)]
pub(crate) struct Turns {
    /// Whose turn it is to write, among the tasks of this store; and what those have seen who had theirs to sweep.
    turn: Arc<Mutex<Watch>>,
    /// How long to wait for other processes, beyond the busy timeout of the connection.
    pub(super) patience: Duration,
}

/// A transaction that holds the write lock.
pub(super) async fn begin(body: &Body<Sqlite>) -> Result<Turn<Sqlite>, ProgressError> {
    let turns = &body.shared;
    let turn = tokio::time::timeout(TURN_TIMEOUT, turns.turn.clone().lock_owned()).await;
    let guard =
        turn.map_err(|_| ProgressError::unavailable("too many updates wait for their turn"))?;
    let writer = body.pools.writer();
    let started = Instant::now();
    loop {
        match begin_now(&writer).await {
            Err(error) if is_busy(&error) && started.elapsed() < turns.patience => {
                tokio::time::sleep(PAUSE).await;
            }
            outcome => {
                let transaction = outcome.map_err(classify)?;
                return Ok(Turn { transaction, guard });
            }
        }
    }
}

async fn begin_now(writer: &SqlitePool) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
    match writer.begin_with(STATEMENTS.begin).await {
        // A failed write to the disk can make SQLite roll back by itself. sqlx does not notice, and takes the
        // connection to be inside a transaction for ever.
        Err(sqlx::Error::InvalidSavePointStatement) => {
            let connection = writer.acquire().await?;
            if sqlx::Connection::is_in_transaction(&*connection) {
                connection.close().await?;
            }
            writer.begin_with(STATEMENTS.begin).await
        }
        outcome => outcome,
    }
}
