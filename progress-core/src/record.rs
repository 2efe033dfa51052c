use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Entry, EntryLevel, NewProgress, Progress, ProgressError, ProgressUpdate, Stamp, Status, limits,
};

/// What a store keeps of one job besides its log: the progress, and the last stamp of each writer.
///
/// [`update`](Self::update) is the only implementation of "apply a stamped update exactly once". A
/// store loads a record, updates it, and writes it back with the entries, all in one transaction or
/// under one compare-and-set. The serde form is for stores that keep documents.
///
/// ```
/// use progress_core::{Delta, NewEntry, NewProgress, ProgressUpdate, Record, Stamp};
///
/// let now = chrono::DateTime::UNIX_EPOCH;
/// let mut record = Record::new(&NewProgress::new("import"), now)?;
/// record.update(&ProgressUpdate::start(), now)?;
///
/// let delta = Delta::new().with_succeeded(3).with_entry(NewEntry::info("three lines"));
/// let stamp = Stamp { writer: uuid::Uuid::from_u128(1), seq: 1 };
/// let update = ProgressUpdate::advance(delta).with_stamp(stamp);
/// assert_eq!(record.update(&update, now)?.entries[0].seq, 1);
/// // The acknowledgement was lost, so the worker repeats it.
/// assert!(!record.update(&update, now)?.is_new);
/// assert_eq!(record.progress.succeeded, 3);
/// # Ok::<(), progress_core::ProgressError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The progress as of the last update.
    pub progress: Progress,
    /// The highest applied sequence number of each writer. A store that keeps them outside the
    /// record may load only those of the updates that it is about to apply.
    pub stamps: BTreeMap<Uuid, u64>,
}

/// The effect of an update on a [`Record`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Whether the update was applied now. False if its stamp was applied before: the record is
    /// unchanged, and there is nothing to write.
    pub is_new: bool,
    /// The numbered entries to append to the job's log.
    pub entries: Vec<Entry>,
}

impl Record {
    /// Creates the record of a new job; `now` is the store's time.
    ///
    /// # Errors
    ///
    /// [`ProgressError::Invalid`] if the owner or the metadata is invalid.
    pub fn new(job: &NewProgress, now: DateTime<Utc>) -> Result<Self, ProgressError> {
        Ok(Self { progress: Progress::new(job, now)?, stamps: BTreeMap::new() })
    }

    /// Applies an update unless its stamp was applied before; `now` is the store's time.
    ///
    /// # Errors
    ///
    /// [`ProgressError::Refused`] as in [`Progress::apply`]; the record is then unchanged.
    pub fn update(
        &mut self,
        update: &ProgressUpdate,
        now: DateTime<Utc>,
    ) -> Result<Applied, ProgressError> {
        if update.stamp().is_some_and(|stamp| self.has_applied(stamp)) {
            self.progress.observed_at = crate::limits::time(now);
            return Ok(Applied { is_new: false, entries: Vec::new() });
        }
        let was_running = self.progress.status == Status::Running;
        self.progress.apply(update, now)?;
        if let Some(stamp) = update.stamp() {
            self.stamps.insert(stamp.writer, stamp.seq);
        }
        let mut entries = self.number(update);
        if was_running && self.progress.is_retrying() {
            entries.push(self.end_of_attempt());
        }
        Ok(Applied { is_new: true, entries })
    }

    fn has_applied(&self, stamp: Stamp) -> bool {
        self.stamps.get(&stamp.writer).is_some_and(|applied| *applied >= stamp.seq)
    }

    /// Numbers the entries of an update that has just been applied. The last one is the newest of
    /// the log.
    fn number(&self, update: &ProgressUpdate) -> Vec<Entry> {
        let entries = update.delta().entries();
        let own = u64::from(self.progress.is_retrying());
        let last = self.progress.last_entry.saturating_sub(own);
        let first = (last + 1).saturating_sub(entries.len() as u64);
        let numbered = (first..).zip(entries).map(|(seq, entry)| Entry {
            seq,
            at: self.progress.updated_at,
            level: entry.level(),
            item: entry.item().map(str::to_owned),
            message: entry.message().to_owned(),
        });
        numbered.collect()
    }

    /// The entry that says why an attempt ended.
    fn end_of_attempt(&self) -> Entry {
        let Progress { attempt, max_attempts, error, .. } = &self.progress;
        let most = max_attempts.unwrap_or(*attempt);
        let error = error.as_deref().unwrap_or_default();
        Entry {
            seq: self.progress.last_entry,
            at: self.progress.updated_at,
            level: EntryLevel::Error,
            item: None,
            message: limits::text(
                format!("attempt {attempt} of {most} ended: {error}"),
                limits::MAX_MESSAGE,
            ),
        }
    }

    /// Returns a copy of the progress, read at the store's time `now`.
    #[must_use]
    pub fn snapshot(&self, now: DateTime<Utc>) -> Progress {
        Progress { observed_at: crate::limits::time(now), ..self.progress.clone() }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::{Completion, Delta, NewEntry, Status};

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn running() -> Record {
        let mut record = Record::new(&NewProgress::new("test").with_total(3), NOW).unwrap();
        record.update(&ProgressUpdate::start(), NOW).unwrap();
        record
    }

    fn stamped(delta: Delta, seq: u64) -> ProgressUpdate {
        let stamp = Stamp { writer: Uuid::from_u128(7), seq };
        ProgressUpdate::advance(delta).with_stamp(stamp)
    }

    #[test]
    fn a_repeated_or_late_stamp_changes_nothing_but_the_time_of_reading() {
        let mut record = running();
        record.update(&stamped(Delta::new().with_succeeded(1), 2), NOW).unwrap();
        let before = record.clone();
        let later = NOW + TimeDelta::seconds(1);
        for seq in [2, 1] {
            let delta = Delta::new().with_succeeded(1).with_entry(NewEntry::info("again"));
            let applied = record.update(&stamped(delta, seq), later).unwrap();
            assert_eq!(applied, Applied { is_new: false, entries: Vec::new() });
            assert_eq!(record.progress, before.snapshot(later));
        }
    }

    #[test]
    fn a_refused_update_leaves_no_stamp() {
        let mut record = running();
        record.update(&ProgressUpdate::complete(Delta::new(), Completion::new()), NOW).unwrap();
        let before = record.clone();
        let refusal = record.update(&stamped(Delta::new(), 1), NOW);
        assert!(matches!(refusal, Err(ProgressError::Refused { status: Status::Completed, .. })));
        assert_eq!(record, before);
    }

    #[test]
    fn entries_are_numbered_after_those_that_were_dropped() {
        let mut record = running();
        let delta = Delta::new()
            .with_dropped_entries(10)
            .with_entry(NewEntry::info("a"))
            .with_entry(NewEntry::error("b").with_item("x"));
        let applied = record.update(&ProgressUpdate::advance(delta), NOW).unwrap();
        assert_eq!(applied.entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [11, 12]);
        assert_eq!(record.progress.last_entry, 12);
    }

    #[test]
    fn a_document_keeps_everything() {
        let mut record = running();
        let delta = Delta::new().with_succeeded(2).with_message("Ünïcödé").with_failed(1);
        record.update(&stamped(delta, u64::MAX), NOW + TimeDelta::milliseconds(1_234)).unwrap();
        let document = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&document).unwrap(), record);
    }
}
