use std::sync::Arc;

use super::Stopped;
use super::shared::Shared;
use crate::{NewEntry, ProgressId, TotalChange};

/// A worker's way to report on one job; clones report on the same one.
///
/// Nothing here waits, fails or writes: reports gather in memory, and one loop per store writes them, at most once per
/// flush interval and job. What is reported after the job's ending is lost, for an ending is final.
#[derive(Debug, Clone)]
pub struct TrackerHandle {
    pub(super) shared: Arc<Shared>,
}

impl TrackerHandle {
    /// The job.
    #[must_use]
    pub fn id(&self) -> ProgressId {
        self.shared.id
    }

    /// Counts items done well: one relaxed atomic addition.
    pub fn inc(&self, items: u64) {
        self.shared.add_succeeded(items);
    }

    /// Counts items given up: one relaxed atomic addition.
    pub fn inc_failed(&self, items: u64) {
        self.shared.add_failed(items);
    }

    /// Says what is going on; the latest message is the one shown. At most 500 characters are kept.
    pub fn message(&self, message: impl Into<String>) {
        self.shared.set_message(message.into());
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
        self.shared.push_entry(entry);
    }

    /// Says how many items there are, once that is known.
    pub fn set_total(&self, total: u64) {
        self.shared.change_total(TotalChange::Set(total));
    }

    /// Says that there are more items than announced.
    pub fn add_total(&self, items: u64) {
        self.shared.change_total(TotalChange::Add(items));
    }

    /// Asks whether to go on; call it between items. Gives way to other tasks, and to the loop that writes what is reported,
    /// when the last time was 10 ms ago or the task's budget is used up: a loop that never waits for anything starves
    /// nobody, as long as its single items are short. An item that blocks its thread for seconds belongs into
    /// [`spawn_blocking`](tokio::task::spawn_blocking).
    ///
    /// News comes with the answers of the store: a flush interval late while the job reports, a heartbeat interval late
    /// while it is silent.
    ///
    /// # Errors
    ///
    /// [`Stopped`], with the reason. Once it has said so it stays with it.
    pub async fn checkpoint(&self) -> Result<(), Stopped> {
        if self.shared.is_time_to_give_way() {
            tokio::task::yield_now().await;
        } else {
            tokio::task::coop::consume_budget().await;
        }
        self.stopped().map_or(Ok(()), Err)
    }

    /// The same question without a pause.
    #[must_use]
    pub fn stopped(&self) -> Option<Stopped> {
        self.shared.stopped()
    }

    /// Waits until there is a reason to stop, for `tokio::select!` beside a long item; for ever when none comes.
    pub async fn until_stopped(&self) -> Stopped {
        let mut news = self.shared.subscribe();
        match news.wait_for(Option::is_some).await.ok().and_then(|stopped| *stopped) {
            Some(stopped) => stopped,
            // The sender lives in `self.shared`, which we hold: there is no such end.
            None => std::future::pending().await,
        }
    }
}
