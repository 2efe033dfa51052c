//! Connection pools that recover. sqlx does not notice a connection that the network dropped
//! without an error, so a pool whose calls only time out is replaced. So is a pool with read-only
//! sessions, and one with a broken connection, because its other connections are usually broken for
//! the same reason.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use progress_core::ProgressError;
use sqlx::Pool;
use sqlx::pool::PoolOptions;

use crate::dialect::Dialect;
use crate::error::{Kind, kind_of};

/// A pool whose calls only time out is replaced after this time: longer than a busy server takes,
/// and than two writes may take.
const UNRESPONSIVE_AFTER: Duration = Duration::from_secs(10);

/// Minimum interval between two replacements because of an error: many calls meet the same error.
const MIN_REPLACE_INTERVAL: Duration = Duration::from_secs(1);

type ConnectOptions<D> = <<D as sqlx::Database>::Connection as sqlx::Connection>::Options;

/// A pool that is opened on first use, and can be opened again.
pub(crate) struct LazyPool<D: Dialect> {
    options: PoolOptions<D>,
    connect: ConnectOptions<D>,
    /// The application's pool, if there is one. Its password may change.
    application: Option<Pool<D>>,
    pool: Option<Pool<D>>,
}

impl<D: Dialect> LazyPool<D> {
    pub(crate) fn new(options: PoolOptions<D>, connect: ConnectOptions<D>) -> Self {
        Self { options, connect, application: None, pool: None }
    }

    /// Creates a pool for the store's own connections, with the connect options of the
    /// application's pool.
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    pub(crate) fn from_application(application: Pool<D>, options: PoolOptions<D>) -> Self {
        let connect = (*application.connect_options()).clone();
        Self { options, connect, application: Some(application), pool: None }
    }

    fn pool(&mut self) -> Pool<D> {
        if let Some(application) = self.application.as_ref().filter(|pool| pool.is_closed()) {
            // A closed pool of the application closes the store as well.
            self.pool = Some(application.clone());
        }
        let Self { options, connect, pool, .. } = self;
        pool.get_or_insert_with(|| options.clone().connect_lazy_with(connect.clone())).clone()
    }

    /// Removes the pool, so that the next call opens a new one.
    fn reset(&mut self) -> Option<Pool<D>> {
        if let Some(application) = &self.application {
            self.connect = (*application.connect_options()).clone();
        }
        self.pool.take()
    }
}

/// The pools of a store.
enum PoolSet<D: Dialect> {
    /// The application's pool, which is never replaced: it may hold an in-memory database.
    #[cfg(feature = "_sqlite")]
    Application(Pool<D>),
    /// The pools of a file. Only the writer is replaced, because its faults do not affect readers.
    #[cfg(feature = "_sqlite")]
    File { writer: Box<LazyPool<D>>, readers: Box<LazyPool<D>> },
    /// The pool of a server.
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    Server(LazyPool<D>),
}

pub(crate) struct Pools<D: Dialect> {
    state: Mutex<PoolsState<D>>,
}

struct PoolsState<D: Dialect> {
    pools: PoolSet<D>,
    /// When the current run of time-outs began.
    timeouts_since: Option<Instant>,
    /// When the first call began that the current pool left unanswered.
    unresponsive_since: Option<Instant>,
    /// When the current pool was opened. Outcomes of earlier calls say nothing about it.
    opened_at: Option<Instant>,
}

/// Omits the addresses, which may contain a password.
impl<D: Dialect> fmt::Debug for Pools<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pools").finish_non_exhaustive()
    }
}

impl<D: Dialect> Pools<D> {
    #[cfg(feature = "_sqlite")]
    pub(crate) fn of_application(pool: Pool<D>) -> Self {
        Self::of(PoolSet::Application(pool))
    }

    #[cfg(feature = "_sqlite")]
    pub(crate) fn of_file(writer: LazyPool<D>, readers: LazyPool<D>) -> Self {
        Self::of(PoolSet::File { writer: Box::new(writer), readers: Box::new(readers) })
    }

    #[cfg(any(feature = "postgres", feature = "mysql"))]
    pub(crate) fn of_server(server: LazyPool<D>) -> Self {
        Self::of(PoolSet::Server(server))
    }

    fn of(pools: PoolSet<D>) -> Self {
        let state =
            PoolsState { pools, timeouts_since: None, unresponsive_since: None, opened_at: None };
        Self { state: Mutex::new(state) }
    }

