//! What MySQL is told in its own words, which MySQL from 8.0 and MariaDB from 10.6 on understand.

use crate::statements::{Statements, statements};

pub(super) const STATEMENTS: Statements = statements! {
    // One value for a whole statement, in UTC whatever the time zone of the session.
    now: "timestampdiff(MICROSECOND, '1970-01-01', utc_timestamp(3)) DIV 1000",
    flag: "",
    least: "least",
    greatest: "greatest",
    returns: no,
    locking: " FOR UPDATE SKIP LOCKED",
    lost: by_its_clock,
    given: ("SELECT value FROM json_table(", ", '$[*]' COLUMNS (value VARCHAR(36) CHARACTER SET utf8mb4 PATH '$')) AS given"),
    // Joined, because MariaDB 10 reads the whole table for an IN with a subquery, except in SELECT.
    among: (
        " JOIN json_table($1, '$[*]' COLUMNS (value VARCHAR(36) CHARACTER SET utf8mb4 PATH '$')) AS given ON id = given.value",
        ""
    ),
    // In two parts, because the index is not used for a comparison of pairs.
    place: "created_at <= $1 AND (created_at < $1 OR id < $2)",
    // The comparison of text, which uses the index, forgives spaces at the end; their number does not.
    same_task_type: "(task_type = $4 AND char_length(task_type) = char_length($4))",
    same_owner: "owner = $6 AND char_length(owner) = char_length($6)",
    taken: "",
    // Two that came by another index would each lock what the other needs.
    by_id: " FORCE INDEX (PRIMARY)",
    // A statement sees what others committed before it, and nobody waits for rows that are not there.
    begin: "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; START TRANSACTION",
    stamp: "UPDATE progress_writers SET seq = $3 WHERE progress_id = $1 AND writer = $2 AND seq < $3",
    append: "REPLACE INTO progress_entries (progress_id, seq, at, level, item, message) \
        SELECT $1, $2 + given.number - 1, $3, given.level, given.item, given.message \
        FROM json_table($4, '$[*]' COLUMNS (number FOR ORDINALITY, level VARCHAR(16) CHARACTER SET utf8mb4 PATH '$[0]', \
        item TEXT CHARACTER SET utf8mb4 PATH '$[1]', message TEXT CHARACTER SET utf8mb4 PATH '$[2]')) AS given",
    // A table that is changed is not read by the same statement, except through a copy.
    trim: "DELETE FROM progress_entries WHERE progress_id = $1 AND seq <= (SELECT seq FROM \
        (SELECT seq FROM progress_entries WHERE progress_id = $1 ORDER BY seq DESC LIMIT 1 OFFSET $2) AS newest)",
    delete_records: "DELETE progress_records FROM progress_records \
        JOIN json_table($1, '$[*]' COLUMNS (value VARCHAR(36) CHARACTER SET utf8mb4 PATH '$')) AS given ON id = given.value",
    delete_entries: "DELETE progress_entries FROM progress_entries \
        JOIN json_table($1, '$[*]' COLUMNS (value VARCHAR(36) CHARACTER SET utf8mb4 PATH '$')) AS given ON progress_id = given.value",
    delete_writers: "DELETE progress_writers FROM progress_writers \
        JOIN json_table($1, '$[*]' COLUMNS (value VARCHAR(36) CHARACTER SET utf8mb4 PATH '$')) AS given ON progress_id = given.value",
    has_schema: "SELECT table_name FROM information_schema.tables \
        WHERE table_schema = database() AND table_name = 'progress_schema'",
    migrations: &[include_str!("schema/1.sql")],
};

/// The first number of a writer. One that has a number already is an error, which says just that.
pub(super) const FIRST_STAMP: &str =
    "INSERT INTO progress_writers (progress_id, writer, seq) VALUES ($1, $2, $3)";

/// One migration at a time in a database. The name is the server's, so it holds the database's; at most 64 characters are
/// taken. The lock ends with its connection.
pub(super) const LOCK_SCHEMA: &str =
    "SELECT get_lock(concat('progress.', sha1(database())), 30) AS locked";

/// How long the server keeps a connection from which it hears nothing, and the locks of its transaction. The next statement of
/// a transaction follows within milliseconds, or the network has dropped the connection. Locks are waited for less long, so that of many that wait for a dropped one none
/// becomes the next.
pub(super) const SHORT_SILENCE: &str = "SET SESSION wait_timeout = 6, innodb_lock_wait_timeout = 4";
