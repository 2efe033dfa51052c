//! Deadlines, and a pool that heals: connections that a network has dropped in silence look sound to sqlx for ever, so a
//! pool that yields nothing but time-outs is replaced by a new one. Nor does a connection always learn that it may write again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use progress_core::ProgressError;
use sqlx::Pool;
use tokio::runtime::{Handle, Id};

use crate::dialect::Dialect;
use crate::error::is_read_only;

/// How long a pool may be silent before it is replaced. Longer than a server takes that is merely busy, and than two writes
/// may take.
const SILENCE: Duration = Duration::from_secs(10);

/// How often pools are replaced, at most, while a database takes no writes: many may be told so at once.
const RENEWAL: Duration = Duration::from_secs(1);

/// Whose pools they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The application's, which counts on these very pools: they stay.
    Application,
    /// Made by `connect`, of a file: it may be read-only for a while, and is never silent.
    File,
    /// Made by `connect`, of a server.
    Server,
}

/// The pools of a store and of its clones.
#[derive(Debug)]
pub(crate) struct Pools<D: Dialect> {
    state: Arc<Mutex<State<D>>>,
}

#[derive(Debug)]
struct State<D: Dialect> {
    writer: Pool<D>,
    reader: Pool<D>,
    /// The runtime that drives the connections; unknown when the pools were made outside of one.
    home: Option<Id>,
    /// The pool of another runtime, the last that came by.
    guest: Option<(Id, Pool<D>)>,
    origin: Origin,
    /// Since when there have been time-outs and nothing else.
    silent_since: Option<Instant>,
    /// When the first of those calls began that the pools left without an answer.
    unanswered_since: Option<Instant>,
    /// When the pools were new. Calls from before say nothing about them.
    new_since: Instant,
}

// Not derived: that would ask for databases that can be cloned.
impl<D: Dialect> Clone for Pools<D> {
    fn clone(&self) -> Self {
        Self { state: Arc::clone(&self.state) }
    }
}

