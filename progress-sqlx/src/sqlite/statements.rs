//! Everything that is said to SQLite, in SQL that versions from 3.38 on understand (STRICT tables need 3.37, JSON is
//! built in from 3.38).
//!
//! Parameters are `$1`, `$2`, …; each list of columns and each clock stands here once.

/// The database's clock, in whole milliseconds. SQLite keeps "now" in whole milliseconds and gives the same one to a whole
/// step of a statement; a Julian day as a double is exact to 0.02 ms, so rounding gives that millisecond back.
/// `unixepoch('subsec')` would be shorter, and needs 3.42.
macro_rules! now {
    () => {
        "CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)"
    };
}

/// The time of a change: the clock, but never earlier than the change before.
macro_rules! change_time {
    () => {
        concat!("max(updated_at, ", now!(), ")")
    };
}

macro_rules! record {
    () => {
        concat!(
            "id, owner, task_type, status, total, succeeded, failed, message, error, title, completion_message, ",
            "metadata, result, cancel_requested, auto_complete, last_entry, version, created_at, started_at, ",
            "updated_at, heartbeat_at, finished_at, ",
            now!(),
            " AS observed_at"
        )
    };
}

/// A change that viewers see: what `Progress::apply` does, guarded by the status it is accepted in.
/// `$1` id, `$2` succeeded, `$3` failed, `$4` total to set, `$5` total to add, `$6` message, `$7` entries.
macro_rules! change {
    ([$($assignments:expr),+], $accepted:literal) => {
        concat!(
            "UPDATE progress_records SET ",
            $($assignments,)+
            ", version = version + 1, updated_at = ", change_time!(),
            ", succeeded = min(succeeded + $2, 9007199254740991)",
            ", failed = min(failed + $3, 9007199254740991)",
            ", total = CASE WHEN $4 IS NOT NULL THEN $4",
            " WHEN $5 IS NOT NULL THEN min(coalesce(total, 0) + $5, 9007199254740991) ELSE total END",
            ", message = coalesce($6, message)",
            ", last_entry = min(last_entry + $7, 9007199254740991)",
            " WHERE id = $1 AND status IN ", $accepted,
            " RETURNING ", record!()
        )
    };
}

/// Takes the write lock at once: a transaction that reads first and writes later is refused by SQLite, without waiting,
/// when somebody else wrote in between.
pub(super) const BEGIN: &str = "BEGIN IMMEDIATE";

pub(super) const CREATE: &str = concat!(
    "INSERT INTO progress_records (id, owner, task_type, status, total, succeeded, failed, title, completion_message, ",
    "metadata, cancel_requested, auto_complete, last_entry, version, created_at, updated_at) ",
    "VALUES ($1, $2, $3, 'pending', $4, 0, 0, $5, $6, $7, 0, $8, 0, 1, ",
    now!(),
    ", ",
    now!(),
    ") ",
    "ON CONFLICT (id) DO NOTHING RETURNING ",
    record!()
);

pub(super) const GET: &str = concat!("SELECT ", record!(), " FROM progress_records WHERE id = $1");

pub(super) const GET_MANY: &str =
    concat!("SELECT ", record!(), " FROM progress_records WHERE id IN (SELECT value FROM json_each($1))");

/// Raises a writer's number; no row affected means that the stamp was applied before.
pub(super) const STAMP: &str = "INSERT INTO progress_writers (progress_id, writer, seq) VALUES ($1, $2, $3) \
    ON CONFLICT (progress_id, writer) DO UPDATE SET seq = excluded.seq WHERE excluded.seq > progress_writers.seq";

pub(super) const START: &str = change!(
    ["status = 'running', started_at = ", change_time!(), ", heartbeat_at = ", now!()],
    "('pending')"
);

pub(super) const ADVANCE: &str = change!(["heartbeat_at = ", now!()], "('running')");

/// The lease follows the clock as it is, also backwards; the version stays.
pub(super) const HEARTBEAT: &str = concat!(
    "UPDATE progress_records SET heartbeat_at = ",
    now!(),
    " WHERE id = $1 AND status = 'running' RETURNING ",
    record!()
);

/// `$8` completion message, `$9` result.
pub(super) const COMPLETE: &str = change!(
    [
        "status = 'completed', completion_message = coalesce($8, completion_message), result = $9, finished_at = ",
        change_time!()
    ],
    "('running')"
);

/// `$8` public error.
pub(super) const FAIL: &str =
    change!(["status = 'failed', error = $8, finished_at = ", change_time!()], "('pending', 'running')");

pub(super) const CANCEL: &str =
    change!(["status = 'cancelled', finished_at = ", change_time!()], "('running')");

