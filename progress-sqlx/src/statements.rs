//! The SQL statements of a store. Each dialect's file has the full text of every statement; only
//! the list of a record's columns is shared.
//!
//! The comments name parameters after a colon, in the order in which they are bound. "JSON" is one
//! text with an array of ids, or of rows with the fields of a struct in [`rows`](crate::rows).

/// The statements of one dialect.
pub(crate) struct Statements {
    /// Begins a transaction that writes.
    pub(crate) begin: &'static str,
    /// Begins a transaction that only reads.
    pub(crate) begin_read: &'static str,
    /// Reads the database's clock.
    pub(crate) clock: &'static str,
    /// Inserts a record: id, owner, task type, status, total, title, completion message, metadata,
    /// auto complete, lease, stall after, version, created at, started at, updated at, finished at,
    /// succeeded, max attempts, carried over, checkpoint, stages, announce at.
    pub(crate) create: &'static str,
    /// Reads a record: id.
    pub(crate) get: &'static str,
    /// Reads records: JSON ids.
    pub(crate) get_many: &'static str,
    /// Reads a record for `compare_and_advance`: id. Finds none where that statement would fail or
    /// wait for another session.
    pub(crate) get_to_advance: &'static str,
    /// Like `get`, but also locks the record. Skips a record that another session has locked.
    pub(crate) lock: &'static str,
    /// Like `get_many`, but also locks the records. Skips those that other sessions have locked.
    pub(crate) lock_many: &'static str,
    /// Waits for other sessions, locks a record, and reads its id: id.
    pub(crate) wait: &'static str,
    /// Reads the ids of the records that exist, locked or not: JSON ids.
    pub(crate) existing: &'static str,
    /// Reads the stamps of earlier writers: JSON ([`Writer`](crate::rows::Writer)).
    pub(crate) stamps: &'static str,
    /// Writes the columns that an update can change: those of [`Change`](crate::rows::Change).
    pub(crate) save: &'static str,
    /// The same for several records: JSON.
    pub(crate) save_many: &'static str,
    /// Writes only the columns of [`Advance`](crate::rows::Advance), if an update changes no
    /// others.
    pub(crate) advance: &'static str,
    /// The same without a lock, if the record is as it was read, and is not locked by another
    /// session: the columns and the id as in `advance`, then the version and the stamp (writer,
    /// seq) that were read.
    pub(crate) compare_and_advance: &'static str,
    /// Like `advance` for several records: JSON.
    pub(crate) advance_many: &'static str,
    /// Saves the stamps of earlier writers if they are higher than the saved ones: JSON
    /// ([`EarlierStamp`](crate::rows::EarlierStamp)).
    pub(crate) save_stamps: &'static str,
    /// Appends to logs: JSON ([`LogEntry`](crate::rows::LogEntry)). Only the number 2^53 - 1, where
    /// counting stops, can already be taken: the newest entry then replaces the one before.
    pub(crate) append: &'static str,
    /// Deletes all but the newest entries of logs: how many to keep, JSON ids. Numbers have gaps,
    /// so the newest entries are found by counting.
    pub(crate) trim: &'static str,
    /// Reads a log, with the parameters of [`Dialect::entries`]. It is one statement, so the page
    /// and its counts are consistent. A log without a matching entry yields one row without an
    /// entry.
    ///
    /// [`Dialect::entries`]: crate::dialect::Dialect::entries
    pub(crate) entries: &'static str,
    /// Lists records, with the parameters of [`Dialect::list`]: all, and those of an owner. Each
    /// kind of list has its own statement, because optional conditions would prevent the use of an
    /// index.
    ///
    /// [`Dialect::list`]: crate::dialect::Dialect::list
    pub(crate) list: &'static str,
    pub(crate) list_of_owner: &'static str,
    /// The same of some statuses. An index has the list of each status in order, and these
    /// statements merge the lists, so they read at most a page of each status.
    pub(crate) list_by_status: &'static str,
    pub(crate) list_of_owner_by_status: &'static str,
    /// The same of one type, and of some statuses or all.
    pub(crate) list_by_type: &'static str,
    pub(crate) list_of_owner_by_type: &'static str,
    /// Reads id, heartbeat and lease of all running jobs.
    pub(crate) heartbeats: &'static str,
    /// Reads finished records whose announcement is due, the earliest first: how many.
    pub(crate) unannounced: &'static str,
    /// Locks finished records, oldest first by the begin of their retention, and skips those that
    /// are locked: minimum age, how many.
    pub(crate) old: &'static str,
    /// Reads the ids of an owner's finished records in any order, with the parameters of
    /// [`Dialect::owned`].
    ///
    /// [`Dialect::owned`]: crate::dialect::Dialect::owned
    pub(crate) owned: &'static str,
    /// Waits for other sessions, locks those of the records that are finished, and reads their ids:
    /// JSON ids.
    pub(crate) lock_finished: &'static str,
    /// Deletes records, their entries and the stamps of their earlier writers: JSON ids each.
    pub(crate) delete: [&'static str; 3],
    /// Checks whether the tables exist: one row or none.
    pub(crate) has_schema: &'static str,
    /// Reads the version of the tables, and the oldest program version that they serve.
    pub(crate) schema_version: &'static str,
    /// The scripts that upgrade the tables from each version to the next. Released ones never
    /// change.
    pub(crate) migrations: &'static [&'static str],
}

/// The columns of a record, in the order in which [`row::record`](crate::row::record) reads them.
macro_rules! columns {
    () => {
        "id, owner, task_type, status, total, succeeded, failed, message, error, title, \
         completion_message, metadata, result, cancel_requested, auto_complete, lease, \
         stall_after, workers, pace, last_entry, version, created_at, started_at, updated_at, \
         heartbeat_at, finished_at, attempt, max_attempts, attempt_started_at, retry_at, \
         carried_over, checkpoint, stages, announce_at, writer, seq"
    };
}
pub(crate) use columns;