    pub(crate) fn writer(&self) -> Pool<D> {
        self.with_state(|state| match &mut state.pools {
            #[cfg(feature = "_sqlite")]
            PoolSet::Application(pool) => pool.clone(),
            #[cfg(feature = "_sqlite")]
            PoolSet::File { writer, .. } => writer.pool(),
            #[cfg(any(feature = "postgres", feature = "mysql"))]
            PoolSet::Server(server) => server.pool(),
        })
    }

    pub(crate) fn reader(&self) -> Pool<D> {
        self.with_state(|state| match &mut state.pools {
            #[cfg(feature = "_sqlite")]
            PoolSet::Application(pool) => pool.clone(),
            #[cfg(feature = "_sqlite")]
            PoolSet::File { readers, .. } => readers.pool(),
            #[cfg(any(feature = "postgres", feature = "mysql"))]
            PoolSet::Server(server) => server.pool(),
        })
    }

    /// Returns how to open another connection to a file of the store's own.
    #[cfg(feature = "_sqlite")]
    pub(crate) fn file_options(&self) -> Option<ConnectOptions<D>> {
        self.with_state(|state| match &mut state.pools {
            PoolSet::File { readers, .. } => Some(readers.connect.clone()),
            _ => None,
        })
    }

    /// Closes the store's own connections.
    pub(crate) fn close(&self) -> impl Future<Output = ()> + Send + 'static {
        let pool: Option<Pool<D>> = self.with_state(|state| match &mut state.pools {
            #[cfg(any(feature = "postgres", feature = "mysql"))]
            PoolSet::Server(server) => server.pool.take(),
            #[cfg(feature = "_sqlite")]
            PoolSet::Application(_) | PoolSet::File { .. } => None,
        });
        async move {
            if let Some(pool) = pool {
                pool.close().await;
            }
        }
    }

    /// Records the outcome of an attempt that began at `begun`.
    pub(crate) fn record<T>(&self, begun: Instant, outcome: &Result<T, ProgressError>) {
        let Err(ProgressError::Unavailable(source)) = outcome else {
            // Any other error, such as a refusal, is an answer.
            return self.with_state(PoolsState::record_response);
        };
        let is_timeout = source.is::<tokio::time::error::Elapsed>()
            || matches!(source.downcast_ref(), Some(sqlx::Error::PoolTimedOut));
        // Other transient errors are neither a time-out nor the end of a run of time-outs.
        if is_timeout {
            self.with_state(|state| state.record_timeout(begun));
        } else if let Err(error) = outcome
            && matches!(kind_of(error), Some(Kind::ReadOnly | Kind::Connection | Kind::Login))
        {
            self.with_state(|state| state.record_broken(begun));
        }
    }

    fn with_state<T>(&self, change: impl FnOnce(&mut PoolsState<D>) -> T) -> T {
        // The state stays valid even if `change` panics.
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<D: Dialect> PoolsState<D> {
    fn record_response(&mut self) {
        self.unresponsive_since = None;
        if let Some(since) = self.timeouts_since.take() {
            let seconds = since.elapsed().as_secs();
            tracing::info!(seconds, "the progress database is responding again");
        }
    }

    fn record_timeout(&mut self, begun: Instant) {
        if self.timeouts_since.is_none() {
            self.timeouts_since = Some(begun);
            tracing::warn!("the progress database does not respond in time");
        }
        // A file has no network connections, and the application's pool is never replaced.
        if !D::NEEDS_RUNTIME || self.is_from_old_pool(begun) {
            return;
        }
        let unresponsive_since = *self.unresponsive_since.get_or_insert(begun);
        if unresponsive_since.elapsed() >= UNRESPONSIVE_AFTER {
            tracing::warn!("replacing the connections to the progress database after time-outs");
            self.unresponsive_since = None;
            self.replace();
        }
    }

    /// Replaces the pool after an error that only a new connection can fix. A connection keeps the
    /// state in which it was opened: SQLite opens an unwritable file as read-only, a primary may
    /// have become a standby, and prepared statements refer to the tables as they were.
    fn record_broken(&mut self, begun: Instant) {
        let is_recent = self.opened_at.is_some_and(|since| since.elapsed() < MIN_REPLACE_INTERVAL);
        if !self.is_from_old_pool(begun) && !is_recent {
            tracing::debug!("replacing the connections to the progress database after an error");
            self.replace();
        }
    }

    fn is_from_old_pool(&self, begun: Instant) -> bool {
        self.opened_at.is_some_and(|since| begun < since)
    }

    fn replace(&mut self) {
        let old = match &mut self.pools {
            #[cfg(feature = "_sqlite")]
            PoolSet::Application(_) => return,
            #[cfg(feature = "_sqlite")]
            PoolSet::File { writer, .. } => writer.reset(),
            #[cfg(any(feature = "postgres", feature = "mysql"))]
            PoolSet::Server(server) => server.reset(),
        };
        self.opened_at = Some(Instant::now());
        // Calls that wait for a connection fail at once and are repeated on the new pool. Calls
        // that have a connection continue.
        if let Some(old) = old {
            tokio::spawn(async move { old.close().await });
        }
    }
}

/// A connection that returns to its pool only if it can be reused. One that was left in the middle
/// of a statement is closed, because its next answer may belong to that statement.
///
/// Transactions are ordinary statements here. sqlx's transactions take twice the time on SQLite,
/// because both threads acknowledge the end of each one.
pub(crate) struct ConnectionGuard<D: Dialect> {
    connection: Option<sqlx::pool::PoolConnection<D>>,
    has_transaction: bool,
}

impl<D: Dialect> ConnectionGuard<D> {
    pub(crate) fn new(connection: sqlx::pool::PoolConnection<D>) -> Self {
        Self { connection: Some(connection), has_transaction: false }
    }

    pub(crate) fn connection(&mut self) -> Result<&mut D::Connection, sqlx::Error> {
        self.connection.as_deref_mut().ok_or(sqlx::Error::WorkerCrashed)
    }

    pub(crate) async fn begin(&mut self, statement: &'static str) -> Result<(), sqlx::Error> {
        // Set before the answer, because the call may be dropped before the answer arrives.
        self.has_transaction = true;
        let outcome = D::script(self.connection()?, statement).await;
        self.has_transaction = outcome.is_ok();
        outcome
    }

    pub(crate) async fn commit(&mut self) -> Result<(), sqlx::Error> {
        let outcome = D::script(self.connection()?, "COMMIT").await;
        match outcome {
            Ok(()) => self.has_transaction = false,
            // SQLite keeps a transaction open if its commit fails.
            Err(_) => self.roll_back().await,
        }
        outcome
    }

    pub(crate) async fn roll_back(&mut self) {
        let Ok(connection) = self.connection() else { return };
        let outcome = D::script(connection, "ROLLBACK").await;
        // If SQLite has already rolled back by itself, it refuses this statement.
        self.has_transaction = !matches!(outcome, Ok(()) | Err(sqlx::Error::Database(_)));
    }

    /// Returns the connection to its pool. Closes it instead if it caused the error or has a
    /// transaction.
    pub(crate) fn release(mut self, error: Option<Kind>) {
        if let Some(mut connection) = self.connection.take()
            && (self.has_transaction || matches!(error, Some(Kind::Connection)))
        {
            connection.close_on_drop();
        }
    }
}

impl<D: Dialect> Drop for ConnectionGuard<D> {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        if D::NEEDS_RUNTIME {
            connection.close_on_drop();
        } else if self.has_transaction {
            // An in-memory database must not be closed. The connection's thread finishes the
            // current statement first.
            let guard = Self { connection: Some(connection), has_transaction: true };
            tokio::spawn(async move {
                let mut guard = guard;
                guard.roll_back().await;
                guard.release(None);
            });
        }
    }
}

