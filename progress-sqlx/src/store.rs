//! How the calls of all stores run: on which thread, with which deadline, and how often.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use progress_core::{DEFAULT_LOG_LIMIT, ProgressError, ProgressId, StoreThread};
use sqlx::Pool;
use sqlx::pool::PoolConnection;
use tokio::sync::Semaphore;

use crate::dialect::{Deadlines, Dialect};
use crate::error::{Attempts, classify, classify_commit, kind_of};
use crate::pools::{ConnectionGuard, Pools};
use crate::update::BatchSize;
use crate::value::Value;

/// How many connections may wait for a record's lock at the same time. The others stay available.
const MAX_LOCK_WAITERS: usize = 2;

/// The implementation that all stores share.
pub(crate) struct SqlStore<D: Dialect> {
    pub(crate) log_limit: u32,
    pub(crate) deadlines: Deadlines,
    /// Whether other processes are notified of writes.
    pub(crate) notifies: bool,
    pub(crate) state: Arc<StoreState<D>>,
}

/// State that the clones of a store share.
pub(crate) struct StoreState<D: Dialect> {
    pub(crate) pools: Pools<D>,
    pub(crate) dialect_state: D::DialectState,
    pub(crate) batch_size: BatchSize,
    lock_waiters: Semaphore,
    pub(crate) thread: StoreThread,
}

// Not derived, because a derived `Clone` would require `D: Clone`.
impl<D: Dialect> Clone for SqlStore<D> {
    fn clone(&self) -> Self {
        Self { state: Arc::clone(&self.state), ..*self }
    }
}

impl<D: Dialect> fmt::Debug for SqlStore<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlStore").field("database", &D::NAME).finish_non_exhaustive()
    }
}

impl<D: Dialect> Drop for StoreState<D> {
    fn drop(&mut self) {
        self.thread.stop(self.pools.close());
    }
}

/// What one call does with a connection. It may be run more than once.
pub(crate) trait Operation<D: Dialect>: Sync {
    /// Whether it writes.
    const WRITES: bool;
    /// Whether it needs a transaction.
    const NEEDS_TRANSACTION: bool = Self::WRITES;
    type Output: Send;

    /// Whether it waits for the lock of a record.
    fn waits_for_lock(&self) -> bool {
        false
    }

    fn run(
        &self,
        session: &mut Session<'_, D>,
    ) -> impl Future<Output = Result<Self::Output, ProgressError>> + Send;
}

/// A connection, in a transaction if the operation needs one.
pub(crate) struct Session<'c, D: Dialect> {
    connection: &'c mut D::Connection,
    keeps_statements: bool,
}

impl<D: Dialect> Session<'_, D> {
    /// Runs a statement and returns its rows.
    pub(crate) async fn fetch(
        &mut self,
        statement: &'static str,
        values: Vec<Value>,
    ) -> Result<Vec<D::Cells>, ProgressError> {
        self.try_fetch(statement, values).await.map_err(classify)
    }

    /// Like [`fetch`](Self::fetch), but returns the driver's own error.
    pub(crate) async fn try_fetch(
        &mut self,
        statement: &'static str,
        values: Vec<Value>,
    ) -> Result<Vec<D::Cells>, sqlx::Error> {
        D::fetch(self.connection, statement, values, self.keeps_statements).await
    }

    /// Runs a statement that writes, and returns the number of its records.
    pub(crate) async fn execute(
        &mut self,
        statement: &'static str,
        values: Vec<Value>,
    ) -> Result<u64, ProgressError> {
        let outcome = D::execute(self.connection, statement, values, self.keeps_statements).await;
        outcome.map_err(classify)
    }

    pub(crate) async fn script(&mut self, script: &'static str) -> Result<(), ProgressError> {
        D::script(self.connection, script).await.map_err(classify)
    }
}

impl<D: Dialect> SqlStore<D> {
    pub(crate) fn new(pools: Pools<D>, dialect_state: D::DialectState) -> Self {
        let state = StoreState {
            pools,
            dialect_state,
            batch_size: BatchSize::default(),
            lock_waiters: Semaphore::new(MAX_LOCK_WAITERS),
            thread: StoreThread::new(),
        };
        Self {
            log_limit: DEFAULT_LOG_LIMIT,
            deadlines: D::DEADLINES,
            notifies: false,
            state: Arc::new(state),
        }
    }