/// A wish that was uttered before is no change: no row, and the record says why.
pub(super) const REQUEST_CANCEL: &str = concat!(
    "UPDATE progress_records SET cancel_requested = 1, version = version + 1, updated_at = ",
    change_time!(),
    ", finished_at = CASE status WHEN 'pending' THEN ",
    change_time!(),
    " ELSE finished_at END",
    ", status = CASE status WHEN 'pending' THEN 'cancelled' ELSE status END",
    " WHERE id = $1 AND status IN ('pending', 'running') AND cancel_requested = 0 RETURNING ",
    record!()
);

/// The second half of the change that processed the last item: the version has grown already.
pub(super) const AUTO_COMPLETE: &str = concat!(
    "UPDATE progress_records SET status = 'completed', finished_at = updated_at ",
    "WHERE id = $1 AND status = 'running' RETURNING ",
    record!()
);

/// `$2` number of the first, `$3` time, `$4` the entries as JSON. A number that is taken is one beyond 2^53, where
/// counting has stopped: the newest entry is worth more than an error.
pub(super) const APPEND: &str = "INSERT OR REPLACE INTO progress_entries (progress_id, seq, at, level, item, message) \
    SELECT $1, $2 + key, $3, value ->> 0, value ->> 1, value ->> 2 FROM json_each($4)";

/// Numbers have gaps, so the newest are found by counting: `$2` are kept.
pub(super) const TRIM: &str = "DELETE FROM progress_entries WHERE progress_id = $1 AND seq <= \
    (SELECT seq FROM progress_entries WHERE progress_id = $1 ORDER BY seq DESC LIMIT 1 OFFSET $2)";

/// One statement, so that the page and what is said about it are of one moment. A log without a fitting entry gives one
/// row without an entry; a missing record gives none.
pub(super) const ENTRIES: &str = "SELECT records.last_entry, \
    (SELECT count(*) FROM progress_entries WHERE progress_id = $1) AS kept, \
    entries.seq, entries.at, entries.level, entries.item, entries.message \
    FROM progress_records AS records LEFT JOIN \
    (SELECT * FROM progress_entries WHERE progress_id = $1 AND seq > $2 ORDER BY seq LIMIT $3) AS entries ON true \
    WHERE records.id = $1 ORDER BY entries.seq";

/// `$1` and `$2` where the page begins, `$3` statuses, `$4` task type, `$5` how many, `$6` owner. Two statements, for one
/// with an optional owner could not use the owner's index.
macro_rules! list {
    ($owner:literal) => {
        concat!(
            "SELECT ",
            record!(),
            " FROM progress_records WHERE (created_at, id) < ($1, $2)",
            " AND status IN (SELECT value FROM json_each($3)) AND ($4 IS NULL OR task_type = $4)",
            $owner,
            " ORDER BY created_at DESC, id DESC LIMIT $5"
        )
    };
}
pub(super) const LIST: &str = list!("");
pub(super) const LIST_OWNED: &str = list!(" AND owner = $6");

/// `$1` for how long, `$2` public error. Nothing overflows: the smallest integer is further away than now.
pub(super) const FAIL_STALE: &str = concat!(
    "UPDATE progress_records SET status = 'failed', error = $2, version = version + 1, updated_at = ",
    change_time!(),
    ", finished_at = ",
    change_time!(),
    " WHERE status = 'running' AND heartbeat_at < ",
    now!(),
    " - $1"
);

pub(super) const DELETE_FINISHED: &str = concat!(
    "DELETE FROM progress_records WHERE id IN (SELECT id FROM progress_records WHERE finished_at < ",
    now!(),
    " - $1 ORDER BY finished_at, id LIMIT $2) RETURNING id"
);

pub(super) const DELETE: &str = "DELETE FROM progress_records \
    WHERE id = $1 AND status IN ('completed', 'failed', 'cancelled') RETURNING id";

/// `$1` ids.
pub(super) const DELETE_ENTRIES: &str =
    "DELETE FROM progress_entries WHERE progress_id IN (SELECT value FROM json_each($1))";
pub(super) const DELETE_WRITERS: &str =
    "DELETE FROM progress_writers WHERE progress_id IN (SELECT value FROM json_each($1))";

pub(super) const HAS_SCHEMA: &str =
    "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'progress_schema'";
pub(super) const SCHEMA_VERSION: &str = "SELECT coalesce(max(version), 0) FROM progress_schema";
pub(super) const WRITE_AHEAD_LOG: &str = "PRAGMA journal_mode = WAL";

/// What leads from each version of the tables to the next. A script that was released never changes.
pub(super) const MIGRATIONS: &[&str] = &[include_str!("schema/1.sql")];

#[cfg(test)]
mod tests {
    use sqlx::Connection as _;
    use sqlx::sqlite::SqliteConnection;

    #[tokio::test]
    async fn the_clock_is_exact_to_the_millisecond() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        // The clock's own arithmetic, over 10,000 moments of a century, each with another millisecond.
        let clock = now!().replace("'now'", "moment");
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
