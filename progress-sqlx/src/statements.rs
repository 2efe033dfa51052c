//! What is said to a database, by the names under which the stores know it. Each dialect has a file of its own with what it
//! says in its own words; what differs by a function's name alone is written here, once.
//!
//! Parameters are `$1`, `$2`, …

/// The statements of one dialect, and what their parameters are. `given` is a JSON array of text.
pub(crate) struct Statements {
    /// Begins a transaction that writes.
    pub(crate) begin: &'static str,
    /// `$1` id, `$2` owner, `$3` task type, `$4` total, `$5` title, `$6` completion message, `$7` metadata,
    /// `$8` auto complete. An id that is taken lets nothing through.
    pub(crate) create: &'static str,
    /// `$1` id.
    pub(crate) get: &'static str,
    /// `$1` given ids.
    pub(crate) get_many: &'static str,
    /// `$1` id, `$2` writer, `$3` number. Raises a writer's number.
    pub(crate) stamp: &'static str,
    /// The changes, all with the seven parameters of `change!`.
    pub(crate) start: &'static str,
    pub(crate) advance: &'static str,
    /// `$8` completion message, `$9` result.
    pub(crate) complete: &'static str,
    /// `$8` public error.
    pub(crate) fail: &'static str,
    pub(crate) cancel: &'static str,
    /// `$1` id. The lease follows the clock as it is, also backwards; the version stays.
    pub(crate) heartbeat: &'static str,
    /// `$1` id. A wish that was uttered before is no change: nothing is let through, and the record says why.
    pub(crate) request_cancel: &'static str,
    /// `$1` id. The second half of the change that processed the last item: the version has grown already.
    pub(crate) auto_complete: &'static str,
    /// `$1` id, `$2` number of the first, `$3` time, `$4` the entries as JSON. A number that is taken is one beyond 2^53,
    /// where counting has stopped: the newest entry is worth more than an error.
    pub(crate) append: &'static str,
    /// `$1` id, `$2` how many are kept. Numbers have gaps, so the newest are found by counting.
    pub(crate) trim: &'static str,
    /// `$1` id, `$2` after, `$3` how many. One statement, so that the page and what is said about it are of one moment. A
    /// log without a fitting entry gives one row without an entry; a missing record gives none.
    pub(crate) entries: &'static str,
    /// `$1` and `$2` where the page begins, `$3` given statuses, `$4` task type, `$5` how many.
    pub(crate) list: &'static str,
    /// `$6` owner. A statement of its own: one with an optional owner could not use the owner's index.
    pub(crate) list_owned: &'static str,
    /// `$1` for how long, `$2` how many. Locks the records it finds, and passes by those that somebody is changing. Where the
    /// clock is not the database's own: without parameters, all that run, with their heartbeats.
    pub(crate) silent: &'static str,
    /// `$1` given ids, `$2` public error.
    pub(crate) fail_silent: &'static str,
    /// `$1` older than, `$2` how many. Locks as `silent` does.
    pub(crate) old: &'static str,
    /// `$1` id.
    pub(crate) delete: &'static str,
    /// `$1` given ids.
    pub(crate) delete_records: &'static str,
    pub(crate) delete_entries: &'static str,
    pub(crate) delete_writers: &'static str,
    /// Whether there are tables at all: one row or none.
    pub(crate) has_schema: &'static str,
    /// Their version.
    pub(crate) schema_version: &'static str,
    /// What leads from each version of the tables to the next. A script that was released never changes.
    pub(crate) migrations: &'static [&'static str],
}

/// The columns of a record, and the clock.
macro_rules! record {
    ($now:literal, $flag:literal) => {
        concat!(
            "id, owner, task_type, status, total, succeeded, failed, message, error, title, completion_message, ",
            "metadata, result, cancel_requested",
            $flag,
            ", auto_complete",
            $flag,
            ", last_entry, version, created_at, started_at, updated_at, heartbeat_at, finished_at, ",
            $now,
            " AS observed_at"
        )
    };
}

/// What follows a change where a statement can return what it changed.
macro_rules! returning {
    (yes, $now:literal, $flag:literal) => {
        concat!(" RETURNING ", $crate::statements::record!($now, $flag))
    };
    (no, $now:literal, $flag:literal) => {
        ""
    };
}

