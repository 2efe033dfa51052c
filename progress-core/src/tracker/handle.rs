use std::sync::Arc;

use super::Stopped;
use super::reports::Reports;
use crate::{NewEntry, ProgressId, TotalChange};

/// A worker's handle for reports on one job. Clones report on the same job.
///
/// Reports never wait, fail or write. They are collected in memory, and one flush loop writes them,
/// at most once per flush interval and job. Reports after the end of the job are discarded, because
/// a final status never changes.
#[derive(Debug, Clone)]
pub struct TrackerHandle {
    pub(crate) reports: Arc<Reports>,
}

impl TrackerHandle {
    /// Returns the job's id.
    #[must_use]
    pub fn id(&self) -> ProgressId {
        self.reports.id
    }

    /// Counts succeeded items: one relaxed atomic addition.
    pub fn inc(&self, items: u64) {
        self.reports.add_succeeded(items);
    }

    /// Counts failed items: one relaxed atomic addition.
    pub fn inc_failed(&self, items: u64) {
        self.reports.add_failed(items);
    }

    /// Sets the current message; viewers see the latest one. At most 500 characters are kept.
    pub fn message(&self, message: impl Into<String>) {
        self.reports.set_message(message.into());
    }

    /// Counts one succeeded item and sets the current message.
    pub fn item_done(&self, message: impl Into<String>) {
        self.message(message);
        self.inc(1);
    }

    /// Counts one failed item and adds an entry with the item and the error to the job's log.
    /// Viewers read both.
    pub fn item_failed(&self, item: impl Into<String>, error: impl Into<String>) {
        self.entry(NewEntry::error(error).with_item(item));
        self.inc_failed(1);
    }

    /// Adds an entry to the job's log.
    pub fn entry(&self, entry: NewEntry) {
        self.reports.push_entry(entry);
    }

    /// Sets the total number of items, once it is known.
    pub fn set_total(&self, total: u64) {
        self.reports.change_total(TotalChange::Set(total));
    }

    /// Adds to the total number of items, if there are more than announced.
    pub fn add_total(&self, items: u64) {
        self.reports.change_total(TotalChange::Add(items));
    }

    /// Checks whether the job should stop; call it between items. Also yields to the runtime at
    /// least every 10 ms, so that a loop that never waits does not starve other tasks. Run items
    /// that block for longer in [`spawn_blocking`](tokio::task::spawn_blocking).
    ///
    /// The worker learns of a request to stop from the store's answers. The delay is up to a flush
    /// interval while the job reports, and up to a heartbeat interval while it does not.
    ///
    /// # Errors
    ///
    /// Returns [`Stopped`] with the reason, in this and every later call. An error of any type that
    /// the work returns after that counts as a stop, not as a failure.
    pub async fn checkpoint(&self) -> Result<(), Stopped> {
        if self.reports.is_time_to_yield() {
            tokio::task::yield_now().await;
        } else {
            tokio::task::coop::consume_budget().await;
        }
        self.stopped().map_or(Ok(()), Err)
    }

    /// Returns the reason to stop, if there is one, without yielding.
    #[must_use]
    pub fn stopped(&self) -> Option<Stopped> {
        self.reports.stopped()
    }

    /// Waits until there is a reason to stop; without one, it never returns. Use it in
    /// `tokio::select!` beside a long item.
    pub async fn until_stopped(&self) -> Stopped {
        let mut reason = self.reports.subscribe();
        // The result borrows the channel, so it is dropped before the reason is read.
        let has_reason = reason.wait_for(Option::is_some).await.is_ok();
        match self.stopped().filter(|_| has_reason) {
            Some(stopped) => stopped,
            // Unreachable: the sender is in `self.reports`, which this handle keeps alive.
            None => std::future::pending().await,
        }
    }
}