#[cfg(test)]
#[cfg(all(feature = "postgres", feature = "_sqlite"))]
mod tests {
    use sqlx::postgres::{PgConnectOptions, PgPoolOptions, Postgres};
    use sqlx::sqlite::{Sqlite, SqliteConnectOptions, SqlitePoolOptions};

    use super::*;

    const MOMENT: Duration = Duration::from_millis(1);

    /// Returns pools that were opened a minute ago. They have no connection, because there is no
    /// server.
    fn pools() -> Pools<Postgres> {
        let pools = Pools::of_server(LazyPool::new(PgPoolOptions::new(), PgConnectOptions::new()));
        pools.with_state(|state| state.opened_at = Some(ago(Duration::from_secs(60))));
        pools
    }

    fn ago(time: Duration) -> Instant {
        Instant::now().checked_sub(time).unwrap()
    }

    /// Returns whether `change` replaces the pool.
    async fn replaces(
        pools: &Pools<Postgres>,
        change: impl FnOnce(&mut PoolsState<Postgres>),
    ) -> bool {
        let pool = pools.writer();
        pools.with_state(change);
        // A task closes the old pool.
        tokio::task::yield_now().await;
        assert!(!pools.writer().is_closed() && !pools.reader().is_closed());
        pool.is_closed()
    }

