use crate::{Checkpoint, NewEntry, limits};

/// The content of an update: counts, a message, a change of the total, log entries.
///
/// ```
/// use progress_core::Delta;
///
/// let delta = Delta::new().with_succeeded(3).with_message("CCT123 sent");
/// assert!(!delta.is_empty());
/// assert!(Delta::new().is_empty());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delta {
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    pub(crate) total: TotalChange,
    pub(crate) message: Option<String>,
    pub(crate) entries: Vec<NewEntry>,
    pub(crate) dropped_entries: u64,
    /// What was reported before each change of the stage, oldest first.
    pub(crate) stage_changes: Vec<StageChange>,
    /// Boxed, because most deltas have none.
    pub(crate) checkpoint: Option<Box<Checkpoint>>,
}

/// A change of the stage, with the reports of the stage that it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StageChange {
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    pub(crate) total: TotalChange,
    /// The index of the stage that begins.
    pub(crate) begins: usize,
}

/// A change of the total.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TotalChange {
    /// Leaves the total unchanged.
    #[default]
    Keep,
    /// Replaces the total.
    Set(u64),
    /// Increases the total, from zero if it was unknown.
    Add(u64),
}

impl TotalChange {
    /// Returns the total after this change.
    #[must_use]
    pub fn applied_to(self, total: Option<u64>) -> Option<u64> {
        match self {
            Self::Keep => total,
            Self::Set(total) => Some(limits::count(total)),
            Self::Add(more) => Some(limits::sum(total.unwrap_or(0), more)),
        }
    }

    /// Combines this change with a later one.
    #[must_use]
    pub fn then(self, next: Self) -> Self {
        match (self, next) {
            (_, Self::Set(_)) | (Self::Keep, _) => next,
            (_, Self::Keep) => self,
            (Self::Set(total), Self::Add(more)) => Self::Set(limits::sum(total, more)),
            (Self::Add(first), Self::Add(second)) => Self::Add(limits::sum(first, second)),
        }
    }
}

impl Delta {
    /// Returns how many items succeeded and failed, in all stages together.
    #[cfg(feature = "metrics")]
    pub(crate) fn items(&self) -> (u64, u64) {
        let own = (self.succeeded, self.failed);
        self.stage_changes.iter().fold(own, |(succeeded, failed), change| {
            (limits::sum(succeeded, change.succeeded), limits::sum(failed, change.failed))
        })
    }

    /// Creates an empty delta.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds items that succeeded.
    #[must_use]
    pub fn with_succeeded(mut self, items: u64) -> Self {
        self.succeeded = limits::sum(self.succeeded, items);
        self
    }

    /// Adds items that failed.
    #[must_use]
    pub fn with_failed(mut self, items: u64) -> Self {
        self.failed = limits::sum(self.failed, items);
        self
    }

    /// Changes the total.
    #[must_use]
    pub fn with_total(mut self, change: TotalChange) -> Self {
        self.total = self.total.then(change);
        self
    }

    /// Replaces the message; at most 500 characters are kept.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(limits::text(message, limits::MAX_MESSAGE));
        self
    }

    /// Adds a log entry.
    #[must_use]
    pub fn with_entry(mut self, entry: NewEntry) -> Self {
        self.entries.push(entry);
        self
    }

    /// Adds older entries that were dropped on the way, so that the log can report their number.
    #[must_use]
    pub fn with_dropped_entries(mut self, entries: u64) -> Self {
        self.dropped_entries = limits::sum(self.dropped_entries, entries);
        self
    }

    /// Sets where the next attempt continues. Its counts are those of the record, not of this
    /// delta.
    #[must_use]
    pub fn with_checkpoint(mut self, checkpoint: Checkpoint) -> Self {
        self.checkpoint = Some(Box::new(checkpoint));
        self
    }

    /// Begins the stage with this index. Counts and totals that were added before belong to the
    /// stage before, and a message or a checkpoint that was set before is removed.
    ///
    /// ```
    /// use progress_core::Delta;
    ///
    /// let delta = Delta::new().with_succeeded(3).with_stage(1).with_succeeded(2);
    /// assert_eq!(delta.succeeded(), 2);
    /// ```
    #[must_use]
    pub fn with_stage(mut self, stage: usize) -> Self {
        self.begin_stage(stage);
        self
    }

    pub(crate) fn begin_stage(&mut self, stage: usize) {
        self.stage_changes.push(StageChange {
            succeeded: std::mem::take(&mut self.succeeded),
            failed: std::mem::take(&mut self.failed),
            total: std::mem::take(&mut self.total),
            begins: stage,
        });
        self.message = None;
        self.checkpoint = None;
    }

    /// Returns the number of items that succeeded, in the stage that is the current one at the end
    /// of this delta.
    #[must_use]
    pub const fn succeeded(&self) -> u64 {
        self.succeeded
    }

    /// Returns the number of items that failed, in the same stage.
    #[must_use]
    pub const fn failed(&self) -> u64 {
        self.failed
    }

    /// Returns the change of the total.
    #[must_use]
    pub const fn total(&self) -> TotalChange {
        self.total
    }

    /// Returns the new message, if there is one.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// Returns the entries to append, oldest first.
    #[must_use]
    pub fn entries(&self) -> &[NewEntry] {
        &self.entries
    }

    /// Returns how many older entries were dropped.
    #[must_use]
    pub const fn dropped_entries(&self) -> u64 {
        self.dropped_entries
    }

    /// Returns how much the number of the newest entry grows: dropped entries are counted as well.
    #[must_use]
    pub fn entry_count(&self) -> u64 {
        self.dropped_entries.saturating_add(self.entries.len() as u64)
    }

    /// Returns where the next attempt continues, if the worker has saved that.
    #[must_use]
    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        self.checkpoint.as_deref()
    }

    /// Whether viewers see a change. They do not see the checkpoint.
    pub(crate) fn is_visible(&self) -> bool {
        let Self {
            succeeded,
            failed,
            total,
            message,
            entries,
            dropped_entries,
            stage_changes,
            checkpoint: _,
        } = self;
        (succeeded, failed, dropped_entries) != (&0, &0, &0)
            || *total != TotalChange::Keep
            || message.is_some()
            || !entries.is_empty()
            || !stage_changes.is_empty()
    }

    /// Whether the delta is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_the_total_compose_as_they_apply() {
        use TotalChange::{Add, Keep, Set};
        let changes = [Keep, Set(0), Set(7), Add(3), Set(u64::MAX), Add(u64::MAX)];
        for first in changes {
            for second in changes {
                for total in [None, Some(0), Some(limits::MAX_COUNT)] {
                    let one_by_one = second.applied_to(first.applied_to(total));
                    assert_eq!(
                        first.then(second).applied_to(total),
                        one_by_one,
                        "{first:?} {second:?} {total:?}"
                    );
                }
            }
        }
    }
}
