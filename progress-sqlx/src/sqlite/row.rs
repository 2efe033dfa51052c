//! From rows to values. Whatever a row holds, the answer is a record or an error: other hands may have been at it.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use progress_core::limits::MAX_COUNT;
use progress_core::{Entry, EntryLevel, NewProgress, Progress, ProgressError, ProgressId};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::error::classify;

pub(super) fn progress(row: &SqliteRow) -> Result<Progress, ProgressError> {
    let row = Columns(row);
    // The record's own constructor is the only way to make one; every field is then the row's.
    let mut progress =
        Progress::new(&NewProgress::new("").with_id(row.word("id")?), row.time("created_at")?)?;
    progress.owner = row.get("owner")?;
    progress.task_type = row.get("task_type")?;
    progress.status = row.word("status")?;
    progress.total = row.optional_count("total")?;
    progress.succeeded = row.count("succeeded")?;
    progress.failed = row.count("failed")?;
    progress.message = row.get("message")?;
    progress.error = row.get("error")?;
    progress.title = row.get("title")?;
    progress.completion_message = row.get("completion_message")?;
    progress.metadata = row.json("metadata")?;
    progress.result = row.json("result")?;
    progress.cancel_requested = row.flag("cancel_requested")?;
    progress.auto_complete = row.flag("auto_complete")?;
    progress.last_entry = row.count("last_entry")?;
    progress.version = row.count("version")?;
    progress.started_at = row.optional_time("started_at")?;
    progress.updated_at = row.time("updated_at")?;
    progress.heartbeat_at = row.optional_time("heartbeat_at")?;
    progress.finished_at = row.optional_time("finished_at")?;
    progress.observed_at = row.time("observed_at")?;
    Ok(progress)
}

pub(super) fn id(row: &SqliteRow) -> Result<ProgressId, ProgressError> {
    Columns(row).word("id")
}

/// The number of the newest entry ever, and how many are kept.
pub(super) fn log(row: &SqliteRow) -> Result<(u64, u64), ProgressError> {
    let row = Columns(row);
    Ok((row.count("last_entry")?, row.count("kept")?))
}

/// `None` for the row of a log that has no entry to give.
pub(super) fn entry(row: &SqliteRow) -> Result<Option<Entry>, ProgressError> {
    let row = Columns(row);
    let Some(seq) = row.optional_count("seq")? else {
        return Ok(None);
    };
    let level: String = row.get("level")?;
    Ok(Some(Entry {
        seq,
        at: row.time("at")?,
        level: [EntryLevel::Info, EntryLevel::Error]
            .into_iter()
            .find(|known| known.as_str() == level)
            .ok_or_else(|| unreadable("level"))?,
        item: row.get("item")?,
        message: row.get("message")?,
    }))
}

struct Columns<'a>(&'a SqliteRow);

impl Columns<'_> {
    fn get<'a, T>(&'a self, column: &str) -> Result<T, ProgressError>
    where
        T: sqlx::Decode<'a, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
    {
        self.0.try_get(column).map_err(classify)
    }

    fn word<T: FromStr>(&self, column: &'static str) -> Result<T, ProgressError> {
        let word: &str = self.get(column)?;
        word.parse().map_err(|_| unreadable(column))
    }

    fn optional_count(&self, column: &'static str) -> Result<Option<u64>, ProgressError> {
        let Some(number) = self.get::<Option<i64>>(column)? else {
            return Ok(None);
        };
        match u64::try_from(number) {
            Ok(count) if count <= MAX_COUNT => Ok(Some(count)),
            _ => Err(unreadable(column)),
        }
    }

    fn count(&self, column: &'static str) -> Result<u64, ProgressError> {
        self.optional_count(column)?.ok_or_else(|| unreadable(column))
    }

    fn flag(&self, column: &'static str) -> Result<bool, ProgressError> {
        match self.get::<i64>(column)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(unreadable(column)),
        }
    }

    fn optional_time(&self, column: &'static str) -> Result<Option<DateTime<Utc>>, ProgressError> {
        let Some(millis) = self.get::<Option<i64>>(column)? else {
            return Ok(None);
        };
        DateTime::from_timestamp_millis(millis).map(Some).ok_or_else(|| unreadable(column))
    }

    fn time(&self, column: &'static str) -> Result<DateTime<Utc>, ProgressError> {
        self.optional_time(column)?.ok_or_else(|| unreadable(column))
    }

    fn json(&self, column: &'static str) -> Result<Option<serde_json::Value>, ProgressError> {
        let Some(text) = self.get::<Option<&str>>(column)? else {
            return Ok(None);
        };
        serde_json::from_str(text).map(Some).map_err(|_| unreadable(column))
    }
}

/// Names the column and not its content, which may be anybody's data.
fn unreadable(column: &'static str) -> ProgressError {
    ProgressError::store(format!("the column {column} holds what no progress holds"))
}
