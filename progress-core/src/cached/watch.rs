use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::Shared;
use super::slot::{News, Slot};
use crate::{MAX_PAGE, Progress, ProgressError, ProgressId};

/// Watches one record of a [`CachedStore`](crate::CachedStore), as long as this value lives.
///
/// Each watched record is read once per freshness (four times a second), however many watches there
/// are, and up to a hundred records in one call. A change that was made in this process is seen at
/// once. There is no background task: one waiting watch reads for all, and if its future is
/// dropped, the next takes over.
///
/// ```
/// # use std::sync::Arc;
/// # use progress_core::{CachedStore, MemoryStore, NewProgress, ProgressStore, ProgressUpdate};
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let inside = Arc::new(MemoryStore::new());
/// let store = CachedStore::new(inside.clone());
/// let id = store.create(&NewProgress::new("import")).await?.id;
///
/// let mut watch = store.watch(id);
/// assert_eq!(watch.read().await?.map(|progress| progress.version), Some(1));
/// inside.update(id, &ProgressUpdate::start()).await?; // not through the cache
/// watch.changed().await;
/// assert_eq!(watch.read().await?.map(|progress| progress.version), Some(2));
/// # Ok::<(), progress_core::ProgressError>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Watch {
    shared: Arc<Shared>,
    id: ProgressId,
    news: watch::Receiver<News>,
    /// The state that the caller has read.
    seen: News,
}

impl Watch {
    pub(super) fn new(shared: Arc<Shared>, id: ProgressId) -> Self {
        let mut news = shared.slots.watch(id, shared.freshness);
        let seen = *news.borrow_and_update();
        Self { shared, id, news, seen }
    }

    /// Returns the record as [`CachedStore::read`](crate::CachedStore::read) does.
    ///
    /// # Errors
    ///
    /// Only those of the inner store.
    pub async fn read(&mut self) -> Result<Option<Arc<Progress>>, ProgressError> {
        // Marks the change that led to this read as seen, even if the read fails.
        self.seen = *self.news.borrow_and_update();
        let found = self.shared.read(self.id).await?;
        self.seen = News::of(found.as_deref());
        Ok(found)
    }

    /// Waits until the record differs from what the last [`read`](Self::read) returned, or from its
    /// state when the watch was created if there was no read. It differs if it has another version,
    /// was created or was deleted. A heartbeat is not a change, and neither is a failed read of the
    /// store. May return without a change.
    ///
    /// Cancel safe: dropping the future loses no change.
    pub async fn changed(&mut self) {
        while *self.news.borrow_and_update() == self.seen {
            tokio::select! {
                // Never fails: the sender is in the slot, which is kept while it is watched.
                _ = self.news.changed() => {}
                () = self.shared.drive() => {}
            }
        }
    }
}

/// The lock that makes one waiting watch read for all, and the time of the last read.
#[derive(Debug, Default)]
pub(super) struct Driver {
    turn: tokio::sync::Mutex<()>,
    last: Mutex<Option<Instant>>,
}

/// Minimum interval between polls, so that records due at different times share a batch.
const PAUSE: Duration = Duration::from_millis(25);

/// Maximum time for one batch, because all watches wait while it runs.
const PATIENCE: Duration = Duration::from_secs(1);

impl Shared {
    /// Waits for the turn to read, then reads all watched records when they are due, forever.
    async fn drive(&self) {
        let _turn = self.driver.turn.lock().await;
        loop {
            sleep_until(self.next_sweep()).await;
            *self.driver.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
            self.sweep().await;
        }
    }

    fn next_sweep(&self) -> Instant {
        let now = Instant::now();
        // A record that was never read is about to be read by its watcher.
        let due = self
            .slots
            .watched()
            .into_iter()
            .filter_map(|(_, slot)| slot.due_at(self.freshness))
            .min();
        let due = due.unwrap_or(now + self.freshness).min(now + self.freshness);
        let last = *self.driver.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.map_or(due, |last| due.max(last + PAUSE))
    }

    async fn sweep(&self) {
        let now = Instant::now();
        let is_due = |slot: &Slot| slot.due_at(self.freshness).is_none_or(|due| due <= now);
        let watched = self.slots.watched().into_iter();
        let due: Vec<_> = watched.filter(|(_, slot)| is_due(slot)).map(|(id, _)| id).collect();
        for ids in due.chunks(MAX_PAGE as usize) {
            // Callers of `read` get their own errors; watchers keep waiting.
            if let Ok(Err(error)) = timeout(PATIENCE, self.refresh(ids)).await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "reading watched records failed, will retry"
                );
            }
        }
    }
}
