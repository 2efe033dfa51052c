pub(crate) mod codes;
mod connect;
mod statements;

use std::time::Duration;

use progress_core::ProgressError;
use sqlx::mysql::{MySql, MySqlArguments, MySqlConnection, MySqlPool, MySqlRow};
use sqlx::query::Query;

use crate::dialect::{Dialect, Turn, Value, driver, values};
use crate::error::classify;
use crate::facade::store;
use crate::statements::Statements;
use crate::store::{Body, Deadlines};

/// Progress records in MySQL, version 8.0 or later, or MariaDB, version 10.6 or later.
///
/// The tests run on MariaDB 10.11. The SQL is what both document, but **no MySQL server has run these tests yet**.
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
/// - **The tables are InnoDB.** Transactions read what is committed (`READ COMMITTED`), whatever the default of the server;
///   with a binary log, that needs `binlog_format` to be `ROW` or `MIXED`, as it is unless somebody changed it.
/// - **The server's clock is everybody's**, so those of the processes do not matter. Should it be set forward by more than a
///   janitor's lease, a sweep before a worker's next heartbeat takes that worker for lost.
/// - **A migration is not one transaction**, for MySQL has none around tables. Every step can be run again.
/// - **A restart of the server** ends its connections: calls that were under way are told
///   [`Unavailable`](ProgressError::Unavailable), and the next ones get new connections.
#[derive(Debug, Clone)]
pub struct MySqlStore {
    body: Body<MySql>,
}

store! {
    /// Its connections have to speak utf8mb4, as sqlx's do by default.
    MySqlStore(MySqlPool)
}

impl Dialect for MySql {
    const STATEMENTS: &'static Statements = &statements::STATEMENTS;
    /// Five round trips for each: a tenth of a second on a near server, half a second on a far one.
    const BATCH: u32 = 100;
    const DEADLINES: Deadlines =
        Deadlines { read: Duration::from_secs(1), write: Duration::from_secs(5) };
    const NEEDS_ITS_RUNTIME: bool = true;
    type Shared = ();
    type Guard = ();

    async fn begin(body: &Body<Self>) -> Result<Turn<Self>, ProgressError> {
        let writer = body.pools.writer();
        // A task of its own, which a dropped call does not interrupt: sqlx would hand on a connection on which a transaction
        // has begun without its knowing.
        let begun = tokio::spawn(async move { writer.begin_with(Self::STATEMENTS.begin).await });
        let transaction = begun.await.map_err(ProgressError::unavailable)?.map_err(classify)?;
        Ok(Turn { transaction, guard: () })
    }

    driver!(MySqlConnection, MySqlRow, bind);

    /// Two statements: there is none that returns what it changed. Those found are counted, changed or not, because sqlx
    /// asks for that (`CLIENT_FOUND_ROWS`).
    async fn change(
        connection: &mut MySqlConnection,
        statement: &'static str,
        values: Vec<Value>,
    ) -> Result<Option<MySqlRow>, sqlx::Error> {
        let Some(Value::Text(id)) = values.first() else {
            return Err(sqlx::Error::Protocol(
                "a change begins with the id of its record".to_owned(),
            ));
        };
        let id = id.clone();
        if !unless_taken(Self::execute(connection, statement, values).await)? {
            return Ok(None);
        }
        let found = Self::fetch(connection, Self::STATEMENTS.get, values![id]).await?;
        Ok(found.into_iter().next())
    }

    /// Two statements here as well: the count of rows of `ON DUPLICATE KEY UPDATE` does not tell "new" from "as it was".
    async fn stamp(
        connection: &mut MySqlConnection,
        values: Vec<Value>,
    ) -> Result<bool, sqlx::Error> {
        Ok(Self::execute(connection, Self::STATEMENTS.stamp, values.clone()).await? > 0
            || unless_taken(Self::execute(connection, statements::FIRST_STAMP, values.clone()).await)?
            // Taken, but since when? The number may have come with a transaction that has ended meanwhile.
            || Self::execute(connection, Self::STATEMENTS.stamp, values).await? > 0)
    }
}

/// False when there was no row to change, or a row with this key already. The transaction goes on either way.
fn unless_taken(outcome: Result<u64, sqlx::Error>) -> Result<bool, sqlx::Error> {
    match outcome {
        Ok(rows) => Ok(rows > 0),
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(false),
        Err(error) => Err(error),
    }
}

/// A query with its parameters, for a database that knows them by their places alone: a value for each, as often as it is
/// mentioned.
#[allow(
    clippy::needless_pass_by_value,
    reason = "as the other dialects have it, which consume them"
)]
fn bind(statement: &'static str, values: Vec<Value>) -> Query<'static, MySql, MySqlArguments> {
    let (text, mentioned) = by_place(statement);
    // Safe: a literal of this crate, in which placeholders were renamed.
    let query = sqlx::query(sqlx::AssertSqlSafe(text));
    mentioned.into_iter().fold(query, |query, place| match values.get(place) {
        Some(Value::Integer(value)) => query.bind(*value),
        Some(Value::Text(value)) => query.bind(value.clone()),
        // One too few: the server says so.
        None => query,
    })
}

/// `?` for `$1`, `$2`, …, and the places of the values that they stand for.
fn by_place(statement: &str) -> (String, Vec<usize>) {
    let mut pieces = statement.split('$');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    let mut mentioned = Vec::new();
    for piece in pieces {
        // At most nine parameters, so a number is one digit. A `$` before anything else belongs to the path of a JSON_TABLE.
        match piece.bytes().next().filter(u8::is_ascii_digit) {
            Some(digit) => {
                mentioned.push(usize::from(digit - b'1'));
                text.push('?');
                text.push_str(&piece[1..]);
            }
            None => {
                text.push('$');
                text.push_str(piece);
            }
        }
    }
    (text, mentioned)
}

#[cfg(test)]
mod tests {
    use sqlx::{Arguments as _, Execute as _};

    use super::*;

    #[test]
    fn values_follow_their_mention() {
        let (text, mentioned) = by_place(statements::STATEMENTS.stamp);
        assert_eq!(
            text,
            "UPDATE progress_writers SET seq = ? WHERE progress_id = ? AND writer = ? AND seq < ?"
        );
        assert_eq!(mentioned, [2, 0, 1, 2]);
        let mut query =
            bind(statements::STATEMENTS.stamp, values!["id".to_owned(), "writer".to_owned(), 7]);
        assert_eq!(query.take_arguments().unwrap().unwrap().len(), 4);
    }

    #[test]
    fn paths_into_json_are_no_parameters() {
        let (text, mentioned) =
            by_place("SELECT $2 FROM json_table($1, '$[*]' COLUMNS (a TEXT PATH '$[0]'))$");
        assert_eq!(text, "SELECT ? FROM json_table(?, '$[*]' COLUMNS (a TEXT PATH '$[0]'))$");
        assert_eq!(mentioned, [1, 0]);
        assert_eq!(by_place(""), (String::new(), Vec::new()));
    }
}
