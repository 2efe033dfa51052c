//! From rows to values. Whatever a row holds, the answer is a record or an error: other hands may have been at it.

use std::str::FromStr;

use crate::dialect::Dialect;
use crate::error::classify;
use chrono::{DateTime, Utc};
use progress_core::limits::MAX_COUNT;
use progress_core::{Entry, EntryLevel, NewProgress, Progress, ProgressError};

pub(crate) fn progress<D: Dialect>(row: &D::Row) -> Result<Progress, ProgressError> {
    let row = Columns::<D>(row);
    // The record's own constructor is the only way to make one; every field is then the row's.
    let mut progress =
        Progress::new(&NewProgress::new("").with_id(row.word("id")?), row.time("created_at")?)?;
    progress.owner = row.optional_string("owner")?;
    progress.task_type = row.text("task_type")?.to_owned();
    progress.status = row.word("status")?;
    progress.total = row.optional_count("total")?;
    progress.succeeded = row.count("succeeded")?;
    progress.failed = row.count("failed")?;
    progress.message = row.optional_string("message")?;
    progress.error = row.optional_string("error")?;
    progress.title = row.optional_string("title")?;
    progress.completion_message = row.optional_string("completion_message")?;
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

/// The number of the newest entry ever, and how many are kept.
pub(crate) fn log<D: Dialect>(row: &D::Row) -> Result<(u64, u64), ProgressError> {
    let row = Columns::<D>(row);
    Ok((row.count("last_entry")?, row.count("kept")?))
}

/// `None` for the row of a log that has no entry to give.
pub(crate) fn entry<D: Dialect>(row: &D::Row) -> Result<Option<Entry>, ProgressError> {
    let row = Columns::<D>(row);
    let Some(seq) = row.optional_count("seq")? else {
        return Ok(None);
    };
    let level = row.text("level")?;
    Ok(Some(Entry {
        seq,
        at: row.time("at")?,
        level: [EntryLevel::Info, EntryLevel::Error]
            .into_iter()
            .find(|known| known.as_str() == level)
            .ok_or_else(|| unreadable("level"))?,
        item: row.optional_string("item")?,
        message: row.text("message")?.to_owned(),
    }))
}

struct Columns<'a, D: Dialect>(&'a D::Row);

impl<D: Dialect> Columns<'_, D> {
    fn integer(&self, column: &str) -> Result<Option<i64>, ProgressError> {
        D::integer(self.0, column).map_err(classify)
    }

    fn optional_text(&self, column: &str) -> Result<Option<&str>, ProgressError> {
        D::text(self.0, column).map_err(classify)
    }

    fn text(&self, column: &'static str) -> Result<&str, ProgressError> {
        self.optional_text(column)?.ok_or_else(|| unreadable(column))
    }

    fn optional_string(&self, column: &str) -> Result<Option<String>, ProgressError> {
        Ok(self.optional_text(column)?.map(str::to_owned))
    }

    fn word<T: FromStr>(&self, column: &'static str) -> Result<T, ProgressError> {
        self.text(column)?.parse().map_err(|_| unreadable(column))
    }

    fn optional_count(&self, column: &'static str) -> Result<Option<u64>, ProgressError> {
        let Some(number) = self.integer(column)? else {
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
        match self.integer(column)? {
            Some(0) => Ok(false),
            Some(1) => Ok(true),
            _ => Err(unreadable(column)),
        }
    }

    fn optional_time(&self, column: &'static str) -> Result<Option<DateTime<Utc>>, ProgressError> {
        let Some(millis) = self.integer(column)? else {
            return Ok(None);
        };
        DateTime::from_timestamp_millis(millis).map(Some).ok_or_else(|| unreadable(column))
    }

    fn time(&self, column: &'static str) -> Result<DateTime<Utc>, ProgressError> {
        self.optional_time(column)?.ok_or_else(|| unreadable(column))
    }

    fn json(&self, column: &'static str) -> Result<Option<serde_json::Value>, ProgressError> {
        let Some(text) = self.optional_text(column)? else {
            return Ok(None);
        };
        serde_json::from_str(text).map(Some).map_err(|_| unreadable(column))
    }
}

/// Names the column and not its content, which may be anybody's data.
fn unreadable(column: &'static str) -> ProgressError {
    ProgressError::store(format!("the column {column} holds what no progress holds"))
}
