use std::sync::Arc;

use super::Stopped;
use super::reports::Reports;
use crate::{NewEntry, ProgressId, TotalChange};

/// A worker's way to report on one job; clones report on the same one.
///
/// Nothing here waits, fails or writes: reports gather in memory, and one flush loop writes them, at
/// most once per flush interval and job. What is reported after the job's ending is lost, because an
/// ending is final.
#[derive(Debug, Clone)]
pub struct TrackerHandle {
    pub(crate) reports: Arc<Reports>,
}

impl TrackerHandle {
    /// The job.
    #[must_use]
    pub fn id(&self) -> ProgressId {
        self.reports.id
    }

    /// Counts items done well: one relaxed atomic addition.
    pub fn inc(&self, items: u64) {
        self.reports.add_succeeded(items);
    }

    /// Counts items given up: one relaxed atomic addition.
    pub fn inc_failed(&self, items: u64) {
        self.reports.add_failed(items);
    }

    /// Says what is going on; the latest message is the one shown. At most 500 characters are kept.
    pub fn message(&self, message: impl Into<String>) {
        self.reports.set_message(message.into());
    }

    /// One item done well, and what to say about it.
    pub fn success(&self, message: impl Into<String>) {
        self.message(message);
        self.inc(1);
    }

    /// One item given up, with a line in the job's log that says which and why. Viewers read both.
    pub fn failure(&self, item: impl Into<String>, error: impl Into<String>) {
        self.entry(NewEntry::error(error).with_item(item));
        self.inc_failed(1);
    }

    /// Adds a line to the job's log.
    pub fn entry(&self, entry: NewEntry) {
        self.reports.push_entry(entry);
    }

    /// Says how many items there are, once that is known.
    pub fn set_total(&self, total: u64) {
        self.reports.change_total(TotalChange::Set(total));
    }

    /// Says that there are more items than announced.
    pub fn add_total(&self, items: u64) {
        self.reports.change_total(TotalChange::Add(items));
    }

    /// Checks whether the job should stop; call it between items. Also yields to the runtime at least
    /// every 10 ms, so that a loop that never waits does not starve other tasks. Run items that block
    /// for longer in [`spawn_blocking`](tokio::task::spawn_blocking).
    ///
    /// The worker learns of a request to stop from the store's answers: a flush interval late while the
    /// job reports, a heartbeat interval late while it is silent.
    ///
    /// # Errors
    ///
    /// [`Stopped`], with the reason. Every later call returns it as well. An error that the work
    /// returns after that is taken as its way to stop, whatever its type.
    pub async fn checkpoint(&self) -> Result<(), Stopped> {
        if self.reports.is_time_to_yield() {
            tokio::task::yield_now().await;
        } else {
            tokio::task::coop::consume_budget().await;
        }
        self.stopped().map_or(Ok(()), Err)
    }

    /// The same question without a pause.
    #[must_use]
    pub fn stopped(&self) -> Option<Stopped> {
        self.reports.stopped()
    }

    /// Waits until there is a reason to stop, for `tokio::select!` beside a long item; for ever when none comes.
    pub async fn until_stopped(&self) -> Stopped {
        let mut news = self.reports.subscribe();
        // The result borrows the channel, so it is dropped before the reason is read.
        let is_told = news.wait_for(Option::is_some).await.is_ok();
        match self.stopped().filter(|_| is_told) {
            Some(stopped) => stopped,
            // The sender lives in `self.reports`, which we hold: there is no such end.
            None => std::future::pending().await,
        }
    }
}