    /// Runs a call on the store's own thread.
    pub(crate) async fn on_store_thread<T: Send + 'static>(
        &self,
        call: impl Future<Output = Result<T, ProgressError>> + Send + 'static,
    ) -> Result<T, ProgressError> {
        self.state.thread.run(call).await
    }

    /// Runs a call that only reads, on the store's own thread if its connections need that.
    pub(crate) async fn run_read<T: Send + 'static>(
        &self,
        call: impl Future<Output = Result<T, ProgressError>> + Send + 'static,
    ) -> Result<T, ProgressError> {
        if D::NEEDS_RUNTIME { self.on_store_thread(call).await } else { call.await }
    }

    /// Notifies other processes of a write, if the application wants that.
    pub(crate) async fn announce(&self, changed: impl Iterator<Item = (ProgressId, u64)> + Send) {
        if self.notifies {
            D::announce(self, changed.collect()).await;
        }
    }

    /// Runs a call with the deadline of a read or of a write.
    pub(crate) async fn call<O: Operation<D>>(
        &self,
        operation: O,
    ) -> Result<O::Output, ProgressError> {
        let deadline = if O::WRITES { self.deadlines.write } else { self.deadlines.read };
        self.call_within(operation, deadline).await
    }

    pub(crate) async fn call_within<O: Operation<D>>(
        &self,
        operation: O,
        deadline: Duration,
    ) -> Result<O::Output, ProgressError> {
        let begun = Instant::now();
        let attempts = async {
            let mut attempts = Attempts::default();
            loop {
                let begun = Instant::now();
                let outcome = self.attempt(&operation).await;
                self.state.pools.record(begun, &outcome);
                match outcome {
                    Err(error) if attempts.should_retry(&error).await => {}
                    outcome => return outcome,
                }
            }
        };
        match tokio::time::timeout(deadline, attempts).await {
            Ok(outcome) => outcome,
            Err(elapsed) => {
                let outcome = Err(ProgressError::unavailable(elapsed));
                self.state.pools.record(begun, &outcome);
                outcome
            }
        }
    }

    /// Runs a call once.
    pub(crate) async fn attempt<O: Operation<D>>(
        &self,
        operation: &O,
    ) -> Result<O::Output, ProgressError> {
        let _permit = match operation.waits_for_lock() {
            true => Some(self.state.lock_waiters.acquire().await.map_err(ProgressError::store)?),
            false => None,
        };
        let _write_guard = match O::WRITES {
            true => Some(D::write_lock(self).await?),
            false => None,
        };
        let pools = &self.state.pools;
        let pool = if O::WRITES { pools.writer() } else { pools.reader() };
        let mut guard = ConnectionGuard::new(self.acquire(&pool).await?);
        let outcome = self.run(operation, &mut guard).await;
        guard.release(outcome.as_ref().err().and_then(kind_of));
        outcome
    }

    async fn acquire(&self, pool: &Pool<D>) -> Result<PoolConnection<D>, ProgressError> {
        let started = Instant::now();
        loop {
            match pool.acquire().await {
                Ok(connection) => return Ok(connection),
                Err(error) => self.wait_to_retry(error, started).await?,
            }
        }
    }

    /// Pauses before another attempt to open a connection or to begin a transaction. Returns the
    /// error if there should be no further attempt.
    async fn wait_to_retry(
        &self,
        error: sqlx::Error,
        started: Instant,
    ) -> Result<(), ProgressError> {
        let delay =
            D::retry_delay(self, &error, started.elapsed()).ok_or_else(|| classify(error))?;
        tokio::time::sleep(delay).await;
        Ok(())
    }

    async fn run<O: Operation<D>>(
        &self,
        operation: &O,
        guard: &mut ConnectionGuard<D>,
    ) -> Result<O::Output, ProgressError> {
        let keeps_statements = D::keeps_statements(self);
        if !O::NEEDS_TRANSACTION && keeps_statements {
            let connection = guard.connection().map_err(classify)?;
            D::before_statements(self, connection).await.map_err(classify)?;
            return operation.run(&mut Session { connection, keeps_statements }).await;
        }
        let statement = if O::WRITES { D::STATEMENTS.begin } else { D::STATEMENTS.begin_read };
        let started = Instant::now();
        while let Err(error) = guard.begin(statement).await {
            self.wait_to_retry(error, started).await?;
        }
        let connection = guard.connection().map_err(classify)?;
        match operation.run(&mut Session { connection, keeps_statements }).await {
            Ok(output) => guard.commit().await.map(|()| output).map_err(classify_commit),
            Err(error) => {
                guard.roll_back().await;
                Err(error)
            }
        }
    }
}
