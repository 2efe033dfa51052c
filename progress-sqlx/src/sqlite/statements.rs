//! The statements for SQLite 3.38 or later: STRICT tables need 3.37, and JSON is built in from
//! 3.38.
//!
//! The clock is `julianday('now')`. SQLite keeps "now" in whole milliseconds, and it is constant
//! during a step of a statement. A Julian day as a double is exact to 0.02 ms, so rounding restores
//! the millisecond. `unixepoch('subsec')` would be shorter, but needs 3.42.
//!
//! Rows are read as JSON arrays, and where there may be many, several arrays are in one text. The
//! driver runs SQLite on its own thread, which sends rows one by one and copies each value: 128
//! records as one text take half the time.

use crate::statements::{Statements, columns};

/// The columns of a record, and the clock.
macro_rules! record {
    () => {
        concat!(
            "json_array(",
            columns!(),
            ", CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER))"
        )
    };
}

macro_rules! select {
    () => {
        concat!("SELECT ", record!(), " FROM progress_records")
    };
}

macro_rules! select_many {
    () => {
        concat!(
            "SELECT group_concat(",
            record!(),
            ", ' ') FROM progress_records WHERE id IN (SELECT value FROM json_each($1))"
        )
    };
}

/// Merges the lists of the statuses $4 to $8. A status that is NULL has no record. SQLite merges
/// them row by row, and stops when the page is full.
macro_rules! merge {
    ($condition:literal) => {
        concat!(
            merge!(@ "$4", $condition),
            " UNION ALL ",
            merge!(@ "$5", $condition),
            " UNION ALL ",
            merge!(@ "$6", $condition),
            " UNION ALL ",
            merge!(@ "$7", $condition),
            " UNION ALL ",
            merge!(@ "$8", $condition),
            " ORDER BY 2 DESC, 3 DESC LIMIT $3"
        )
    };
    (@ $status:literal, $condition:literal) => {
        concat!(
            "SELECT ",
            record!(),
            ", created_at, id FROM progress_records WHERE status = ",
            $status,
            " AND (created_at, id) < ($1, $2)",
            $condition
        )
    };
}

/// Writes the columns of `Advance`. A record keeps its checkpoint if there is no new one.
macro_rules! advance {
    ($condition:literal) => {
        concat!(
            "UPDATE progress_records SET total = $1, succeeded = $2, failed = $3, message = $4, \
             pace = $5, last_entry = $6, version = $7, updated_at = $8, heartbeat_at = $9, \
             checkpoint = coalesce($10, checkpoint), writer = $11, seq = $12 ",
            $condition
        )
    };
}

