//! What PostgreSQL is told in its own words, which versions from 12 on understand.

use crate::statements::{Statements, statements};

pub(super) const STATEMENTS: Statements = statements! {
    // One value for a whole statement, and a new one for the next statement of a transaction.
    now: "floor(extract(epoch FROM statement_timestamp()) * 1000)::bigint",
    // The driver reads no other integers than those of 64 bits.
    flag: "::bigint",
    least: "least",
    greatest: "greatest",
    returns: yes,
    locking: " FOR UPDATE SKIP LOCKED",
    lost: by_its_clock,
    given: ("SELECT json_array_elements_text(", "::json)"),
    among: ("", " WHERE id IN (SELECT json_array_elements_text($1::json))"),
    place: "(created_at, id) < ($1, $2)",
    same_task_type: "task_type = $4",
    same_owner: "owner = $6",
    taken: " ON CONFLICT (id) DO NOTHING",
    by_id: "",
    // A statement that waited for a record sees what became of it. Other levels would refuse it instead.
    begin: "BEGIN ISOLATION LEVEL READ COMMITTED",
    stamp: "INSERT INTO progress_writers (progress_id, writer, seq) VALUES ($1, $2, $3) \
        ON CONFLICT (progress_id, writer) DO UPDATE SET seq = excluded.seq WHERE excluded.seq > progress_writers.seq",
    append: "INSERT INTO progress_entries (progress_id, seq, at, level, item, message) \
        SELECT $1, $2 + number - 1, $3, value ->> 0, value ->> 1, value ->> 2 \
        FROM json_array_elements($4::json) WITH ORDINALITY AS given (value, number) \
        ON CONFLICT (progress_id, seq) DO UPDATE \
        SET at = excluded.at, level = excluded.level, item = excluded.item, message = excluded.message",
    trim: "DELETE FROM progress_entries WHERE progress_id = $1 AND seq <= \
        (SELECT seq FROM progress_entries WHERE progress_id = $1 ORDER BY seq DESC LIMIT 1 OFFSET $2)",
    delete_records: "DELETE FROM progress_records WHERE id IN (SELECT json_array_elements_text($1::json))",
    delete_entries: "DELETE FROM progress_entries WHERE progress_id IN (SELECT json_array_elements_text($1::json))",
    delete_writers: "DELETE FROM progress_writers WHERE progress_id IN (SELECT json_array_elements_text($1::json))",
    has_schema: "SELECT found::text FROM to_regclass('progress_schema') AS found WHERE found IS NOT NULL",
    migrations: &[include_str!("schema/1.sql")],
};

/// One migration at a time in a database; the number is ours by chance ("progress" in ASCII). Released with the
/// transaction, whatever becomes of it.
pub(super) const LOCK_SCHEMA: &str =
    "SET LOCAL lock_timeout = '30s'; SELECT pg_advisory_xact_lock(8103510784205681523)";
