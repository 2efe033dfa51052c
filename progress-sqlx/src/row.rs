//! Reads rows of the database. Other programs may have written to it, so each row is a value or an
//! error.

use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use progress_core::limits::MAX_COUNT;
use progress_core::{
    Entry, EntryLevel, Heartbeat, NewProgress, Progress, ProgressError, ProgressId, Record, Stamp,
};
use serde::de::DeserializeOwned;

use crate::dialect::Dialect;
use crate::error::classify;
use crate::statements::columns;
use crate::value::from_ordered;

/// A record as it was read: the progress, the time of the read, and the last stamp.
pub(crate) struct Stored {
    pub(crate) record: Record,
    /// The stamp of the writer that wrote last. Stamps of earlier writers are in a separate table.
    pub(crate) stamp: Option<Stamp>,
}

/// The names of the columns that [`record`] reads.
const RECORD: &str = concat!(columns!(), ", observed_at");

/// Reads the columns of `columns!`, and the clock.
pub(crate) fn record<D: Dialect>(row: &D::Cells) -> Result<Stored, ProgressError> {
    let mut row = Columns::<D>::of(row, RECORD);
    // Only its constructor can create a record; every field is then replaced by the row's value.
    let job = NewProgress::new("").with_id(row.parsed()?);
    let mut record = Record::new(&job, DateTime::UNIX_EPOCH)?;
    let progress = &mut record.progress;
    progress.owner = row.optional_string()?;
    progress.task_type = row.text()?.to_owned();
    progress.status = row.parsed()?;
    progress.total = row.optional_count()?;
    progress.succeeded = row.count()?;
    progress.failed = row.count()?;
    progress.message = row.optional_string()?;
    progress.error = row.optional_string()?;
    progress.title = row.optional_string()?;
    progress.completion_message = row.optional_string()?;
    progress.metadata = row.json()?;
    progress.result = row.json()?;
    progress.cancel_requested = row.flag()?;
    progress.auto_complete = row.flag()?;
    progress.lease = Duration::from_millis(row.count()?);
    progress.stall_after = row.optional_count()?.map(Duration::from_millis);
    progress.workers = row.small_count()?.unwrap_or_default();
    progress.pace = row.count()?;
    progress.last_entry = row.count()?;
    progress.version = row.count()?;
    progress.created_at = row.time()?;
    progress.started_at = row.optional_time()?;
    progress.updated_at = row.time()?;
    progress.heartbeat_at = row.optional_time()?;
    progress.finished_at = row.optional_time()?;
    progress.attempt = row.small_count()?.unwrap_or_default();
    progress.max_attempts = row.small_count()?;
    progress.attempt_started_at = row.optional_time()?;
    progress.retry_at = row.optional_time()?;
    progress.carried_over = row.count()?;
    progress.checkpoint = row.json()?;
    progress.stages = row.json()?;
    progress.announce_at = row.optional_time()?;
    let stamp = row.optional_stamp()?;
    record.progress.observed_at = row.time()?;
    record.stamps.extend(stamp.map(|stamp| (stamp.writer, stamp.seq)));
    Ok(Stored { record, stamp })
}

pub(crate) fn progress<D: Dialect>(row: &D::Cells) -> Result<Progress, ProgressError> {
    record::<D>(row).map(|stored| stored.record.progress)
}

/// Reads the id of a record: the first column of every statement that selects one.
pub(crate) fn id<D: Dialect>(row: &D::Cells) -> Result<ProgressId, ProgressError> {
    Columns::<D>::of(row, "id").parsed()
}

pub(crate) fn clock<D: Dialect>(row: &D::Cells) -> Result<DateTime<Utc>, ProgressError> {
    Columns::<D>::of(row, "clock").time()
}

pub(crate) fn integers<const N: usize, D: Dialect>(
    row: &D::Cells,
) -> Result<[Option<i64>; N], ProgressError> {
    let mut row = Columns::<D>::of(row, "");
    let mut integers = [None; N];
    for integer in &mut integers {
        *integer = row.integer()?;
    }
    Ok(integers)
}

/// Reads the stamp of an earlier writer: the record's id, the writer, the number.
pub(crate) fn earlier_stamp<D: Dialect>(
    row: &D::Cells,
) -> Result<(ProgressId, Option<Stamp>), ProgressError> {
    let mut row = Columns::<D>::of(row, "progress_id, writer, seq");
    Ok((row.parsed()?, row.optional_stamp()?))
}

