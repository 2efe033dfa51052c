//! A record while it is updated.

use std::collections::BTreeMap;

use progress_core::{Entry, Progress, ProgressError, ProgressUpdate, Record, Stamp, Transition};

use crate::row::Stored;
use crate::rows::{Advance, Change, EarlierStamp, LogEntry, RareColumns};

/// A record as it was read, with the changes of the updates.
pub(crate) struct LoadedRecord {
    pub(crate) record: Record,
    /// The rare columns as they were read.
    before: RareColumns,
    /// The last stamp, which is stored in the record itself.
    pub(crate) stamp: Option<Stamp>,
    /// The stamps of writers that are no longer the last one.
    earlier: Vec<Stamp>,
    entries: BTreeMap<u64, Entry>,
    last_entry: u64,
    pub(crate) is_changed: bool,
    /// Whether an update tests that the record can be written.
    is_probed: bool,
}

impl LoadedRecord {
    pub(crate) fn new(Stored { record, stamp }: Stored) -> Self {
        Self {
            last_entry: record.progress.last_entry,
            before: RareColumns::of(&record.progress),
            record,
            stamp,
            earlier: Vec::new(),
            entries: BTreeMap::new(),
            is_changed: false,
            is_probed: false,
        }
    }

    pub(crate) fn update(&mut self, update: &ProgressUpdate) -> Result<Progress, ProgressError> {
        // The time of the database's clock when it read the record.
        let now = self.record.progress.observed_at;
        let applied = self.record.update(update, now)?;
        if applied.is_new {
            self.is_changed = true;
            self.is_probed |= matches!(update.transition(), Transition::Probe { .. });
            self.entries.extend(applied.entries.into_iter().map(|entry| (entry.seq, entry)));
            if let Some(stamp) = update.stamp()
                && let Some(before) = self.stamp.replace(stamp)
                && before.writer != stamp.writer
            {
                self.earlier.retain(|earlier| earlier.writer != before.writer);
                self.earlier.push(before);
            }
        }
        Ok(self.record.progress.clone())
    }

    /// Whether it is enough to write the columns of [`Advance`]. A probe changes nothing, and
    /// SQLite writes nothing if a statement sets a row to the values that it has, unless one of
    /// them is in an index.
    pub(crate) fn is_advance(&self) -> bool {
        !self.is_probed && self.before == RareColumns::of(&self.record.progress)
    }

    pub(crate) fn change(&self) -> Change<'_> {
        Change::new(&self.record.progress, self.stamp)
    }

    pub(crate) fn advance(&self) -> Advance<'_> {
        Advance::new(&self.record.progress, self.stamp)
    }

    pub(crate) fn earlier_stamps(&self) -> impl Iterator<Item = EarlierStamp> {
        self.earlier.iter().map(|stamp| EarlierStamp::new(self.record.progress.id, *stamp))
    }

    /// Returns the new entries, without those that would be trimmed at once.
    pub(crate) fn log_entries(&self, log_limit: u32) -> impl Iterator<Item = LogEntry<'_>> {
        let surplus = self.entries.len().saturating_sub(log_limit as usize);
        let newest = self.entries.values().skip(surplus);
        newest.map(|entry| LogEntry::new(self.record.progress.id, entry))
    }

    /// Whether to trim the log. Trimming reads the whole log, so it happens once per
    /// `log_limit / 10` new entries. Until then the log may be a tenth too long, but readers never
    /// see more than the limit.
    pub(crate) fn is_log_full(&self, log_limit: u32) -> bool {
        let tenth = u64::from(log_limit / 10).max(1);
        let last = self.record.progress.last_entry;
        !self.entries.is_empty()
            && last > u64::from(log_limit)
            && last / tenth != self.last_entry / tenth
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use progress_core::{Delta, NewEntry, NewProgress};

    use super::*;

    fn running() -> LoadedRecord {
        let mut record = Record::new(&NewProgress::new("test"), DateTime::UNIX_EPOCH).unwrap();
        record.update(&ProgressUpdate::start(), DateTime::UNIX_EPOCH).unwrap();
        LoadedRecord::new(Stored { record, stamp: None })
    }

    fn log(entries: u64) -> ProgressUpdate {
        let delta =
            (0..entries).fold(Delta::new(), |delta, _| delta.with_entry(NewEntry::info("line")));
        ProgressUpdate::advance(delta)
    }

    #[test]
    fn logs_are_trimmed_once_per_tenth_of_their_limit() {
        let mut record = running().record;
        let mut trims = Vec::new();
        for number in 1..=1_500 {
            let mut locked = LoadedRecord::new(Stored { record, stamp: None });
            locked.update(&log(1)).unwrap();
            if locked.is_log_full(1_000) {
                trims.push(number);
            }
            record = locked.record;
        }
        assert_eq!(trims, [1_100, 1_200, 1_300, 1_400, 1_500]);
    }

    #[test]
    fn the_last_stamp_is_separate_from_earlier_ones() {
        let mut locked = running();
        for (writer, seq) in [(1, 1), (2, 1), (1, 2), (2, 2), (2, 3), (1, 2)] {
            let stamp = Stamp { writer: uuid::Uuid::from_u128(writer), seq };
            locked.update(&log(0).with_stamp(stamp)).unwrap();
        }
        let stamp = |writer, seq| Stamp { writer: uuid::Uuid::from_u128(writer), seq };
        assert_eq!(locked.stamp, Some(stamp(2, 3)));
        assert_eq!(locked.earlier, [stamp(2, 1), stamp(1, 2)]);
    }
}
