//! The SQL statements of a store. Each dialect has a file of its own with the whole text of all of
//! them; only the list of a record's columns is shared.
//!
//! Parameters are named here in the order in which they are bound. "JSON" is an array of rows as
//! one text, whose fields are those of [`rows`](crate::rows), or of ids.

/// The statements of one dialect.
pub(crate) struct Statements {
    /// Begins a transaction that writes.
    pub(crate) begin: &'static str,
    /// Begins a transaction that only reads.
    pub(crate) begin_read: &'static str,
    /// Reads the database's clock.
    pub(crate) clock: &'static str,
    /// Inserts a record: id, owner, task type, status, total, title, completion message, metadata,
    /// auto complete, lease, stall after, version, created at, started at, updated at, finished at.
    pub(crate) create: &'static str,
    /// Reads a record: id.
    pub(crate) get: &'static str,
    /// Reads records: JSON ids.
    pub(crate) get_many: &'static str,
    /// As `get`, and locks the record unless another session holds its lock.
    pub(crate) lock: &'static str,
    /// As `get_many`, and locks the records whose locks no other session holds.
    pub(crate) lock_many: &'static str,
    /// Locks a record after waiting for other sessions, and reads its id: id.
    pub(crate) wait: &'static str,
    /// Reads which of these records exist, locked or not: JSON ids.
    pub(crate) existing: &'static str,
    /// Reads the stamps of earlier writers: JSON ([`Writer`](crate::rows::Writer)).
    pub(crate) stamps: &'static str,
    /// Writes back what an update can change: the columns of [`Change`](crate::rows::Change).
    pub(crate) save: &'static str,
    /// The same for several records: JSON.
    pub(crate) save_many: &'static str,
    /// Writes back what an update changes in a job that goes on as it was: the columns of
    /// [`Advance`](crate::rows::Advance).
    pub(crate) advance: &'static str,
    /// The same for several records: JSON.
    pub(crate) advance_many: &'static str,
    /// Keeps the stamps of earlier writers, where they are higher: JSON
    /// ([`EarlierStamp`](crate::rows::EarlierStamp)).
    pub(crate) save_stamps: &'static str,
    /// Appends to logs: JSON ([`LogEntry`](crate::rows::LogEntry)). A number that is taken is 2^53
    /// - 1, where counting has stopped: the newest entry replaces the one before.
    pub(crate) append: &'static str,
    /// Deletes all but the newest entries of logs: how many stay, JSON ids. Numbers have gaps, so
    /// the newest are found by counting.
    pub(crate) trim: &'static str,
    /// Reads a log, with the parameters of [`Dialect::entries`]. One statement, so that the page
    /// and its counts are of one moment. A log without a fitting entry gives one row without an
    /// entry.
    ///
    /// [`Dialect::entries`]: crate::dialect::Dialect::entries
    pub(crate) entries: &'static str,
    /// Lists records, with the parameters of [`Dialect::list`]. Statements of their own for active
    /// records and for those of an owner, because one with optional conditions could not use an
    /// index.
    ///
    /// [`Dialect::list`]: crate::dialect::Dialect::list
    pub(crate) list: &'static str,
    pub(crate) list_active: &'static str,
    pub(crate) list_owned: &'static str,
    pub(crate) list_active_owned: &'static str,
    /// Reads id, heartbeat and lease of all running jobs.
    pub(crate) heartbeats: &'static str,
    /// Locks finished records, oldest first, and passes by those in use: older than, how many.
    pub(crate) old: &'static str,
    /// Deletes records, their entries and the stamps of their earlier writers: JSON ids each.
    pub(crate) delete: [&'static str; 3],
    /// Whether there are tables at all: one row or none.
    pub(crate) has_schema: &'static str,
    /// The version of the tables, and the oldest program that they serve.
    pub(crate) schema_version: &'static str,
    /// The scripts that lead from each version of the tables to the next. Released ones never
    /// change.
    pub(crate) migrations: &'static [&'static str],
}

/// The columns of a record, in the order in which [`row::record`](crate::row::record) reads them.
macro_rules! columns {
    () => {
        "id, owner, task_type, status, total, succeeded, failed, message, error, title, \
         completion_message, metadata, result, cancel_requested, auto_complete, lease, stall_after, \
         workers, pace, last_entry, version, created_at, started_at, updated_at, heartbeat_at, \
         finished_at, writer, seq"
    };
}
pub(crate) use columns;
