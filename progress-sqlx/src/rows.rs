//! Rows to be written to the database.

use chrono::{DateTime, Utc};
use progress_core::{Entry, Progress, ProgressError, ProgressId, Stages, Stamp, Status};
use serde::Serialize;

use crate::value::{Value, to_i64, to_ordered, values};

/// Declares [`Change`] and [`Advance`] with their columns in the order of the parameters of `save`
/// and `advance`.
macro_rules! changes {
    (
        $($rare:ident: $rare_type:ty = $rare_value:expr,)+
        ; $($column:ident: $type:ty = $value:expr,)+
    ) => {
        changes!(@struct "The columns that an update can change: a row of `save` and `save_many`.",
            Change, $($rare: $rare_type = $rare_value,)+ $($column: $type = $value,)+);
        changes!(@struct "The columns of an update that changes none of [`RareColumns`]: \
            a row of `advance` and `advance_many`.", Advance, $($column: $type = $value,)+);
    };
    (@struct $doc:literal, $name:ident, $($column:ident: $type:ty = $value:expr,)+) => {
        #[doc = $doc]
        #[derive(Debug, Serialize)]
        pub(crate) struct $name<'a> {
            id: ProgressId,
            $($column: $type,)+
        }

        impl<'a> $name<'a> {
            pub(crate) fn new(progress: &'a Progress, stamp: Option<Stamp>) -> Self {
                Self { id: progress.id, $($column: $value(progress, stamp),)+ }
            }

            /// Returns the parameters of the statement for one record: the columns, then the id.
            pub(crate) fn into_values(self) -> Vec<Value> {
                values![$(self.$column,)+ self.id.to_string()]
            }
        }
    };
}

changes! {
    status: &'a str = |of: &'a Progress, _| of.status.as_str(),
    error: Option<&'a str> = |of: &'a Progress, _| of.error.as_deref(),
    completion_message: Option<&'a str> = |of: &'a Progress, _| of.completion_message.as_deref(),
    result: Option<String> = |of: &Progress, _| of.result.as_ref().map(ToString::to_string),
    cancel_requested: u32 = |of: &Progress, _| u32::from(of.cancel_requested),
    started_at: Option<i64> = |of: &Progress, _| millis(of.started_at),
    finished_at: Option<i64> = |of: &Progress, _| millis(of.finished_at),
    attempt: u32 = |of: &Progress, _| of.attempt,
    attempt_started_at: Option<i64> = |of: &Progress, _| millis(of.attempt_started_at),
    retry_at: Option<i64> = |of: &Progress, _| millis(of.retry_at),
    carried_over: u64 = |of: &Progress, _| of.carried_over,
    stages: Option<String> = |of: &Progress, _| json(of.stages.as_ref()),
    announce_at: Option<i64> = |of: &Progress, _| millis(of.announce_at),
    workers: u32 = |of: &Progress, _| of.workers,
    ;
    total: Option<u64> = |of: &Progress, _| of.total,
    succeeded: u64 = |of: &Progress, _| of.succeeded,
    failed: u64 = |of: &Progress, _| of.failed,
    message: Option<&'a str> = |of: &'a Progress, _| of.message.as_deref(),
    pace: u64 = |of: &Progress, _| of.pace,
    last_entry: u64 = |of: &Progress, _| of.last_entry,
    version: u64 = |of: &Progress, _| of.version,
    updated_at: i64 = |of: &Progress, _| of.updated_at.timestamp_millis(),
    heartbeat_at: Option<i64> = |of: &Progress, _| millis(of.heartbeat_at),
    checkpoint: Option<String> = |of: &Progress, _| json(of.checkpoint.as_ref()),
    writer: Option<String> = |_, stamp: Option<Stamp>| stamp.map(|by| by.writer.to_string()),
    seq: Option<i64> = |_, stamp: Option<Stamp>| stamp.map(|by| to_ordered(by.seq)),
}

