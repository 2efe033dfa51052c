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
const SILENCE: Duration = Duration::from_secs(10);

/// Minimum interval between two replacements because of an error: many calls meet the same error.
const RENEWAL: Duration = Duration::from_secs(1);

type ConnectOptions<D> = <<D as sqlx::Database>::Connection as sqlx::Connection>::Options;

/// A pool that is opened on first use, and can be opened again.
pub(crate) struct Source<D: Dialect> {
    options: PoolOptions<D>,
    connect: ConnectOptions<D>,
    /// The application's pool, if there is one. Its password may change.
    application: Option<Pool<D>>,
    pool: Option<Pool<D>>,
}

impl<D: Dialect> Source<D> {
    pub(crate) fn new(options: PoolOptions<D>, connect: ConnectOptions<D>) -> Self {
        Self { options, connect, application: None, pool: None }
    }

    /// Creates a source for the store's own connections, with the connect options of the
    /// application's pool.
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    pub(crate) fn like(application: Pool<D>, options: PoolOptions<D>) -> Self {
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
    fn renew(&mut self) -> Option<Pool<D>> {
        if let Some(application) = &self.application {
            self.connect = (*application.connect_options()).clone();
        }
        self.pool.take()
    }
}

/// The pools of a store.
enum Origin<D: Dialect> {
    /// The application's pool, which is never replaced: it may hold an in-memory database.
    #[cfg(feature = "_sqlite")]
    Application(Pool<D>),
    /// The pools of a file. Only the writer is replaced, because its faults do not affect readers.
    #[cfg(feature = "_sqlite")]
    File { writer: Box<Source<D>>, readers: Box<Source<D>> },
    /// The pool of a server.
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    Server(Source<D>),
}

pub(crate) struct Pools<D: Dialect> {
    state: Mutex<State<D>>,
}

struct State<D: Dialect> {
    origin: Origin<D>,
    /// When the current run of time-outs began.
    silent_since: Option<Instant>,
    /// When the first call began that the current pool left unanswered.
    unanswered_since: Option<Instant>,
    /// When the current pool was opened. Outcomes of earlier calls say nothing about it.
    new_since: Option<Instant>,
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
        Self::of(Origin::Application(pool))
    }

    #[cfg(feature = "_sqlite")]
    pub(crate) fn of_file(writer: Source<D>, readers: Source<D>) -> Self {
        Self::of(Origin::File { writer: Box::new(writer), readers: Box::new(readers) })
    }

    #[cfg(any(feature = "postgres", feature = "mysql"))]
    pub(crate) fn of_server(source: Source<D>) -> Self {
        Self::of(Origin::Server(source))
    }

    fn of(origin: Origin<D>) -> Self {
        let state = State { origin, silent_since: None, unanswered_since: None, new_since: None };
        Self { state: Mutex::new(state) }
    }

    pub(crate) fn writer(&self) -> Pool<D> {
        self.with(|state| match &mut state.origin {
            #[cfg(feature = "_sqlite")]
            Origin::Application(pool) => pool.clone(),
            #[cfg(feature = "_sqlite")]
            Origin::File { writer, .. } => writer.pool(),
            #[cfg(any(feature = "postgres", feature = "mysql"))]
            Origin::Server(source) => source.pool(),
        })
    }

    pub(crate) fn reader(&self) -> Pool<D> {
        self.with(|state| match &mut state.origin {
            #[cfg(feature = "_sqlite")]
            Origin::Application(pool) => pool.clone(),
            #[cfg(feature = "_sqlite")]
            Origin::File { readers, .. } => readers.pool(),
            #[cfg(any(feature = "postgres", feature = "mysql"))]
            Origin::Server(source) => source.pool(),
        })
    }

