mod changes;
pub(crate) mod codes;
mod connect;
mod statements;

use std::time::Duration;

use progress_core::{Changes, ProgressError, ProgressId};
use sqlx::postgres::{PgConnection, PgRow, Postgres};

use crate::dialect::{Deadlines, Dialect, ListPage, driver};
use crate::impl_store::impl_progress_store;
use crate::statements::Statements;
use crate::store::SqlStore;
use crate::value::{Value, to_json, values};

/// A store of progress records in PostgreSQL 12 or later (tested on 15).
///
/// [`connect`](Self::connect) takes an address, [`new`](Self::new) the application's pool. Clones
/// are the same store.
///
/// A store runs its calls on its own thread, with at most 10 connections of its own (4 if it was
/// created from a pool). So any number of runtimes may use it, and none of them has to be idle or
/// to outlive a call. The thread ends with the last clone.
///
/// A read takes at most 1 s and a write at most 5 s ([`with_deadlines`](Self::with_deadlines)).
/// Connections are replaced when all calls time out for 10 s, when they are read-only, and when one
/// of them is broken.
///
/// # Limits
///
/// - **A restart of the server** ends its connections. A call in progress is repeated once, unless
///   it was committing: then it fails as [`Unavailable`](ProgressError::Unavailable).
/// - **`synchronous_commit = off`** on the server may lose the last commits when it crashes, even
///   acknowledged ones. A store is only as durable as its server.
/// - **A pooler** such as PgBouncer needs no settings in session mode. In transaction mode, add
///   `?statement-cache-capacity=0` to the address: statements are then prepared for each call, and
///   reads take place in transactions. The store changes settings only for a transaction, never for
///   a session.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    store: SqlStore<Postgres>,
}

impl_progress_store!(PostgresStore);

impl PostgresStore {
    /// Notifies other processes of each write with `NOTIFY`, and listens to theirs. A page that
    /// waits for a change in another process then learns of it after some milliseconds instead of
    /// up to 250, and a record that does not change is read every 3 s instead of four times a
    /// second.
    ///
    /// Set this in all processes that share the records: a process that listens sees the writes of
    /// one that does not notify up to 3 s late. Each write takes another round trip, however many
    /// jobs it is about. A process that watches records opens one more connection, which needs a
    /// session of its own: behind a pooler in transaction mode nothing is heard, and records are
    /// read as often as before.
    #[must_use]
    pub fn with_notify(mut self) -> Self {
        self.store.notifies = true;
        self
    }
}

/// The pooler between the store and its server.
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
    const MAX_ROWS_LENGTH: usize = crate::dialect::ONE_TLS_RECORD;
    type DialectState = Pooling;
    type WriteGuard = ();

    async fn write_lock(_: &SqlStore<Self>) -> Result<(), ProgressError> {
        Ok(())
    }

    fn list(page: ListPage) -> Result<Vec<Value>, ProgressError> {
        let mut values = values![page.before, page.before_id, page.limit];
        if let Some(statuses) = page.statuses {
            values.extend(values![to_json(statuses)?]);
        }
        values.extend(page.task_type.map(Value::from));
        values.extend(page.owner.map(Value::from));
        Ok(values)
    }

    fn keeps_statements(store: &SqlStore<Self>) -> bool {
        !store.state.dialect_state.by_transaction
    }

    fn changes(store: &SqlStore<Self>) -> Option<Changes> {
        store.notifies.then(|| changes::subscribe(store)).flatten()
    }

    async fn announce(store: &SqlStore<Self>, changed: Vec<(ProgressId, u64)>) {
        changes::announce(store, changed).await;
    }

    driver!(PgConnection, PgRow);
}
