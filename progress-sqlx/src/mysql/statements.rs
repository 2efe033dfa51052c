//! The statements for MySQL 8.0 or later, and for MariaDB 10.6 or later.
//!
//! The clock is `utc_timestamp(3)`, which has one value for a whole statement in any session time
//! zone. JSON rows are joined as `json_table(…) AS given`, because MariaDB 10 reads a whole table
//! for an `IN` with a subquery.
//!
//! `STRAIGHT_JOIN` and `FORCE INDEX` make locking statements lock only the records that they name.
//! With another index, or a scan, they would lock others as well.

use crate::statements::{Statements, columns};

/// The columns of a record, and the clock.
macro_rules! select {
    () => {
        concat!(
            "SELECT ",
            columns!(),
            ", timestampdiff(MICROSECOND, '1970-01-01', utc_timestamp(3)) DIV 1000 AS observed_at"
        )
    };
}

/// Merges the lists of five statuses. A status that is NULL has no record. The positions are read
/// from the index, and only those of the page lead to records.
macro_rules! merge {
    ($index:literal, $condition:literal) => {
        concat!(
            select!(),
            " FROM (",
            merge!(@ $index, $condition),
            " UNION ALL ",
            merge!(@ $index, $condition),
            " UNION ALL ",
            merge!(@ $index, $condition),
            " UNION ALL ",
            merge!(@ $index, $condition),
            " UNION ALL ",
            merge!(@ $index, $condition),
            " ORDER BY found_at DESC, found_id DESC LIMIT ?) AS found \
             STRAIGHT_JOIN progress_records FORCE INDEX (PRIMARY) ON id = found_id \
             ORDER BY created_at DESC, id DESC"
        )
    };
    (@ $index:literal, $condition:literal) => {
        concat!(
            "(SELECT created_at AS found_at, id AS found_id FROM progress_records FORCE INDEX (",
            $index,
            ") WHERE ",
            $condition,
            "status = ? AND created_at <= ? AND (created_at < ? OR id < ?) \
             ORDER BY created_at DESC, id DESC LIMIT ?)"
        )
    };
}

/// Writes the columns of `Advance`. A record keeps its checkpoint if there is no new one.
macro_rules! advance {
    ($condition:literal) => {
        concat!(
            "UPDATE progress_records FORCE INDEX (PRIMARY) SET total = ?, succeeded = ?, \
             failed = ?, message = ?, pace = ?, last_entry = ?, version = ?, updated_at = ?, \
             heartbeat_at = ?, checkpoint = coalesce(?, checkpoint), writer = ?, seq = ? ",
            $condition
        )
    };
}

/// The settings of a session that the store relies on, whatever the defaults of the server and of
/// the session.
/// innodb_lock_wait_timeout is in whole seconds; a store's own transactions take milliseconds.
/// wait_timeout: the server rolls back a transaction from which it hears nothing for this long. It
/// is longer than a heartbeat interval (5 s), and shorter than a lease (45 s).
macro_rules! session {
    () => {
        "SET SESSION autocommit = 1, sql_mode = 'STRICT_ALL_TABLES', sql_safe_updates = 0, \
         innodb_lock_wait_timeout = 1, wait_timeout = 8; "
    };
}