/// The columns of [`Change`] that are not in [`Advance`]. Most of them are empty while a job runs,
/// so a copy costs little.
#[derive(Debug, PartialEq)]
pub(crate) struct RareColumns {
    status: Status,
    error: Option<String>,
    completion_message: Option<String>,
    result: Option<serde_json::Value>,
    cancel_requested: bool,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    attempt: u32,
    attempt_started_at: Option<DateTime<Utc>>,
    retry_at: Option<DateTime<Utc>>,
    carried_over: u64,
    stages: Option<Stages>,
    announce_at: Option<DateTime<Utc>>,
    workers: u32,
}

impl RareColumns {
    pub(crate) fn of(progress: &Progress) -> Self {
        Self {
            status: progress.status,
            error: progress.error.clone(),
            completion_message: progress.completion_message.clone(),
            result: progress.result.clone(),
            cancel_requested: progress.cancel_requested,
            started_at: progress.started_at,
            finished_at: progress.finished_at,
            attempt: progress.attempt,
            attempt_started_at: progress.attempt_started_at,
            retry_at: progress.retry_at,
            carried_over: progress.carried_over,
            stages: progress.stages.clone(),
            announce_at: progress.announce_at,
            workers: progress.workers,
        }
    }
}

/// Returns a new record as the parameters of `create`.
pub(crate) fn create(progress: &Progress) -> Vec<Value> {
    values![
        progress.id.to_string(),
        progress.owner.as_deref(),
        progress.task_type.as_str(),
        progress.status.as_str(),
        progress.total,
        progress.title.as_deref(),
        progress.completion_message.as_deref(),
        progress.metadata.as_ref().map(ToString::to_string),
        progress.auto_complete,
        crate::value::to_millis(progress.lease),
        progress.stall_after.map(crate::value::to_millis),
        progress.version,
        progress.created_at.timestamp_millis(),
        millis(progress.started_at),
        progress.updated_at.timestamp_millis(),
        millis(progress.finished_at),
        progress.succeeded,
        progress.max_attempts.map(u64::from),
        progress.carried_over,
        json(progress.checkpoint.as_ref()),
        json(progress.stages.as_ref()),
        millis(progress.announce_at),
    ]
}

/// A writer of a record, whose stamp is to be read.
#[derive(Debug, Serialize)]
pub(crate) struct Writer {
    pub(crate) progress_id: ProgressId,
    pub(crate) writer: String,
}

/// The stamp of a writer that is no longer the last writer of the record.
#[derive(Debug, Serialize)]
pub(crate) struct EarlierStamp {
    progress_id: ProgressId,
    writer: String,
    seq: i64,
}

impl EarlierStamp {
    pub(crate) fn new(progress_id: ProgressId, stamp: Stamp) -> Self {
        Self { progress_id, writer: stamp.writer.to_string(), seq: to_ordered(stamp.seq) }
    }
}

/// An entry of a record's log.
#[derive(Debug, Serialize)]
pub(crate) struct LogEntry<'a> {
    progress_id: ProgressId,
    seq: i64,
    at: i64,
    level: &'a str,
    item: Option<&'a str>,
    message: &'a str,
}

impl<'a> LogEntry<'a> {
    pub(crate) fn new(progress_id: ProgressId, entry: &'a Entry) -> Self {
        Self {
            progress_id,
            seq: to_i64(entry.seq),
            at: entry.at.timestamp_millis(),
            level: entry.level.as_str(),
            item: entry.item.as_deref(),
            message: &entry.message,
        }
    }
}

/// Returns a checkpoint or stages as JSON.
fn json(value: Option<&impl Serialize>) -> Option<String> {
    // A value of numbers, text and JSON can always be written as JSON.
    value.and_then(|value| serde_json::to_string(value).ok())
}

fn millis(time: Option<DateTime<Utc>>) -> Option<i64> {
    time.map(|time| time.timestamp_millis())
}

/// Returns ids as JSON.
pub(crate) fn ids(ids: impl Iterator<Item = ProgressId>) -> Result<String, ProgressError> {
    crate::value::to_json(ids.collect::<Vec<_>>())
}