/// A change that viewers see: what `Progress::apply` does, guarded by the status it is accepted in. MySQL assigns from left
/// to right and reads what it has just assigned; every expression here comes to the same then.
/// `$1` id, `$2` succeeded, `$3` failed, `$4` total to set, `$5` total to add, `$6` message, `$7` entries.
macro_rules! change {
    ($now:literal, $flag:literal, $least:literal, $greatest:literal, $returns:ident, $by_id:literal, $accepted:literal,
     [$($assignments:expr),*]) => {
        concat!(
            // The time of a change: the clock, but never earlier than the change before.
            "UPDATE progress_records", $by_id, " SET updated_at = ", $greatest, "(updated_at, ", $now, ")",
            $($assignments,)*
            ", version = version + 1",
            ", succeeded = ", $least, "(succeeded + $2, 9007199254740991)",
            ", failed = ", $least, "(failed + $3, 9007199254740991)",
            ", total = CASE WHEN $4 IS NOT NULL THEN $4",
            " WHEN $5 IS NOT NULL THEN ", $least, "(coalesce(total, 0) + $5, 9007199254740991) ELSE total END",
            ", message = coalesce($6, message)",
            ", last_entry = ", $least, "(last_entry + $7, 9007199254740991)",
            " WHERE id = $1 AND status IN ", $accepted,
            $crate::statements::returning!($returns, $now, $flag)
        )
    };
}

/// Those whose worker has fallen silent: the database says who, or only what it knows.
macro_rules! silent {
    (by_its_clock, $now:literal, $locking:literal) => {
        // Nothing overflows: the smallest integer is further away than now.
        concat!(
            "SELECT id FROM progress_records WHERE status = 'running' AND heartbeat_at < ",
            $now,
            " - $1 ",
            "ORDER BY heartbeat_at LIMIT $2",
            $locking
        )
    };
    (by_observation, $now:literal, $locking:literal) => {
        concat!(
            "SELECT id, heartbeat_at, ",
            $now,
            " AS observed_at FROM progress_records ",
            "WHERE status = 'running' AND heartbeat_at IS NOT NULL",
            $locking
        )
    };
}

macro_rules! list {
    ($now:literal, $flag:literal, $place:literal, $given:literal, $given_end:literal, $task_type:literal, $owner:expr) => {
        concat!(
            "SELECT ",
            $crate::statements::record!($now, $flag),
            " FROM progress_records WHERE ",
            $place,
            " AND status IN (",
            $given,
            "$3",
            $given_end,
            ") AND ($4 IS NULL OR ",
            $task_type,
            ")",
            $owner,
            " ORDER BY created_at DESC, id DESC LIMIT $5"
        )
    };
}