pub(super) const STATEMENTS: Statements = Statements {
    // READ COMMITTED: a statement sees what others committed before it, and no session waits for
    // rows that do not exist.
    begin: concat!(
        session!(),
        "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; START TRANSACTION READ WRITE"
    ),
    begin_read: "START TRANSACTION READ ONLY",
    clock: "SELECT timestampdiff(MICROSECOND, '1970-01-01', utc_timestamp(3)) DIV 1000",
    create: "INSERT INTO progress_records (id, owner, task_type, status, total, title, \
         completion_message, metadata, auto_complete, lease, stall_after, version, created_at, \
         started_at, updated_at, finished_at, succeeded, max_attempts, carried_over, checkpoint, \
         stages, announce_at, failed, cancel_requested, workers, pace, last_entry) VALUES (?, ?, \
         ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0, 0)",
    get: concat!(select!(), " FROM progress_records WHERE id = ?"),
    get_many: concat!(
        select!(),
        " FROM json_table(?, '$[*]' COLUMNS \
         (given_id VARCHAR(36) CHARACTER SET utf8mb4 PATH '$')) AS given \
         STRAIGHT_JOIN progress_records FORCE INDEX (PRIMARY) ON id = given_id"
    ),
    // An UPDATE cannot skip a locked record, so this statement does.
    get_to_advance: concat!(
        select!(),
        " FROM progress_records WHERE id = ? FOR UPDATE SKIP LOCKED"
    ),
    lock: concat!(select!(), " FROM progress_records WHERE id = ? FOR UPDATE SKIP LOCKED"),
    lock_many: concat!(
        select!(),
        " FROM json_table(?, '$[*]' COLUMNS \
         (given_id VARCHAR(36) CHARACTER SET utf8mb4 PATH '$')) AS given \
         STRAIGHT_JOIN progress_records FORCE INDEX (PRIMARY) ON id = given_id \
         FOR UPDATE SKIP LOCKED"
    ),
    wait: "SELECT id FROM progress_records WHERE id = ? FOR UPDATE",
    existing: "SELECT id FROM json_table(?, '$[*]' COLUMNS \
         (given_id VARCHAR(36) CHARACTER SET utf8mb4 PATH '$')) AS given \
         STRAIGHT_JOIN progress_records FORCE INDEX (PRIMARY) ON id = given_id",
    stamps: "SELECT writers.progress_id, writers.writer, writers.seq \
         FROM json_table(?, '$[*]' COLUMNS \
         (progress_id VARCHAR(36) CHARACTER SET utf8mb4 PATH '$.progress_id', \
         writer VARCHAR(36) CHARACTER SET utf8mb4 PATH '$.writer')) AS given \
         STRAIGHT_JOIN progress_writers AS writers FORCE INDEX (PRIMARY) \
         ON writers.progress_id = given.progress_id AND writers.writer = given.writer",
    save: "UPDATE progress_records FORCE INDEX (PRIMARY) SET status = ?, error = ?, \
         completion_message = ?, result = ?, cancel_requested = ?, started_at = ?, \
         finished_at = ?, attempt = ?, attempt_started_at = ?, retry_at = ?, carried_over = ?, \
         stages = ?, announce_at = ?, workers = ?, total = ?, succeeded = ?, failed = ?, \
         message = ?, pace = ?, last_entry = ?, version = ?, updated_at = ?, heartbeat_at = ?, \
         checkpoint = ?, writer = ?, seq = ? WHERE id = ?",
    save_many: "UPDATE json_table(?, '$[*]' COLUMNS (\
         id VARCHAR(36) CHARACTER SET utf8mb4 PATH '$.id', \
         status VARCHAR(16) CHARACTER SET utf8mb4 PATH '$.status', \
         error TEXT CHARACTER SET utf8mb4 PATH '$.error', \
         completion_message TEXT CHARACTER SET utf8mb4 PATH '$.completion_message', \
         result TEXT CHARACTER SET utf8mb4 PATH '$.result', \
         cancel_requested BIGINT PATH '$.cancel_requested', \
         started_at BIGINT PATH '$.started_at', \
         finished_at BIGINT PATH '$.finished_at', \
         attempt BIGINT PATH '$.attempt', \
         attempt_started_at BIGINT PATH '$.attempt_started_at', \
         retry_at BIGINT PATH '$.retry_at', \
         carried_over BIGINT PATH '$.carried_over', \
         stages TEXT CHARACTER SET utf8mb4 PATH '$.stages', \
         announce_at BIGINT PATH '$.announce_at', \
         total BIGINT PATH '$.total', \
         succeeded BIGINT PATH '$.succeeded', \
         failed BIGINT PATH '$.failed', \
         message TEXT CHARACTER SET utf8mb4 PATH '$.message', \
         workers BIGINT PATH '$.workers', \
         pace BIGINT PATH '$.pace', \
         last_entry BIGINT PATH '$.last_entry', \
         version BIGINT PATH '$.version', \
         updated_at BIGINT PATH '$.updated_at', \
         heartbeat_at BIGINT PATH '$.heartbeat_at', \
         checkpoint TEXT CHARACTER SET utf8mb4 PATH '$.checkpoint', \
         writer VARCHAR(36) CHARACTER SET utf8mb4 PATH '$.writer', \
         seq BIGINT PATH '$.seq')) AS given \
         STRAIGHT_JOIN progress_records AS records FORCE INDEX (PRIMARY) ON records.id = given.id \
         SET records.status = given.status, records.error = given.error, \
         records.completion_message = given.completion_message, records.result = given.result, \
         records.cancel_requested = given.cancel_requested, records.started_at = given.started_at, \
         records.finished_at = given.finished_at, records.attempt = given.attempt, \
         records.attempt_started_at = given.attempt_started_at, records.retry_at = given.retry_at, \
         records.carried_over = given.carried_over, records.stages = given.stages, \
         records.announce_at = given.announce_at, records.total = given.total, \
         records.succeeded = given.succeeded, records.failed = given.failed, \
         records.message = given.message, records.workers = given.workers, \
         records.pace = given.pace, records.last_entry = given.last_entry, \
         records.version = given.version, records.updated_at = given.updated_at, \
         records.heartbeat_at = given.heartbeat_at, records.checkpoint = given.checkpoint, \
         records.writer = given.writer, records.seq = given.seq",
    advance: advance!("WHERE id = ?"),
    compare_and_advance: advance!("WHERE id = ? AND version = ? AND writer = ? AND seq = ?"),
    advance_many: "UPDATE json_table(?, '$[*]' COLUMNS (\
         id VARCHAR(36) CHARACTER SET utf8mb4 PATH '$.id', \
         total BIGINT PATH '$.total', \
         succeeded BIGINT PATH '$.succeeded', \
         failed BIGINT PATH '$.failed', \
         message TEXT CHARACTER SET utf8mb4 PATH '$.message', \
         pace BIGINT PATH '$.pace', \
         last_entry BIGINT PATH '$.last_entry', \
         version BIGINT PATH '$.version', \
         updated_at BIGINT PATH '$.updated_at', \
         heartbeat_at BIGINT PATH '$.heartbeat_at', \
         checkpoint TEXT CHARACTER SET utf8mb4 PATH '$.checkpoint', \
         writer VARCHAR(36) CHARACTER SET utf8mb4 PATH '$.writer', \
         seq BIGINT PATH '$.seq')) AS given \
         STRAIGHT_JOIN progress_records AS records FORCE INDEX (PRIMARY) ON records.id = given.id \
         SET records.total = given.total, records.succeeded = given.succeeded, \
         records.failed = given.failed, records.message = given.message, \
         records.pace = given.pace, \
         records.last_entry = given.last_entry, records.version = given.version, \
         records.updated_at = given.updated_at, records.heartbeat_at = given.heartbeat_at, \
         records.checkpoint = given.checkpoint, records.writer = given.writer, \
         records.seq = given.seq",
    save_stamps: "INSERT INTO progress_writers (progress_id, writer, seq) \
         SELECT given.progress_id, given.writer, given.seq FROM json_table(?, '$[*]' COLUMNS \
         (progress_id VARCHAR(36) CHARACTER SET utf8mb4 PATH '$.progress_id', \
         writer VARCHAR(36) CHARACTER SET utf8mb4 PATH '$.writer', \
         seq BIGINT PATH '$.seq')) AS given \
         ON DUPLICATE KEY UPDATE progress_writers.seq = greatest(progress_writers.seq, given.seq)",
    append: "REPLACE INTO progress_entries (progress_id, seq, at, level, item, message) \
         SELECT given.progress_id, given.seq, given.at, given.level, given.item, given.message \
         FROM json_table(?, '$[*]' COLUMNS \
         (progress_id VARCHAR(36) CHARACTER SET utf8mb4 PATH '$.progress_id', \
         seq BIGINT PATH '$.seq', at BIGINT PATH '$.at', \
         level VARCHAR(16) CHARACTER SET utf8mb4 PATH '$.level', \
         item TEXT CHARACTER SET utf8mb4 PATH '$.item', \
         message TEXT CHARACTER SET utf8mb4 PATH '$.message')) AS given",
    // A statement cannot read the table that it changes, except through a copy.
    trim: "DELETE entries FROM \
         (SELECT given.id, (SELECT seq FROM progress_entries WHERE progress_id = given.id \
         ORDER BY seq DESC LIMIT 1 OFFSET ?) AS seq FROM json_table(?, '$[*]' COLUMNS \
         (id VARCHAR(36) CHARACTER SET utf8mb4 PATH '$')) AS given LIMIT 1000) AS surplus \
         STRAIGHT_JOIN progress_entries AS entries \
         ON entries.progress_id = surplus.id AND entries.seq <= surplus.seq",
    entries: "SELECT records.last_entry, \
         (SELECT count(*) FROM (SELECT 1 FROM progress_entries WHERE progress_id = ? LIMIT ?) \
         AS kept), entries.seq, entries.at, entries.level, entries.item, entries.message \
         FROM progress_records AS records LEFT JOIN \
         (SELECT * FROM (SELECT * FROM progress_entries WHERE progress_id = ? AND seq > ? \
         ORDER BY seq DESC LIMIT ?) AS newest ORDER BY seq LIMIT ?) AS entries ON true \
         WHERE records.id = ? ORDER BY entries.seq",
    // The position is compared in two parts, because no index is used for a comparison of pairs. A
    // comparison of text uses the index but ignores spaces at the end, so lengths are compared too.
    list: concat!(
        select!(),
        " FROM progress_records WHERE created_at <= ? AND (created_at < ? OR id < ?) \
         ORDER BY created_at DESC, id DESC LIMIT ?"
    ),
    list_of_owner: concat!(
        select!(),
        " FROM progress_records WHERE owner = ? AND char_length(owner) = char_length(?) \
         AND created_at <= ? AND (created_at < ? OR id < ?) \
         ORDER BY created_at DESC, id DESC LIMIT ?"
    ),
    list_by_status: merge!("progress_records_by_status", ""),
    list_of_owner_by_status: merge!(
        "progress_records_by_owner_and_status",
        "owner = ? AND char_length(owner) = char_length(?) AND "
    ),
    list_by_type: merge!(
        "progress_records_by_type",
        "task_type = ? AND char_length(task_type) = char_length(?) AND "
    ),
    list_of_owner_by_type: merge!(
        "progress_records_by_owner_and_type",
        "task_type = ? AND char_length(task_type) = char_length(?) \
         AND owner = ? AND char_length(owner) = char_length(?) AND "
    ),
    heartbeats: "SELECT id, heartbeat_at, lease FROM progress_records WHERE status = 'running'",
    unannounced: concat!(
        select!(),
        " FROM progress_records WHERE finished_at IS NOT NULL \
         AND announce_at < timestampdiff(MICROSECOND, '1970-01-01', utc_timestamp(3)) DIV 1000 \
         ORDER BY announce_at, finished_at, id LIMIT ?"
    ),
    old: "SELECT id FROM progress_records WHERE finished_at < \
         timestampdiff(MICROSECOND, '1970-01-01', utc_timestamp(3)) DIV 1000 - ? \
         AND (announce_at IS NULL OR finished_at < \
         timestampdiff(MICROSECOND, '1970-01-01', utc_timestamp(3)) DIV 1000 - ? - 86400000) \
         ORDER BY finished_at, id LIMIT ? FOR UPDATE SKIP LOCKED",
    owned: "SELECT id FROM progress_records FORCE INDEX (progress_records_by_owner_and_status) \
         WHERE owner = ? AND char_length(owner) = char_length(?) \
         AND status IN ('completed', 'failed', 'cancelled') LIMIT ?",
    lock_finished: "SELECT id FROM json_table(?, '$[*]' COLUMNS \
         (given_id VARCHAR(36) CHARACTER SET utf8mb4 PATH '$')) AS given \
         STRAIGHT_JOIN progress_records FORCE INDEX (PRIMARY) ON id = given_id \
         WHERE finished_at IS NOT NULL FOR UPDATE",
    delete: [
        "DELETE records FROM json_table(?, '$[*]' COLUMNS \
         (id VARCHAR(36) CHARACTER SET utf8mb4 PATH '$')) AS given STRAIGHT_JOIN \
         progress_records AS records FORCE INDEX (PRIMARY) ON records.id = given.id",
        "DELETE entries FROM json_table(?, '$[*]' COLUMNS \
         (id VARCHAR(36) CHARACTER SET utf8mb4 PATH '$')) AS given STRAIGHT_JOIN \
         progress_entries AS entries FORCE INDEX (PRIMARY) ON entries.progress_id = given.id",
        "DELETE writers FROM json_table(?, '$[*]' COLUMNS \
         (id VARCHAR(36) CHARACTER SET utf8mb4 PATH '$')) AS given STRAIGHT_JOIN \
         progress_writers AS writers FORCE INDEX (PRIMARY) ON writers.progress_id = given.id",
    ],
    has_schema: "SELECT table_name FROM information_schema.tables \
         WHERE table_schema = database() AND table_name = 'progress_schema'",
    schema_version: "SELECT max(version), max(serves) FROM progress_schema",
    migrations: &[
        include_str!("schema/1.sql"),
        include_str!("schema/2.sql"),
        include_str!("schema/3.sql"),
    ],
};

/// Sets what a statement outside a transaction relies on.
pub(super) const SESSION: &str =
    concat!(session!(), "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE");

/// Lets one session at a time migrate a database. Lock names belong to the server, so the name
/// contains a hash of the database's name; at most 64 characters are allowed. The lock ends with
/// its connection.
pub(super) const LOCK_SCHEMA: &str =
    "SELECT get_lock(concat('progress.', sha1(database())), 30) AS locked";

pub(super) const UNLOCK_SCHEMA: &str = "SELECT release_lock(concat('progress.', sha1(database())))";

/// Selects the tables that cannot store all Unicode text.
pub(super) const CHARACTER_SETS: &str = "SELECT table_name FROM information_schema.tables \
     WHERE table_schema = database() AND table_name IN ('progress_records', 'progress_entries') \
     AND table_collation NOT LIKE 'utf8mb4%'";