pub(super) const STATEMENTS: Statements = Statements {
    // Takes the write lock at once. A transaction that reads first and writes later is rejected
    // without waiting if another connection wrote in between.
    begin: "BEGIN IMMEDIATE",
    begin_read: "BEGIN DEFERRED",
    clock: "SELECT json_array(CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER))",
    create: "INSERT INTO progress_records (id, owner, task_type, status, total, title, \
         completion_message, metadata, auto_complete, lease, stall_after, version, created_at, \
         started_at, updated_at, finished_at, succeeded, max_attempts, carried_over, checkpoint, \
         stages, announce_at, failed, cancel_requested, workers, pace, last_entry) VALUES ($1, \
         $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, \
         $21, $22, 0, 0, 0, 0, 0)",
    get: concat!(select!(), " WHERE id = $1"),
    get_many: select_many!(),
    get_to_advance: concat!(select!(), " WHERE id = $1"),
    // No row locks: the only writer has locked the whole file.
    lock: concat!(select!(), " WHERE id = $1"),
    lock_many: select_many!(),
    wait: "SELECT json_array(id) FROM progress_records WHERE id = $1",
    existing: "SELECT json_array(id) FROM progress_records \
         WHERE id IN (SELECT value FROM json_each($1))",
    stamps: "SELECT json_array(progress_id, writer, seq) FROM progress_writers \
         WHERE (progress_id, writer) IN (SELECT value ->> 'progress_id', \
         value ->> 'writer' FROM json_each($1))",
    save: "UPDATE progress_records SET status = $1, error = $2, completion_message = $3, \
         result = $4, cancel_requested = $5, started_at = $6, finished_at = $7, attempt = $8, \
         attempt_started_at = $9, retry_at = $10, carried_over = $11, stages = $12, \
         announce_at = $13, workers = $14, total = $15, succeeded = $16, failed = $17, \
         message = $18, pace = $19, last_entry = $20, version = $21, updated_at = $22, \
         heartbeat_at = $23, checkpoint = $24, writer = $25, seq = $26 WHERE id = $27",
    // Materialized, because otherwise each use of json_each's value would write the row as text
    // again.
    save_many: "WITH given (row) AS MATERIALIZED (SELECT value FROM json_each($1)) \
         UPDATE progress_records SET \
         status = given.row ->> 'status', \
         error = given.row ->> 'error', \
         completion_message = given.row ->> 'completion_message', \
         result = given.row ->> 'result', \
         cancel_requested = given.row ->> 'cancel_requested', \
         started_at = given.row ->> 'started_at', \
         finished_at = given.row ->> 'finished_at', \
         attempt = given.row ->> 'attempt', \
         attempt_started_at = given.row ->> 'attempt_started_at', \
         retry_at = given.row ->> 'retry_at', \
         carried_over = given.row ->> 'carried_over', \
         stages = given.row ->> 'stages', \
         announce_at = given.row ->> 'announce_at', \
         workers = given.row ->> 'workers', \
         total = given.row ->> 'total', \
         succeeded = given.row ->> 'succeeded', \
         failed = given.row ->> 'failed', \
         message = given.row ->> 'message', \
         pace = given.row ->> 'pace', \
         last_entry = given.row ->> 'last_entry', \
         version = given.row ->> 'version', \
         updated_at = given.row ->> 'updated_at', \
         heartbeat_at = given.row ->> 'heartbeat_at', \
         checkpoint = given.row ->> 'checkpoint', \
         writer = given.row ->> 'writer', \
         seq = given.row ->> 'seq' \
         FROM given WHERE progress_records.id = given.row ->> 'id'",
    // SQLite writes an index again if one of its columns is set, even to the same value. These
    // statements set none.
    advance: advance!("WHERE id = $13"),
    compare_and_advance: advance!(
        "WHERE id = $13 AND version = $14 AND writer = $15 AND seq = $16"
    ),
    advance_many: "WITH given (row) AS MATERIALIZED (SELECT value FROM json_each($1)) \
         UPDATE progress_records SET \
         total = given.row ->> 'total', \
         succeeded = given.row ->> 'succeeded', \
         failed = given.row ->> 'failed', \
         message = given.row ->> 'message', \
         pace = given.row ->> 'pace', \
         last_entry = given.row ->> 'last_entry', \
         version = given.row ->> 'version', \
         updated_at = given.row ->> 'updated_at', \
         heartbeat_at = given.row ->> 'heartbeat_at', \
         checkpoint = given.row ->> 'checkpoint', \
         writer = given.row ->> 'writer', \
         seq = given.row ->> 'seq' \
         FROM given WHERE progress_records.id = given.row ->> 'id'",
    save_stamps: "INSERT INTO progress_writers (progress_id, writer, seq) \
         SELECT value ->> 'progress_id', value ->> 'writer', value ->> 'seq' \
         FROM json_each($1) WHERE true \
         ON CONFLICT (progress_id, writer) DO UPDATE SET seq = excluded.seq \
         WHERE excluded.seq > progress_writers.seq",
    append: "WITH given (row) AS MATERIALIZED (SELECT value FROM json_each($1)) \
         INSERT OR REPLACE INTO progress_entries (progress_id, seq, at, level, item, message) \
         SELECT row ->> 'progress_id', row ->> 'seq', row ->> 'at', row ->> 'level', \
         row ->> 'item', row ->> 'message' FROM given",
    trim: "DELETE FROM progress_entries WHERE (progress_id, seq) IN \
         (SELECT entries.progress_id, entries.seq FROM json_each($2) AS given \
         CROSS JOIN progress_entries AS entries ON entries.progress_id = given.value \
         AND entries.seq <= (SELECT seq FROM progress_entries WHERE progress_id = given.value \
         ORDER BY seq DESC LIMIT 1 OFFSET $1))",
    entries: "SELECT json_array(records.last_entry, \
         (SELECT count(*) FROM (SELECT 1 FROM progress_entries WHERE progress_id = $1 LIMIT $4)), \
         entries.seq, entries.at, entries.level, entries.item, entries.message) \
         FROM progress_records AS records LEFT JOIN \
         (SELECT * FROM (SELECT * FROM progress_entries WHERE progress_id = $1 AND seq > $2 \
         ORDER BY seq DESC LIMIT $4) ORDER BY seq LIMIT $3) AS entries ON true \
         WHERE records.id = $1 ORDER BY entries.seq",
    list: concat!(
        select!(),
        " WHERE (created_at, id) < ($1, $2) ORDER BY created_at DESC, id DESC LIMIT $3"
    ),
    list_of_owner: concat!(
        select!(),
        " WHERE (created_at, id) < ($1, $2) AND owner = $4 \
         ORDER BY created_at DESC, id DESC LIMIT $3"
    ),
    list_by_status: merge!(""),
    list_of_owner_by_status: merge!(" AND owner = $9"),
    list_by_type: merge!(" AND task_type = $9"),
    list_of_owner_by_type: merge!(" AND task_type = $9 AND owner = $10"),
    heartbeats: "SELECT group_concat(json_array(id, heartbeat_at, lease), ' ') \
         FROM progress_records WHERE status = 'running'",
    unannounced: concat!(
        select!(),
        " WHERE finished_at IS NOT NULL AND announce_at < \
         CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) \
         ORDER BY announce_at, id LIMIT $1"
    ),
    old: "SELECT json_array(id) FROM progress_records WHERE finished_at < \
         CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) - $1 \
         AND (announce_at IS NULL OR finished_at < \
         CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) - $1 - 86400000) \
         ORDER BY finished_at, id LIMIT $2",
    owned: "SELECT json_array(id) FROM progress_records \
         WHERE owner = $1 AND status IN ('completed', 'failed', 'cancelled') LIMIT $2",
    lock_finished: "SELECT json_array(id) FROM progress_records \
         WHERE id IN (SELECT value FROM json_each($1)) AND finished_at IS NOT NULL",
    delete: [
        "DELETE FROM progress_records WHERE id IN (SELECT value FROM json_each($1))",
        "DELETE FROM progress_entries WHERE progress_id IN (SELECT value FROM json_each($1))",
        "DELETE FROM progress_writers WHERE progress_id IN (SELECT value FROM json_each($1))",
    ],
    has_schema: "SELECT json_array(name) FROM sqlite_schema \
         WHERE type = 'table' AND name = 'progress_schema'",
    schema_version: "SELECT json_array(max(version), max(serves)) FROM progress_schema",
    migrations: &[
        include_str!("schema/1.sql"),
        include_str!("schema/2.sql"),
        include_str!("schema/3.sql"),
    ],
};

pub(super) const WRITE_AHEAD_LOG: &str = "PRAGMA journal_mode = WAL";

#[cfg(test)]
mod tests {
    use sqlx::Connection as _;
    use sqlx::sqlite::SqliteConnection;

    use super::*;

    #[tokio::test]
    async fn the_clock_is_exact_to_the_millisecond() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        // Checks the clock's arithmetic for 10,000 points in time within a century, with all values
        // of the milliseconds.
        let clock = STATEMENTS.clock.strip_prefix("SELECT json_array(").unwrap();
        let clock = clock.strip_suffix(')').unwrap().replace("'now'", "moment");
        assert!(STATEMENTS.get.contains(&clock.replace("moment", "'now'")));
        let sql = format!(
            "WITH RECURSIVE numbers (n) AS \
             (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < 9999), \
             moments (expected, moment) AS (SELECT (n * 315360 + n) * 1000 + n % 1000, \
             strftime('%Y-%m-%d %H:%M:%S', n * 315360 + n, 'unixepoch') \
             || printf('.%03d', n % 1000) FROM numbers) \
             SELECT count(*) FROM moments WHERE {clock} = expected"
        );
        let exact: i64 =
            sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&mut connection).await.unwrap();
        assert_eq!(exact, 10_000);
    }
}
