//! What SQLite is told in its own words, which versions from 3.38 on understand (STRICT tables need 3.37, JSON is built in
//! from 3.38).

use crate::statements::{Statements, statements};

/// The database's clock, in whole milliseconds. SQLite keeps "now" in whole milliseconds and gives the same one to a whole
/// step of a statement; a Julian day as a double is exact to 0.02 ms, so rounding gives that millisecond back.
/// `unixepoch('subsec')` would be shorter, and needs 3.42.
#[cfg(test)]
const NOW: &str = "CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)";

pub(super) const STATEMENTS: Statements = statements! {
    now: "CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)",
    flag: "",
    least: "min",
    greatest: "max",
    returns: yes,
    // The one writer has locked everything.
    locking: "",
    // "now" is the time of the process that asks.
    lost: by_observation,
    given: ("SELECT value FROM json_each(", ")"),
    among: ("", " WHERE id IN (SELECT value FROM json_each($1))"),
    place: "(created_at, id) < ($1, $2)",
    same_task_type: "task_type = $4",
    same_owner: "owner = $6",
    taken: " ON CONFLICT (id) DO NOTHING",
    by_id: "",
    // Takes the write lock at once: a transaction that reads first and writes later is refused by SQLite, without waiting,
    // when somebody else wrote in between.
    begin: "BEGIN IMMEDIATE",
    stamp: "INSERT INTO progress_writers (progress_id, writer, seq) VALUES ($1, $2, $3) \
        ON CONFLICT (progress_id, writer) DO UPDATE SET seq = excluded.seq WHERE excluded.seq > progress_writers.seq",
    append: "INSERT OR REPLACE INTO progress_entries (progress_id, seq, at, level, item, message) \
        SELECT $1, $2 + key, $3, value ->> 0, value ->> 1, value ->> 2 FROM json_each($4)",
    trim: "DELETE FROM progress_entries WHERE progress_id = $1 AND seq <= \
        (SELECT seq FROM progress_entries WHERE progress_id = $1 ORDER BY seq DESC LIMIT 1 OFFSET $2)",
    delete_records: "DELETE FROM progress_records WHERE id IN (SELECT value FROM json_each($1))",
    delete_entries: "DELETE FROM progress_entries WHERE progress_id IN (SELECT value FROM json_each($1))",
    delete_writers: "DELETE FROM progress_writers WHERE progress_id IN (SELECT value FROM json_each($1))",
    has_schema: "SELECT name FROM sqlite_schema WHERE type = 'table' AND name = 'progress_schema'",
    migrations: &[include_str!("schema/1.sql")],
};

pub(super) const WRITE_AHEAD_LOG: &str = "PRAGMA journal_mode = WAL";

#[cfg(test)]
mod tests {
    use sqlx::Connection as _;
    use sqlx::sqlite::SqliteConnection;

    use super::*;

    #[tokio::test]
    async fn the_clock_is_exact_to_the_millisecond() {
        assert!(STATEMENTS.get.contains(NOW), "this is the clock of the statements");
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        // The clock's own arithmetic, over 10,000 moments of a century, each with another millisecond.
        let clock = NOW.replace("'now'", "moment");
        let sql = format!(
            "WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < 9999), \
             moments (expected, moment) AS (SELECT (n * 315360 + n) * 1000 + n % 1000, \
             strftime('%Y-%m-%d %H:%M:%S', n * 315360 + n, 'unixepoch') || printf('.%03d', n % 1000) FROM numbers) \
             SELECT count(*) FROM moments WHERE {clock} = expected"
        );
        let exact: i64 =
            sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&mut connection).await.unwrap();
        assert_eq!(exact, 10_000);
    }
}