    #[tokio::test]
    async fn ten_seconds_of_timeouts_replace_the_pool() {
        let pools = pools();
        let since = ago(UNRESPONSIVE_AFTER - Duration::from_secs(1));
        assert!(!replaces(&pools, |state| state.record_timeout(since)).await);
        // The first time-out counts, however short the next one is.
        pools.with_state(|state| state.unresponsive_since = Some(ago(UNRESPONSIVE_AFTER)));
        assert!(replaces(&pools, |state| state.record_timeout(ago(MOMENT))).await);
        let before = ago(UNRESPONSIVE_AFTER);
        let is_replaced = replaces(&pools, |state| state.record_timeout(before)).await;
        assert!(!is_replaced, "that call began on the old pool");
    }

    #[tokio::test]
    async fn a_response_ends_a_run_of_timeouts() {
        let pools = pools();
        assert!(!replaces(&pools, |state| state.record_timeout(ago(UNRESPONSIVE_AFTER / 2))).await);
        pools.record(Instant::now(), &Err::<(), _>(ProgressError::invalid("a refusal")));
        pools.with_state(|state| assert!(state.timeouts_since.is_none()));
        assert!(!replaces(&pools, |state| state.record_timeout(ago(MOMENT))).await);
    }

    #[tokio::test]
    async fn other_transient_errors_are_not_timeouts() {
        let pools = pools();
        let is_timeout_after = |error| {
            pools.record(Instant::now(), &Err::<(), _>(ProgressError::unavailable(error)));
            pools.with_state(|state| state.timeouts_since.is_some())
        };
        assert!(!is_timeout_after(sqlx::Error::WorkerCrashed));
        assert!(is_timeout_after(sqlx::Error::PoolTimedOut));
        assert!(is_timeout_after(sqlx::Error::WorkerCrashed));
    }

    #[tokio::test]
    async fn a_broken_connection_replaces_the_pool_once_a_second() {
        let pools = pools();
        assert!(replaces(&pools, |state| state.record_broken(Instant::now())).await);
        let now = Instant::now();
        assert!(!replaces(&pools, |state| state.record_broken(now)).await, "only once a second");
    }

    #[tokio::test]
    async fn readers_of_a_file_and_application_pools_are_not_replaced() {
        let lazy_pool =
            || LazyPool::<Sqlite>::new(SqlitePoolOptions::new(), SqliteConnectOptions::new());
        let file = Pools::of_file(lazy_pool(), lazy_pool());
        let (writer, reader) = (file.writer(), file.reader());
        file.with_state(|state| state.record_broken(Instant::now()));
        tokio::task::yield_now().await;
        assert!(writer.is_closed() && !reader.is_closed() && !file.writer().is_closed());

        let pool = SqlitePoolOptions::new().connect_lazy_with(SqliteConnectOptions::new());
        let application = Pools::of_application(pool.clone());
        application.with_state(|state| state.record_broken(Instant::now()));
        tokio::task::yield_now().await;
        assert!(!pool.is_closed());
    }

    #[tokio::test]
    async fn own_connections_follow_the_application_pool() {
        let options = |password| PgConnectOptions::new_without_pgpass().password(password);
        let application = PgPoolOptions::new().connect_lazy_with(options("old"));
        let pools = Pools::of_server(LazyPool::from_application(
            application.clone(),
            application.options().clone(),
        ));
        let password = |pools: &Pools<Postgres>| {
            sqlx::ConnectOptions::to_url_lossy(&*pools.writer().connect_options())
                .password()
                .map(str::to_owned)
        };
        assert_eq!(password(&pools).as_deref(), Some("old"));
        application.set_connect_options(options("new"));
        pools.with_state(|state| state.record_broken(Instant::now()));
        assert_eq!(password(&pools).as_deref(), Some("new"));
        drop(application.close());
        assert!(pools.writer().is_closed());
    }
}
