pub(crate) mod codes;
mod connect;
mod statements;

use std::time::Duration;

use progress_core::ProgressError;
use sqlx::postgres::{PgConnection, PgRow, Postgres};

use crate::dialect::{Deadlines, Dialect, driver};
use crate::impl_store::impl_progress_store;
use crate::statements::Statements;
use crate::store::SqlStore;

/// Progress records in PostgreSQL, version 12 or later (tested on 15).
///
/// [`connect`](Self::connect) takes an address, [`new`](Self::new) a pool of the application's.
/// Clones are the same store.
///
/// A store runs its calls on a thread of its own with connections of its own, at most 10 (4 beside
/// a pool). So any number of runtimes may use it, none of which has to be free or to outlive a
/// call. The thread ends with the last clone.
///
/// A call takes at most 1 s to read and 5 s to write ([`with_deadlines`](Self::with_deadlines)).
/// Connections are replaced when they yield nothing but time-outs for 10 s, when they can only
/// read, and when one of them is broken.
///
/// # Limits
///
/// - **A restart of the server** ends its connections. A call that was under way is repeated once,
///   unless it was committing: then it fails as [`Unavailable`](ProgressError::Unavailable).
/// - **`synchronous_commit = off`** on the server may lose the last commits when it crashes,
///   acknowledged or not. A store promises what its server promises.
/// - **A pooler in between**, such as PgBouncer, works in session mode as a server does. In
///   transaction mode add `?statement-cache-capacity=0` to the address: statements are then
///   prepared for each call, and reads take place in transactions. Nothing is set for a session,
///   only for a transaction.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    store: SqlStore<Postgres>,
}

impl_progress_store!(PostgresStore);

/// What stands between the store and its server.
#[derive(Debug)]
pub(crate) struct Pooling {
    /// Whether a pooler may give each transaction another session.
    by_transaction: bool,
}

impl Dialect for Postgres {
    const STATEMENTS: &'static Statements = &statements::STATEMENTS;
    const DEADLINES: Deadlines =
        Deadlines { read: Duration::from_secs(1), write: Duration::from_secs(5) };
    const NEEDS_RUNTIME: bool = true;
    type Own = Pooling;
    type WriteGuard = ();

    async fn write_lock(_: &SqlStore<Self>) -> Result<(), ProgressError> {
        Ok(())
    }

    fn keeps_statements(store: &SqlStore<Self>) -> bool {
        !store.shared.own.by_transaction
    }

    driver!(PgConnection, PgRow);
}