    /// Closes the store's own connections.
    pub(crate) fn close(&self) -> impl Future<Output = ()> + Send + 'static {
        let pool: Option<Pool<D>> = self.with(|state| match &mut state.origin {
            #[cfg(any(feature = "postgres", feature = "mysql"))]
            Origin::Server(source) => source.pool.take(),
            #[cfg(feature = "_sqlite")]
            Origin::Application(_) | Origin::File { .. } => None,
        });
        async move {
            if let Some(pool) = pool {
                pool.close().await;
            }
        }
    }

    /// Records the outcome of an attempt that began at `begun`.
    pub(crate) fn note<T>(&self, begun: Instant, outcome: &Result<T, ProgressError>) {
        let Err(ProgressError::Unavailable(source)) = outcome else {
            // Any other error, such as a refusal, is an answer.
            return self.with(State::answered);
        };
        let is_silence = source.is::<tokio::time::error::Elapsed>()
            || matches!(source.downcast_ref(), Some(sqlx::Error::PoolTimedOut));
        // Other transient errors are neither a time-out nor the end of a run of time-outs.
        if is_silence {
            self.with(|state| state.was_silent(begun));
        } else if let Err(error) = outcome
            && matches!(kind_of(error), Some(Kind::ReadOnly | Kind::Connection | Kind::Login))
        {
            self.with(|state| state.was_broken(begun));
        }
    }

    fn with<T>(&self, see: impl FnOnce(&mut State<D>) -> T) -> T {
        // The state stays valid even if `see` panics.
        see(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<D: Dialect> State<D> {
    fn answered(&mut self) {
        self.unanswered_since = None;
        if let Some(since) = self.silent_since.take() {
            let seconds = since.elapsed().as_secs();
            tracing::info!(seconds, "the progress database is responding again");
        }
    }

    fn was_silent(&mut self, begun: Instant) {
        if self.silent_since.is_none() {
            self.silent_since = Some(begun);
            tracing::warn!("the progress database does not respond in time");
        }
        // A file has no network connections, and the application's pool is never replaced.
        if !D::NEEDS_RUNTIME || self.is_older(begun) {
            return;
        }
        let unanswered_since = *self.unanswered_since.get_or_insert(begun);
        if unanswered_since.elapsed() >= SILENCE {
            tracing::warn!("replacing the connections to the progress database after time-outs");
            self.unanswered_since = None;
            self.renew();
        }
    }

    /// Replaces the pool after an error that only a new connection can fix. A connection keeps the
    /// state in which it was opened: SQLite opens an unwritable file as read-only, a primary may
    /// have become a standby, and prepared statements refer to the tables as they were.
    fn was_broken(&mut self, begun: Instant) {
        let is_recent = self.new_since.is_some_and(|since| since.elapsed() < RENEWAL);
        if !self.is_older(begun) && !is_recent {
            tracing::debug!("replacing the connections to the progress database after an error");
            self.renew();
        }
    }

    fn is_older(&self, begun: Instant) -> bool {
        self.new_since.is_some_and(|since| begun < since)
    }

    fn renew(&mut self) {
        let old = match &mut self.origin {
            #[cfg(feature = "_sqlite")]
            Origin::Application(_) => return,
            #[cfg(feature = "_sqlite")]
            Origin::File { writer, .. } => writer.renew(),
            #[cfg(any(feature = "postgres", feature = "mysql"))]
            Origin::Server(source) => source.renew(),
        };
        self.new_since = Some(Instant::now());
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
pub(crate) struct Lease<D: Dialect> {
    connection: Option<sqlx::pool::PoolConnection<D>>,
    has_transaction: bool,
}

impl<D: Dialect> Lease<D> {
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
    pub(crate) fn end(mut self, error: Option<Kind>) {
        if let Some(mut connection) = self.connection.take()
            && (self.has_transaction || matches!(error, Some(Kind::Connection)))
        {
            connection.close_on_drop();
        }
    }
}

impl<D: Dialect> Drop for Lease<D> {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        if D::NEEDS_RUNTIME {
            connection.close_on_drop();
        } else if self.has_transaction {
            // An in-memory database must not be closed. The connection's thread finishes the
            // current statement first.
            let lease = Self { connection: Some(connection), has_transaction: true };
            tokio::spawn(async move {
                let mut lease = lease;
                lease.roll_back().await;
                lease.end(None);
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
        let pools = Pools::of_server(Source::new(PgPoolOptions::new(), PgConnectOptions::new()));
        pools.with(|state| state.new_since = Some(ago(Duration::from_secs(60))));
        pools
    }

    fn ago(time: Duration) -> Instant {
        Instant::now().checked_sub(time).unwrap()
    }

    /// Returns whether `see` replaces the pool.
    async fn replaces(pools: &Pools<Postgres>, see: impl FnOnce(&mut State<Postgres>)) -> bool {
        let pool = pools.writer();
        pools.with(see);
        // A task closes the old pool.
        tokio::task::yield_now().await;
        assert!(!pools.writer().is_closed() && !pools.reader().is_closed());
        pool.is_closed()
    }

    #[tokio::test]
    async fn ten_seconds_of_nothing_but_time_outs_replace_the_pool() {
        let pools = pools();
        let since = ago(SILENCE - Duration::from_secs(1));
        assert!(!replaces(&pools, |state| state.was_silent(since)).await);
        // The first time-out counts, however short the next one is.
        pools.with(|state| state.unanswered_since = Some(ago(SILENCE)));
        assert!(replaces(&pools, |state| state.was_silent(ago(MOMENT))).await);
        let before = ago(SILENCE);
        let is_replaced = replaces(&pools, |state| state.was_silent(before)).await;
        assert!(!is_replaced, "that call began on the old pool");
    }

    #[tokio::test]
    async fn an_answer_ends_the_silence() {
        let pools = pools();
        assert!(!replaces(&pools, |state| state.was_silent(ago(SILENCE / 2))).await);
        pools.note(Instant::now(), &Err::<(), _>(ProgressError::invalid("a refusal")));
        pools.with(|state| assert!(state.silent_since.is_none()));
        assert!(!replaces(&pools, |state| state.was_silent(ago(MOMENT))).await);
    }

    #[tokio::test]
    async fn only_silence_is_silence() {
        let pools = pools();
        let is_silent_after = |error| {
            pools.note(Instant::now(), &Err::<(), _>(ProgressError::unavailable(error)));
            pools.with(|state| state.silent_since.is_some())
        };
        assert!(!is_silent_after(sqlx::Error::WorkerCrashed));
        assert!(is_silent_after(sqlx::Error::PoolTimedOut));
        assert!(is_silent_after(sqlx::Error::WorkerCrashed));
    }

    #[tokio::test]
    async fn a_broken_connection_replaces_the_pool_once_a_second() {
        let pools = pools();
        assert!(replaces(&pools, |state| state.was_broken(Instant::now())).await);
        let now = Instant::now();
        assert!(!replaces(&pools, |state| state.was_broken(now)).await, "only once a second");
    }

    #[tokio::test]
    async fn a_file_keeps_its_readers_and_an_application_its_pool() {
        let source =
            || Source::<Sqlite>::new(SqlitePoolOptions::new(), SqliteConnectOptions::new());
        let file = Pools::of_file(source(), source());
        let (writer, reader) = (file.writer(), file.reader());
        file.with(|state| state.was_broken(Instant::now()));
        tokio::task::yield_now().await;
        assert!(writer.is_closed() && !reader.is_closed() && !file.writer().is_closed());

        let pool = SqlitePoolOptions::new().connect_lazy_with(SqliteConnectOptions::new());
        let application = Pools::of_application(pool.clone());
        application.with(|state| state.was_broken(Instant::now()));
        tokio::task::yield_now().await;
        assert!(!pool.is_closed());
    }

    #[tokio::test]
    async fn connections_beside_a_pool_follow_its_password_and_its_end() {
        let options = |password| PgConnectOptions::new_without_pgpass().password(password);
        let application = PgPoolOptions::new().connect_lazy_with(options("old"));
        let pools =
            Pools::of_server(Source::like(application.clone(), application.options().clone()));
        let password = |pools: &Pools<Postgres>| {
            sqlx::ConnectOptions::to_url_lossy(&*pools.writer().connect_options())
                .password()
                .map(str::to_owned)
        };
        assert_eq!(password(&pools).as_deref(), Some("old"));
        application.set_connect_options(options("new"));
        pools.with(|state| state.was_broken(Instant::now()));
        assert_eq!(password(&pools).as_deref(), Some("new"));
        drop(application.close());
        assert!(pools.writer().is_closed());
    }
}