/// All statements of a dialect: its words first, then what it says in its own way.
macro_rules! statements {
    (
        now: $now:literal,
        flag: $flag:literal,
        least: $least:literal,
        greatest: $greatest:literal,
        returns: $returns:ident,
        locking: $locking:literal,
        lost: $lost:ident,
        given: ($given:literal, $given_end:literal),
        among: ($joined:literal, $among:literal),
        place: $place:literal,
        same_task_type: $task_type:literal,
        same_owner: $owner:literal,
        taken: $taken:literal,
        by_id: $by_id:literal,
        $($own:ident: $text:expr,)+
    ) => {
        $crate::statements::Statements {
            create: concat!(
                "INSERT INTO progress_records (id, owner, task_type, status, total, succeeded, failed, title, ",
                "completion_message, metadata, cancel_requested, auto_complete, last_entry, version, created_at, ",
                "updated_at) VALUES ($1, $2, $3, 'pending', $4, 0, 0, $5, $6, $7, 0, $8, 0, 1, ",
                $now, ", ", $now, ")", $taken,
                $crate::statements::returning!($returns, $now, $flag)
            ),
            get: concat!(
                "SELECT ", $crate::statements::record!($now, $flag), " FROM progress_records WHERE id = $1"
            ),
            get_many: concat!(
                "SELECT ", $crate::statements::record!($now, $flag),
                " FROM progress_records WHERE id IN (", $given, "$1", $given_end, ")"
            ),
            start: $crate::statements::change!(
                $now, $flag, $least, $greatest, $returns, $by_id, "('pending')",
                [
                    ", status = 'running', started_at = ", $greatest, "(updated_at, ", $now, ")",
                    ", heartbeat_at = ", $now
                ]
            ),
            advance: $crate::statements::change!(
                $now, $flag, $least, $greatest, $returns, $by_id, "('running')", [", heartbeat_at = ", $now]
            ),
            complete: $crate::statements::change!(
                $now, $flag, $least, $greatest, $returns, $by_id, "('running')",
                [
                    ", status = 'completed', completion_message = coalesce($8, completion_message), result = $9",
                    ", finished_at = ", $greatest, "(updated_at, ", $now, ")"
                ]
            ),
            fail: $crate::statements::change!(
                $now, $flag, $least, $greatest, $returns, $by_id, "('pending', 'running')",
                [", status = 'failed', error = $8, finished_at = ", $greatest, "(updated_at, ", $now, ")"]
            ),
            cancel: $crate::statements::change!(
                $now, $flag, $least, $greatest, $returns, $by_id, "('running')",
                [", status = 'cancelled', finished_at = ", $greatest, "(updated_at, ", $now, ")"]
            ),
            heartbeat: concat!(
                "UPDATE progress_records", $by_id, " SET heartbeat_at = ", $now, " WHERE id = $1 AND status = 'running'",
                $crate::statements::returning!($returns, $now, $flag)
            ),
            // The status last, for where it is read again after its assignment.
            request_cancel: concat!(
                "UPDATE progress_records", $by_id, " SET cancel_requested = 1, version = version + 1",
                ", updated_at = ", $greatest, "(updated_at, ", $now, ")",
                ", finished_at = CASE status WHEN 'pending' THEN ", $greatest, "(updated_at, ", $now, ")",
                " ELSE finished_at END",
                ", status = CASE status WHEN 'pending' THEN 'cancelled' ELSE status END",
                " WHERE id = $1 AND status IN ('pending', 'running') AND cancel_requested = 0",
                $crate::statements::returning!($returns, $now, $flag)
            ),
            auto_complete: concat!(
                "UPDATE progress_records", $by_id, " SET status = 'completed', finished_at = updated_at ",
                "WHERE id = $1 AND status = 'running'",
                $crate::statements::returning!($returns, $now, $flag)
            ),
            entries: "SELECT records.last_entry, \
                (SELECT count(*) FROM progress_entries WHERE progress_id = $1) AS kept, \
                entries.seq, entries.at, entries.level, entries.item, entries.message \
                FROM progress_records AS records LEFT JOIN \
                (SELECT * FROM progress_entries WHERE progress_id = $1 AND seq > $2 ORDER BY seq LIMIT $3) \
                AS entries ON true WHERE records.id = $1 ORDER BY entries.seq",
            list: $crate::statements::list!($now, $flag, $place, $given, $given_end, $task_type, ""),
            list_owned: $crate::statements::list!(
                $now, $flag, $place, $given, $given_end, $task_type, concat!(" AND ", $owner)
            ),
            silent: $crate::statements::silent!($lost, $now, $locking),
            fail_silent: concat!(
                "UPDATE progress_records", $joined, " SET version = version + 1, error = $2",
                ", status = 'failed', updated_at = ", $greatest, "(updated_at, ", $now, ")",
                ", finished_at = ", $greatest, "(updated_at, ", $now, ")", $among
            ),
            old: concat!(
                "SELECT id FROM progress_records WHERE finished_at < ", $now, " - $1 ",
                "ORDER BY finished_at, id LIMIT $2", $locking
            ),
            delete: "DELETE FROM progress_records \
                WHERE id = $1 AND status IN ('completed', 'failed', 'cancelled')",
            schema_version: "SELECT coalesce(max(version), 0) AS version FROM progress_schema",
            $($own: $text,)+
        }
    };
}

pub(crate) use {change, list, record, returning, silent, statements};
