//! A cursor for items that finish in another order than they began.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde_json::Value;

use super::TrackerHandle;
use super::saves::Finished;
use crate::ProgressError;

/// Saves a cursor for items of which several are in progress at the same time. Made by
/// [`TrackerHandle::save_in_order`].
///
/// The saved cursor is that of the last item before which all have finished, with their counts and
/// not with those of later items. So the bar shows every item when it finishes, and the next
/// attempt processes, and counts, every item that may be missing.
///
/// ```
/// # use progress_core::{Jobs, MemoryStore, NewProgress};
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// # let jobs = Jobs::new(MemoryStore::new());
/// # let id = jobs.create(NewProgress::new("mail").with_total(100).with_attempts(3)).await?.id;
/// use futures_util::StreamExt as _;
///
/// let ended = jobs.run(id, async |tracker| {
///     let sent = tracker.cursor::<u64>()?.unwrap_or(0);
///     let in_order = tracker.save_in_order();
///     let mails = futures_util::stream::iter(sent..100).map(|mail| {
///         let item = in_order.begin(&(mail + 1));
///         async move {
///             // Here the mail is sent.
///             item?.succeed();
///             Ok::<_, progress_core::ProgressError>(())
///         }
///     });
///     let mut mails = mails.buffer_unordered(8);
///     while let Some(outcome) = mails.next().await {
///         outcome?;
///     }
///     Ok(())
/// }).await?;
/// assert_eq!(ended.succeeded, 100);
/// # Ok::<(), progress_core::ProgressError>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct SaveInOrder {
    tracker: TrackerHandle,
    /// The index of the stage to which the items belong.
    stage: usize,
    window: Arc<Mutex<Window>>,
}

/// The items that have begun and are not saved, in their order.
#[derive(Debug, Default)]
struct Window {
    /// The number of the first item in `items`.
    first: usize,
    items: VecDeque<Item>,
    /// The finished items before `first`.
    succeeded: u64,
    failed: u64,
}

#[derive(Debug)]
struct Item {
    cursor: Value,
    outcome: Option<Outcome>,
}

#[derive(Debug, Clone, Copy)]
enum Outcome {
    Succeeded,
    Failed,
}

/// An item in progress. If it is dropped without an outcome, no later item is saved, so the next
/// attempt processes it again.
#[derive(Debug)]
#[must_use = "an item without an outcome is not counted"]
pub struct OpenItem {
    saves: SaveInOrder,
    number: usize,
}

impl SaveInOrder {
    pub(super) fn new(tracker: TrackerHandle) -> Self {
        Self { stage: tracker.reports.stage(), tracker, window: Arc::default() }
    }

    /// Begins an item. `cursor` is where the next attempt continues if this item and all before it
    /// have finished.
    ///
    /// # Errors
    ///
    /// As [`TrackerHandle::save`].
    pub fn begin<T: Serialize + ?Sized>(&self, cursor: &T) -> Result<OpenItem, ProgressError> {
        let cursor = self.tracker.to_cursor(cursor)?;
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let number = window.first + window.items.len();
        window.items.push_back(Item { cursor, outcome: None });
        Ok(OpenItem { saves: self.clone(), number })
    }

    fn finish(&self, number: usize, outcome: Outcome) {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let place = number - window.first;
        if let Some(item) = window.items.get_mut(place) {
            item.outcome = Some(outcome);
        }
        let mut cursor = None;
        while let Some(Item { outcome: Some(outcome), .. }) = window.items.front() {
            match outcome {
                Outcome::Succeeded => window.succeeded += 1,
                Outcome::Failed => window.failed += 1,
            }
            cursor = window.items.pop_front().map(|item| item.cursor);
            window.first += 1;
        }
        if let Some(cursor) = cursor {
            // Under the lock, so that an earlier cursor never replaces a later one.
            let finished =
                Finished { stage: self.stage, succeeded: window.succeeded, failed: window.failed };
            self.tracker.reports.save(cursor, Some(finished));
        }
    }
}

impl OpenItem {
    /// Counts the item as succeeded.
    pub fn succeed(self) {
        self.saves.tracker.inc(1);
        self.saves.finish(self.number, Outcome::Succeeded);
    }

    /// Counts the item as failed. Add an entry to the log for the reason, if viewers should read
    /// one.
    pub fn fail(self) {
        self.saves.tracker.inc_failed(1);
        self.saves.finish(self.number, Outcome::Failed);
    }
}