impl<D: Dialect> Pools<D> {
    pub(crate) fn new(writer: Pool<D>, reader: Pool<D>, origin: Origin) -> Self {
        let state = State {
            writer,
            reader,
            home: Handle::try_current().ok().map(|runtime| runtime.id()),
            guest: None,
            origin,
            silent_since: None,
            unanswered_since: None,
            new_since: Instant::now(),
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    pub(crate) fn writer(&self) -> Pool<D> {
        self.with(|state| state.guest().unwrap_or_else(|| state.writer.clone()))
    }

    pub(crate) fn reader(&self) -> Pool<D> {
        self.with(|state| state.guest().unwrap_or_else(|| state.reader.clone()))
    }

    /// The outcome of a call, or that it took too long.
    pub(crate) async fn within<T>(
        &self,
        deadline: Duration,
        call: impl Future<Output = Result<T, ProgressError>>,
    ) -> Result<T, ProgressError> {
        let begun = Instant::now();
        let outcome = tokio::time::timeout(deadline, call).await;
        let outcome = outcome.unwrap_or_else(|elapsed| Err(ProgressError::unavailable(elapsed)));
        match &outcome {
            Err(ProgressError::Unavailable(source)) => {
                let is_silence = source.is::<tokio::time::error::Elapsed>()
                    || matches!(source.downcast_ref(), Some(sqlx::Error::PoolTimedOut));
                // What else is unavailable has said so, and is neither silence nor the end of it.
                if is_silence {
                    self.with(|state| state.was_silent(begun));
                } else if is_read_only(source) {
                    self.with(|state| state.was_read_only(begun));
                }
            }
            // A refusal, say, is an answer like any other.
            _ => self.with(State::answered),
        }
        outcome
    }

    fn with<T>(&self, see: impl FnOnce(&mut State<D>) -> T) -> T {
        // Nothing below leaves a state that is not sound, even where it panics.
        see(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<D: Dialect> State<D> {
    /// The pool of the runtime that asks, when that is not the one whose pool this is: a connection answers only for as long
    /// as its own runtime drives it. The last words of a job are written by another, when its own shuts down.
    fn guest(&mut self) -> Option<Pool<D>> {
        if !D::NEEDS_ITS_RUNTIME {
            return None;
        }
        let here = Handle::try_current().ok()?.id();
        if self.home.is_none_or(|home| home == here) {
            return None;
        }
        match &self.guest {
            Some((runtime, pool)) if *runtime == here => Some(pool.clone()),
            _ => {
                let pool = again(&self.writer);
                self.guest = Some((here, pool.clone()));
                Some(pool)
            }
        }
    }

    fn answered(&mut self) {
        self.unanswered_since = None;
        if let Some(since) = self.silent_since.take() {
            tracing::info!(
                seconds = since.elapsed().as_secs(),
                "the progress database answers again"
            );
        }
    }

    fn was_silent(&mut self, begun: Instant) {
        if self.silent_since.is_none() {
            self.silent_since = Some(begun);
            tracing::warn!("the progress database does not answer in time");
        }
        if self.origin != Origin::Server || begun < self.new_since {
            return;
        }
        let unanswered_since = *self.unanswered_since.get_or_insert(begun);
        if unanswered_since.elapsed() >= SILENCE {
            tracing::warn!(
                "nothing but time-outs: the connections to the progress database are replaced"
            );
            self.unanswered_since = None;
            // Those that wait for a connection are told at once; nobody waits until the last one is closed.
            drop(self.renew().close());
        }
    }

    /// A connection may keep to what it found when it was made: SQLite opens a file that cannot be written as one that can only
    /// be read, PostgreSQL's sessions keep their defaults, and a primary may have become a standby. So the next write gets a
    /// connection that is new. Those who have one, or wait for one, go on with the old pool, whose end comes with the last of
    /// them.
    fn was_read_only(&mut self, begun: Instant) {
        if self.origin != Origin::Application
            && begun >= self.new_since
            && self.new_since.elapsed() >= RENEWAL
        {
            tracing::debug!("the progress database takes no writes: its connections are replaced");
            drop(self.renew());
        }
    }

    /// Puts a new pool in the place of the one that writes, which it returns.
    fn renew(&mut self) -> Pool<D> {
        self.new_since = Instant::now();
        let writer = again(&self.writer);
        // The readers of a file are others, and have nothing to complain about.
        if self.origin != Origin::File {
            self.reader = writer.clone();
        }
        std::mem::replace(&mut self.writer, writer)
    }
}

/// A pool like this one, without its connections.
fn again<D: Dialect>(pool: &Pool<D>) -> Pool<D> {
    pool.options().clone().connect_lazy_with((*pool.connect_options()).clone())
}

#[cfg(test)]
mod tests {
    use sqlx::postgres::{PgConnectOptions, PgPoolOptions, Postgres};
    use sqlx::sqlite::{Sqlite, SqliteConnectOptions, SqlitePoolOptions};

    use super::*;

    const MOMENT: Duration = Duration::from_millis(1);

    /// Pools that nobody has asked for a connection yet, a minute old: there is no server.
    fn pools(origin: Origin) -> Pools<Postgres> {
        let pool = PgPoolOptions::new().connect_lazy_with(PgConnectOptions::new());
        let pools = Pools::new(pool.clone(), pool, origin);
        pools.with(|state| state.new_since = ago(Duration::from_secs(60)));
        pools
    }

    fn ago(time: Duration) -> Instant {
        Instant::now().checked_sub(time).unwrap()
    }

    /// Whether a call that began so long ago, and timed out now, has the pools replaced.
    fn replaces(pools: &Pools<Postgres>, begun: Instant) -> bool {
        let (writer, reader) = (pools.writer(), pools.reader());
        pools.with(|state| state.was_silent(begun));
        let is_replaced = writer.is_closed();
        assert_eq!(reader.is_closed(), is_replaced, "both or none");
        assert!(
            !pools.writer().is_closed() && !pools.reader().is_closed(),
            "what is in use is open"
        );
        is_replaced
    }

    #[tokio::test]
    async fn ten_seconds_of_nothing_but_time_outs_replace_the_pools() {
        let pools = pools(Origin::Server);
        assert!(!replaces(&pools, ago(SILENCE - Duration::from_secs(1))));
        // The first silence counts, however short the next one is.
        pools.with(|state| state.unanswered_since = Some(ago(SILENCE)));
        assert!(replaces(&pools, ago(MOMENT)));
    }

    #[tokio::test]
    async fn an_answer_ends_the_silence() {
        let pools = pools(Origin::Server);
        assert!(!replaces(&pools, ago(SILENCE / 2)));
        pools.with(|state| {
            assert!(state.silent_since.is_some() && state.unanswered_since.is_some());
            state.answered();
            assert!(state.silent_since.is_none() && state.unanswered_since.is_none());
        });
        assert!(!replaces(&pools, ago(MOMENT)));
    }

    #[tokio::test]
    async fn calls_from_before_say_nothing_about_new_pools() {
        let pools = pools(Origin::Server);
        assert!(replaces(&pools, ago(SILENCE)));
        assert!(!replaces(&pools, ago(SILENCE)), "it began with the old ones");
        pools.with(|state| assert!(state.unanswered_since.is_none()));
        assert!(!replaces(&pools, Instant::now()));
        pools.with(|state| {
            assert!(state.unanswered_since.is_some(), "a call of today counts again")
        });
    }

    #[tokio::test]
    async fn the_pool_of_an_application_is_left_alone() {
        let pools = pools(Origin::Application);
        assert!(!replaces(&pools, ago(2 * SILENCE)));
        pools.with(|state| assert!(state.silent_since.is_some(), "it is said all the same"));
    }

    #[tokio::test]
    async fn pools_that_may_only_read_are_replaced_once_a_second_and_end_by_themselves() {
        for (origin, (writes, reads)) in [
            (Origin::Application, (false, false)),
            (Origin::File, (true, false)),
            (Origin::Server, (true, true)),
        ] {
            let pools = pools(origin);
            let old = pools.writer();
            pools.with(|state| state.was_read_only(Instant::now()));
            assert!(!old.is_closed(), "there may be calls under way");
            // Tells it from the new one.
            drop(old.close());
            assert_eq!(pools.writer().is_closed(), !writes, "{origin:?}");
            assert_eq!(pools.reader().is_closed(), !reads, "{origin:?}");
            let new = pools.writer();
            pools.with(|state| state.was_read_only(Instant::now()));
            drop(new.close());
            assert!(pools.writer().is_closed(), "not twice in a second");
        }
    }

    #[tokio::test]
    async fn only_silence_is_silence() {
        let pools = pools(Origin::Server);
        let is_silent_after = async |outcome| {
            let outcome: Result<(), ProgressError> = pools.within(SILENCE, async { outcome }).await;
            drop(outcome);
            pools.with(|state| state.silent_since.is_some())
        };
        assert!(
            !is_silent_after(Err(ProgressError::unavailable(sqlx::Error::WorkerCrashed))).await
        );
        assert!(is_silent_after(Err(ProgressError::unavailable(sqlx::Error::PoolTimedOut))).await);
        assert!(is_silent_after(Err(ProgressError::unavailable(sqlx::Error::WorkerCrashed))).await);
        assert!(!is_silent_after(Err(ProgressError::invalid("a refusal is an answer"))).await);
        let late = pools.within(MOMENT, std::future::pending::<Result<(), _>>()).await;
        assert!(matches!(late, Err(ProgressError::Unavailable(_))));
        pools.with(|state| assert!(state.silent_since.is_some()));
    }

    #[test]
    fn every_runtime_gets_a_pool_of_its_own_where_connections_need_theirs() {
        let runtime =
            || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (home, other) = (runtime(), runtime());
        let _inside = home.enter();
        let pools = pools(Origin::Server);
        let is_guest = || pools.with(|state| state.guest().is_some());
        assert!(!is_guest());
        other.block_on(async {
            assert!(is_guest());
            drop(pools.writer().close());
            assert!(pools.reader().is_closed(), "one pool for this runtime, not one for each call");
        });
        assert!(!pools.writer().is_closed());

        let pool = SqlitePoolOptions::new().connect_lazy_with(SqliteConnectOptions::new());
        let file: Pools<Sqlite> = Pools::new(pool.clone(), pool, Origin::File);
        other.block_on(async { assert!(file.with(State::guest).is_none()) });
    }
}
