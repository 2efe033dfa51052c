pub(crate) mod codes;
mod connect;
mod statements;

use std::time::Duration;

use progress_core::{ProgressError, Status};
use sqlx::mysql::{MySql, MySqlConnection, MySqlRow};

use crate::dialect::{Deadlines, Dialect, ListPage, LogPage, driver};
use crate::impl_store::impl_progress_store;
use crate::statements::Statements;
use crate::store::SqlStore;
use crate::value::{Value, values};

/// A store of progress records in MySQL 8.0 or later, or MariaDB 10.6 or later.
///
/// The tests run on MariaDB 10.11. The SQL follows the documentation of both, but **the tests have
/// not run on a MySQL server yet**.
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
/// - **The tables are InnoDB.** Transactions use `READ COMMITTED`, whatever the server's default.
///   With a binary log, this needs `binlog_format` to be `ROW` or `MIXED`, the defaults.
/// - **A migration is not one transaction**, because MySQL cannot roll back changes of tables.
///   Every step can be run again.
/// - **A restart of the server** ends its connections. A call in progress is repeated once, unless
///   it was committing: then it fails as [`Unavailable`](ProgressError::Unavailable).
#[derive(Debug, Clone)]
pub struct MySqlStore {
    store: SqlStore<MySql>,
}

impl_progress_store!(MySqlStore);

/// How the sessions were set up.
#[derive(Debug)]
pub(crate) struct SessionSetup {
    /// Whether the application did, so that statements outside a transaction have to set the
    /// session first.
    by_application: bool,
}

impl Dialect for MySql {
    const STATEMENTS: &'static Statements = &statements::STATEMENTS;
    const DEADLINES: Deadlines =
        Deadlines { read: Duration::from_secs(1), write: Duration::from_secs(5) };
    const NEEDS_RUNTIME: bool = true;
    const MAX_ROWS_LENGTH: usize = crate::dialect::ONE_TLS_RECORD;
    type DialectState = SessionSetup;
    type WriteGuard = ();

    async fn write_lock(_: &SqlStore<Self>) -> Result<(), ProgressError> {
        Ok(())
    }

    async fn before_statements(
        store: &SqlStore<Self>,
        connection: &mut MySqlConnection,
    ) -> Result<(), sqlx::Error> {
        if store.state.dialect_state.by_application {
            Self::script(connection, statements::SESSION).await
        } else {
            Ok(())
        }
    }

    // MySQL's placeholders have no numbers, so a value is bound once for each use.
    fn list(page: ListPage) -> Result<Vec<Value>, ProgressError> {
        let ListPage { before, before_id, limit, statuses, task_type, owner } = page;
        let mut equal = Vec::new();
        for text in task_type.iter().chain(&owner) {
            equal.extend(values![text.as_str(), text.as_str()]);
        }
        let place = values![before, before, before_id, limit];
        let Some(statuses) = statuses else {
            return Ok([equal, place].concat());
        };
        let mut values = Vec::new();
        for number in 0..Status::ALL.len() {
            let status = statuses.get(number).map(|status| status.as_str());
            values.extend([equal.clone(), values![status], place.clone()].concat());
        }
        values.extend(values![limit]);
        Ok(values)
    }

    fn old(age: i64, limit: u32) -> Vec<Value> {
        values![age, age, limit]
    }

    fn owned(owner: &str, limit: u32) -> Vec<Value> {
        values![owner, owner, limit]
    }

    fn entries(page: LogPage) -> Vec<Value> {
        let LogPage { id, after, limit, kept } = page;
        values![id.as_str(), kept, id.as_str(), after, kept, limit, id]
    }

    driver!(MySqlConnection, MySqlRow);
}
