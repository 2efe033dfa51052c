pub(crate) mod codes;
mod connect;
mod statements;

use std::time::Duration;

use progress_core::ProgressError;
use sqlx::mysql::{MySql, MySqlConnection, MySqlRow};

use crate::dialect::{Deadlines, Dialect, ListPage, LogPage, driver};
use crate::impl_store::impl_progress_store;
use crate::statements::Statements;
use crate::store::SqlStore;
use crate::value::{Value, values};

/// Progress records in MySQL, version 8.0 or later, or MariaDB, version 10.6 or later.
///
/// The tests run on MariaDB 10.11. The SQL is what both document, but **no MySQL server has run
/// these tests yet**.
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
/// - **The tables are InnoDB.** Transactions read what is committed (`READ COMMITTED`), whatever
///   the default of the server. With a binary log, that needs `binlog_format` to be `ROW` or
///   `MIXED`, the defaults.
/// - **A migration is not one transaction**, because MySQL has none around tables. Every step can
///   be run again.
/// - **A restart of the server** ends its connections. A call that was under way is repeated once,
///   unless it was committing: then it fails as [`Unavailable`](ProgressError::Unavailable).
#[derive(Debug, Clone)]
pub struct MySqlStore {
    store: SqlStore<MySql>,
}

impl_progress_store!(MySqlStore);

/// Who has set up the sessions.
#[derive(Debug)]
pub(crate) struct Setup {
    /// Whether it was the application, so that each read has to set its session first.
    by_application: bool,
}

impl Dialect for MySql {
    const STATEMENTS: &'static Statements = &statements::STATEMENTS;
    const DEADLINES: Deadlines =
        Deadlines { read: Duration::from_secs(1), write: Duration::from_secs(5) };
    const NEEDS_RUNTIME: bool = true;
    type Own = Setup;
    type WriteGuard = ();

    async fn write_lock(_: &SqlStore<Self>) -> Result<(), ProgressError> {
        Ok(())
    }

    async fn before_read(
        store: &SqlStore<Self>,
        connection: &mut MySqlConnection,
    ) -> Result<(), sqlx::Error> {
        if store.shared.own.by_application {
            Self::script(connection, statements::SESSION).await
        } else {
            Ok(())
        }
    }

    // Placeholders have no numbers here, so a value is bound as often as it is mentioned.
    fn list(page: ListPage) -> Vec<Value> {
        let ListPage { before, before_id, owner, statuses, task_type, limit } = page;
        let mut values = match owner {
            Some(owner) => values![owner.as_str(), owner],
            None => Vec::new(),
        };
        values.extend(values![before, before, before_id, statuses]);
        values.extend(values![task_type.as_deref(), task_type.as_deref(), task_type, limit]);
        values
    }

    fn entries(page: LogPage) -> Vec<Value> {
        let LogPage { id, after, limit, kept } = page;
        values![id.as_str(), kept, id.as_str(), after, kept, limit, id]
    }

    driver!(MySqlConnection, MySqlRow);
}
