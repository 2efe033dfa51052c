pub(crate) mod codes;
mod connect;
mod statements;

use std::time::Duration;

use progress_core::ProgressError;
use sqlx::postgres::{PgArguments, PgConnection, PgPool, PgRow, Postgres};

use crate::dialect::{Dialect, Turn, bind, returning_driver};
use crate::error::classify;
use crate::facade::store;
use crate::statements::Statements;
use crate::store::{Body, Deadlines};

/// Progress records in PostgreSQL, version 12 or later (tested on 15).
///
/// [`connect`](Self::connect) opens a pool of its own; [`new`](Self::new) shares the application's. Clones are the same
/// store.
///
/// A call takes at most 1 s to read and 5 s to write ([`with_deadlines`](Self::with_deadlines)). A pool made by `connect`
/// that yields nothing but time-outs for 10 s is replaced: what a network has dropped in silence never comes back by itself. So
/// is one that is told that it may only read, at most once a second: another connection may find the primary.
///
/// # Limits
///
/// - **A restart of the server** ends its connections: calls that were under way are told
///   [`Unavailable`](ProgressError::Unavailable), and the next ones get new connections.
/// - **`synchronous_commit = off`** on the server may lose the last commits when it crashes, acknowledged or not. What this
///   store promises is what the server promises.
/// - **The server's clock is everybody's**, so those of the processes do not matter. Should it be set forward by more than a
///   janitor's lease, a sweep before a worker's next heartbeat takes that worker for lost.
/// - **A connection pooler** between must keep to sessions: prepared statements are used.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    body: Body<Postgres>,
}

store!(PostgresStore(PgPool));

bind!(Postgres, PgArguments);

impl Dialect for Postgres {
    const STATEMENTS: &'static Statements = &statements::STATEMENTS;
    /// Four round trips for each: a tenth of a second on a near server, half a second on a far one.
    const BATCH: u32 = 100;
    const DEADLINES: Deadlines =
        Deadlines { read: Duration::from_secs(1), write: Duration::from_secs(5) };
    const NEEDS_ITS_RUNTIME: bool = true;
    type Shared = ();
    type Guard = ();

    async fn begin(body: &Body<Self>) -> Result<Turn<Self>, ProgressError> {
        let transaction =
            body.pools.writer().begin_with(Self::STATEMENTS.begin).await.map_err(classify)?;
        Ok(Turn { transaction, guard: () })
    }

    returning_driver!(PgConnection, PgRow);
}
