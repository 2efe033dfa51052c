//! What a worker of a job with attempts has saved.

use crate::{TotalChange, limits};

/// The checkpoints of a worker.
#[derive(Debug, Default)]
pub(super) struct Saves {
    /// The counts and the total with which this worker began the current stage.
    pub(super) base: Base,
    /// What earlier calls of `take` returned of the current stage.
    pub(super) taken: Counts,
    /// The number of the last checkpoint, from 1.
    pub(super) last: u64,
    /// The number of the last checkpoint that the flush loop has taken.
    pub(super) taken_save: u64,
    /// Whether the worker waits until the store has the last checkpoint.
    pub(super) is_urgent: bool,
}

/// The counts of the items before which all have finished.
#[derive(Debug, Clone, Copy)]
pub(super) struct Finished {
    pub(super) stage: usize,
    pub(super) succeeded: u64,
    pub(super) failed: u64,
}

/// The counts and the total of the record when this worker began the current stage.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Base {
    pub(super) succeeded: u64,
    pub(super) failed: u64,
    pub(super) total: Option<u64>,
}

/// Everything that this worker has reported of a stage, in one moment.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    pub(super) succeeded: u64,
    pub(super) failed: u64,
    pub(super) total: TotalChange,
}

impl Counts {
    pub(super) fn and(self, more: Self) -> Self {
        Self {
            succeeded: limits::sum(self.succeeded, more.succeeded),
            failed: limits::sum(self.failed, more.failed),
            total: self.total.then(more.total),
        }
    }
}