pub(crate) fn heartbeat<D: Dialect>(row: &D::Cells) -> Result<Heartbeat, ProgressError> {
    let mut row = Columns::<D>::of(row, "id, heartbeat_at, lease");
    let id = row.parsed()?;
    Ok(Heartbeat { id, at: row.time()?, lease: Duration::from_millis(row.count()?) })
}

/// Reads the highest number that a log ever had, how many entries it keeps, and the row's entry, if
/// there is one.
pub(crate) fn log<D: Dialect>(row: &D::Cells) -> Result<(u64, u64, Option<Entry>), ProgressError> {
    let mut row = Columns::<D>::of(row, "last_entry, kept, seq, at, level, item, message");
    let (last, kept) = (row.count()?, row.count()?);
    let Some(seq) = row.optional_count()? else {
        return Ok((last, kept, None));
    };
    let at = row.time()?;
    let level = row.text()?;
    let level = [EntryLevel::Info, EntryLevel::Error]
        .into_iter()
        .find(|known| known.as_str() == level)
        .ok_or_else(|| row.unreadable())?;
    let item = row.optional_string()?;
    Ok((last, kept, Some(Entry { seq, at, level, item, message: row.text()?.to_owned() })))
}

/// Reads the columns of a row one after the other, by position, because looking up 35 names takes
/// longer than reading the values.
struct Columns<'a, D: Dialect> {
    row: &'a D::Cells,
    names: &'static str,
    next: usize,
}

impl<'a, D: Dialect> Columns<'a, D> {
    fn of(row: &'a D::Cells, names: &'static str) -> Self {
        Self { row, names, next: 0 }
    }

    fn integer(&mut self) -> Result<Option<i64>, ProgressError> {
        self.next += 1;
        D::integer(self.row, self.next - 1).map_err(classify)
    }

    fn optional_text(&mut self) -> Result<Option<&'a str>, ProgressError> {
        self.next += 1;
        D::text(self.row, self.next - 1).map_err(classify)
    }

    fn text(&mut self) -> Result<&'a str, ProgressError> {
        self.optional_text()?.ok_or_else(|| self.unreadable())
    }

    fn optional_string(&mut self) -> Result<Option<String>, ProgressError> {
        Ok(self.optional_text()?.map(str::to_owned))
    }

    fn parsed<T: FromStr>(&mut self) -> Result<T, ProgressError> {
        self.text()?.parse().map_err(|_| self.unreadable())
    }

    fn optional_count(&mut self) -> Result<Option<u64>, ProgressError> {
        let Some(number) = self.integer()? else { return Ok(None) };
        match u64::try_from(number) {
            Ok(count) if count <= MAX_COUNT => Ok(Some(count)),
            _ => Err(self.unreadable()),
        }
    }

    fn small_count(&mut self) -> Result<Option<u32>, ProgressError> {
        let count = self.optional_count()?.map(u32::try_from).transpose();
        count.map_err(|_| self.unreadable())
    }

    fn count(&mut self) -> Result<u64, ProgressError> {
        self.optional_count()?.ok_or_else(|| self.unreadable())
    }

    fn flag(&mut self) -> Result<bool, ProgressError> {
        match self.integer()? {
            Some(0) => Ok(false),
            Some(1) => Ok(true),
            _ => Err(self.unreadable()),
        }
    }

    fn optional_time(&mut self) -> Result<Option<DateTime<Utc>>, ProgressError> {
        let Some(millis) = self.integer()? else { return Ok(None) };
        DateTime::from_timestamp_millis(millis).map(Some).ok_or_else(|| self.unreadable())
    }

    fn time(&mut self) -> Result<DateTime<Utc>, ProgressError> {
        self.optional_time()?.ok_or_else(|| self.unreadable())
    }

    fn json<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ProgressError> {
        let Some(text) = self.optional_text()? else { return Ok(None) };
        serde_json::from_str(text).map(Some).map_err(|_| self.unreadable())
    }

    /// Reads two columns: the writer and the number.
    fn optional_stamp(&mut self) -> Result<Option<Stamp>, ProgressError> {
        let writer = self.optional_text()?.map(str::parse).transpose();
        let writer = writer.map_err(|_| self.unreadable())?;
        let seq = self.integer()?.map(from_ordered);
        Ok(writer.zip(seq).map(|(writer, seq)| Stamp { writer, seq }))
    }

    /// Names the column that was read last, but not its content, which may be private.
    fn unreadable(&self) -> ProgressError {
        let column = self.names.split(", ").nth(self.next - 1).unwrap_or("?");
        ProgressError::store(format!("the column {column} holds an unreadable value"))
    }
}
