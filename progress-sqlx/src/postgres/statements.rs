//! The statements for PostgreSQL 12 or later.
//!
//! The clock is `statement_timestamp()`: one value for a whole statement, and a new one for the
//! next statement of a transaction.

use crate::statements::{Statements, columns};

/// The columns of a record, and the clock.
macro_rules! select {
    () => {
        concat!(
            "SELECT ",
            columns!(),
            ", floor(extract(epoch FROM statement_timestamp()) * 1000)::bigint AS observed_at \
             FROM progress_records"
        )
    };
}

/// Merges the lists of statuses (JSON).
///
/// The status is compared and sorted together with the time of creation, although it is the same in
/// a whole list: an index by time alone does not have this order. With an equality, PostgreSQL may
/// read by time alone, and pass all records if none has the status.
macro_rules! merge {
    ($condition:literal) => {
        concat!(
            "SELECT found.* FROM json_array_elements_text($4::json) AS wanted (wanted_status) \
             CROSS JOIN LATERAL (",
            select!(),
            " WHERE (status, created_at, id) < (wanted_status, $1, $2) \
             AND status >= wanted_status",
            $condition,
            " ORDER BY status DESC, created_at DESC, id DESC LIMIT $3) AS found \
             ORDER BY created_at DESC, id DESC LIMIT $3"
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
    // Sets everything that the transaction relies on, whatever the defaults of the server, the
    // database and the role. The settings end with the transaction, because a pooler may then give
    // the session to another client.
    // READ COMMITTED: other levels refuse a statement that waited for a record.
    // lock_timeout: a store's own transactions take milliseconds.
    // idle_in_transaction_session_timeout: the next statement follows within milliseconds, unless
    // the network has dropped the connection. The time-out then releases its locks for other
    // sessions.
    begin: "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = '500ms'; \
         SET LOCAL statement_timeout = '5s'; SET LOCAL idle_in_transaction_session_timeout = '5s'",
    begin_read: "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY",
    clock: "SELECT floor(extract(epoch FROM statement_timestamp()) * 1000)::bigint",
    create: "INSERT INTO progress_records (id, owner, task_type, status, total, title, \
         completion_message, metadata, auto_complete, lease, stall_after, version, created_at, \
         started_at, updated_at, finished_at, succeeded, max_attempts, carried_over, checkpoint, \
         stages, announce_at, failed, cancel_requested, workers, pace, last_entry) VALUES ($1, \
         $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, \
         $21, $22, 0, 0, 0, 0, 0)",
    get: concat!(select!(), " WHERE id = $1"),
    get_many: concat!(select!(), " WHERE id IN (SELECT json_array_elements_text($1::json))"),
    // Not in a session that is read-only by default, where only a transaction can write.
    get_to_advance: concat!(
        select!(),
        " WHERE id = $1 AND current_setting('transaction_read_only') = 'off'"
    ),
    lock: concat!(select!(), " WHERE id = $1 FOR UPDATE SKIP LOCKED"),
    lock_many: concat!(
        select!(),
        " WHERE id IN (SELECT json_array_elements_text($1::json)) FOR UPDATE SKIP LOCKED"
    ),
    wait: "SELECT id FROM progress_records WHERE id = $1 FOR UPDATE",
    existing: "SELECT id FROM progress_records \
         WHERE id IN (SELECT json_array_elements_text($1::json))",
    stamps: "SELECT progress_id, writer, seq FROM progress_writers WHERE (progress_id, writer) IN \
         (SELECT given.progress_id, given.writer \
         FROM json_to_recordset($1::json) AS given (progress_id text, writer text))",
    save: "UPDATE progress_records SET status = $1, error = $2, completion_message = $3, \
         result = $4, cancel_requested = $5, started_at = $6, finished_at = $7, attempt = $8, \
         attempt_started_at = $9, retry_at = $10, carried_over = $11, stages = $12, \
         announce_at = $13, workers = $14, total = $15, succeeded = $16, failed = $17, \
         message = $18, pace = $19, last_entry = $20, version = $21, updated_at = $22, \
         heartbeat_at = $23, checkpoint = $24, writer = $25, seq = $26 WHERE id = $27",
    save_many: "UPDATE progress_records AS records SET status = given.status, error = given.error, \
         completion_message = given.completion_message, result = given.result, \
         cancel_requested = given.cancel_requested, started_at = given.started_at, \
         finished_at = given.finished_at, attempt = given.attempt, \
         attempt_started_at = given.attempt_started_at, retry_at = given.retry_at, \
         carried_over = given.carried_over, stages = given.stages, \
         announce_at = given.announce_at, total = given.total, succeeded = given.succeeded, \
         failed = given.failed, message = given.message, workers = given.workers, \
         pace = given.pace, last_entry = given.last_entry, version = given.version, \
         updated_at = given.updated_at, heartbeat_at = given.heartbeat_at, \
         checkpoint = given.checkpoint, writer = given.writer, seq = given.seq FROM \
         json_to_recordset($1::json) AS given (id text, status text, error text, \
         completion_message text, result text, cancel_requested bigint, started_at bigint, \
         finished_at bigint, attempt bigint, attempt_started_at bigint, retry_at bigint, \
         carried_over bigint, stages text, announce_at bigint, total bigint, succeeded bigint, \
         failed bigint, message text, workers bigint, pace bigint, last_entry bigint, \
         version bigint, updated_at bigint, heartbeat_at bigint, checkpoint text, writer text, \
         seq bigint) WHERE records.id = given.id",
    advance: advance!("WHERE id = $13"),
    // Skips a record that another session has locked. The inner statement compares again after it
    // has locked the record.
    compare_and_advance: advance!(
        "WHERE id = (SELECT id FROM progress_records \
         WHERE id = $13 AND version = $14 AND writer = $15 AND seq = $16 FOR UPDATE SKIP LOCKED)"
    ),
    advance_many: "UPDATE progress_records AS records SET total = given.total, \
         succeeded = given.succeeded, failed = given.failed, message = given.message, \
         pace = given.pace, last_entry = given.last_entry, version = given.version, \
         updated_at = given.updated_at, heartbeat_at = given.heartbeat_at, \
         checkpoint = given.checkpoint, writer = given.writer, seq = given.seq FROM \
         json_to_recordset($1::json) AS given (id text, total bigint, succeeded bigint, \
         failed bigint, message text, pace bigint, last_entry bigint, version bigint, \
         updated_at bigint, heartbeat_at bigint, checkpoint text, writer text, seq bigint) \
         WHERE records.id = given.id",
    save_stamps: "INSERT INTO progress_writers (progress_id, writer, seq) \
         SELECT progress_id, writer, seq \
         FROM json_to_recordset($1::json) AS given (progress_id text, writer text, seq bigint) \
         ON CONFLICT (progress_id, writer) DO UPDATE SET seq = excluded.seq \
         WHERE excluded.seq > progress_writers.seq",
    append: "INSERT INTO progress_entries (progress_id, seq, at, level, item, message) \
         SELECT progress_id, seq, at, level, item, message FROM json_to_recordset($1::json) \
         AS given (progress_id text, seq bigint, at bigint, level text, item text, message text) \
         ON CONFLICT (progress_id, seq) DO UPDATE SET at = excluded.at, level = excluded.level, \
         item = excluded.item, message = excluded.message",
    trim: "DELETE FROM progress_entries AS entries USING \
         (SELECT given.id, (SELECT seq FROM progress_entries WHERE progress_id = given.id \
         ORDER BY seq DESC LIMIT 1 OFFSET $1) AS seq \
         FROM json_array_elements_text($2::json) AS given (id)) AS surplus \
         WHERE entries.progress_id = surplus.id AND entries.seq <= surplus.seq",
    entries: "SELECT records.last_entry, \
         (SELECT count(*) FROM (SELECT 1 FROM progress_entries WHERE progress_id = $1 LIMIT $4) \
         AS kept), entries.seq, entries.at, entries.level, entries.item, entries.message \
         FROM progress_records AS records LEFT JOIN \
         (SELECT * FROM (SELECT * FROM progress_entries WHERE progress_id = $1 AND seq > $2 \
         ORDER BY seq DESC LIMIT $4) AS newest ORDER BY seq LIMIT $3) AS entries ON true \
         WHERE records.id = $1 ORDER BY entries.seq",
    list: concat!(
        select!(),
        " WHERE (created_at, id) < ($1, $2) ORDER BY created_at DESC, id DESC LIMIT $3"
    ),
    // As in `merge`.
    list_of_owner: concat!(
        select!(),
        " WHERE (owner, created_at, id) < ($4, $1, $2) AND owner >= $4 \
         ORDER BY owner DESC, created_at DESC, id DESC LIMIT $3"
    ),
    list_by_status: merge!(""),
    list_of_owner_by_status: merge!(" AND owner = $5"),
    list_by_type: merge!(" AND task_type = $5"),
    list_of_owner_by_type: merge!(" AND task_type = $5 AND owner = $6"),
    heartbeats: "SELECT id, heartbeat_at, lease FROM progress_records WHERE status = 'running'",
    unannounced: concat!(
        select!(),
        " WHERE finished_at IS NOT NULL \
         AND announce_at < floor(extract(epoch FROM statement_timestamp()) * 1000)::bigint \
         ORDER BY announce_at, id LIMIT $1"
    ),
    old: "SELECT id FROM progress_records \
         WHERE finished_at < floor(extract(epoch FROM statement_timestamp()) * 1000)::bigint - $1 \
         AND (announce_at IS NULL OR finished_at \
         < floor(extract(epoch FROM statement_timestamp()) * 1000)::bigint - $1 - 86400000) \
         ORDER BY finished_at, id LIMIT $2 FOR UPDATE SKIP LOCKED",
    // Sorted, because PostgreSQL would otherwise prefer a scan if the owner has many records.
    owned: "SELECT id FROM (VALUES ('completed'), ('failed'), ('cancelled')) AS ended (status) \
         CROSS JOIN LATERAL (SELECT id FROM progress_records \
         WHERE owner = $1 AND status = ended.status ORDER BY created_at, id LIMIT $2) AS found \
         LIMIT $2",
    // In order, so that two calls do not wait for each other.
    lock_finished: "SELECT id FROM progress_records \
         WHERE id IN (SELECT json_array_elements_text($1::json)) AND finished_at IS NOT NULL \
         ORDER BY id FOR UPDATE",
    delete: [
        "DELETE FROM progress_records WHERE id IN (SELECT json_array_elements_text($1::json))",
        "DELETE FROM progress_entries \
         WHERE progress_id IN (SELECT json_array_elements_text($1::json))",
        "DELETE FROM progress_writers \
         WHERE progress_id IN (SELECT json_array_elements_text($1::json))",
    ],
    has_schema: "SELECT found::text FROM to_regclass('progress_schema') AS found \
         WHERE found IS NOT NULL",
    schema_version: "SELECT max(version), max(serves) FROM progress_schema",
    migrations: &[
        include_str!("schema/1.sql"),
        include_str!("schema/2.sql"),
        include_str!("schema/3.sql"),
    ],
};

/// Lets one session at a time migrate a database. The lock's number is "progress" in ASCII, which
/// no other program is likely to use. The lock ends with the transaction, even if that fails.
pub(super) const LOCK_SCHEMA: &str = "SET LOCAL lock_timeout = '30s'; \
     SET LOCAL statement_timeout = 0; SELECT pg_advisory_xact_lock(8103510784205681523)";

pub(super) const ENCODING: &str = "SELECT current_setting('server_encoding')";
