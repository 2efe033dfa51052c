use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::Cache;
use super::cache_entry::{CacheEntry, Revision};
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
    cache: Arc<Cache>,
    id: ProgressId,
    revision: watch::Receiver<Revision>,
    /// The state that the caller has read.
    seen: Revision,
}

impl Watch {
    pub(super) fn new(cache: Arc<Cache>, id: ProgressId) -> Self {
        let mut revision = cache.entries.subscribe(id, cache.freshness);
        let seen = *revision.borrow_and_update();
        Self { cache, id, revision, seen }
    }

    /// Returns the record as [`CachedStore::read`](crate::CachedStore::read) does.
    ///
    /// # Errors
    ///
    /// Only those of the inner store.
    pub async fn read(&mut self) -> Result<Option<Arc<Progress>>, ProgressError> {
        // Marks the change that led to this read as seen, even if the read fails.
        self.seen = *self.revision.borrow_and_update();
        let found = self.cache.read(self.id).await?;
        self.seen = Revision::of(found.as_deref());
        Ok(found)
    }

    /// Waits until the record differs from what the last [`read`](Self::read) returned, or from its
    /// state when the watch was created if there was no read. It differs if it has another version,
    /// was created or was deleted. A heartbeat is not a change, and neither is a failed read of the
    /// store. May return without a change.
    ///
    /// Cancel safe: dropping the future loses no change.
    pub async fn changed(&mut self) {
        while *self.revision.borrow_and_update() == self.seen {
            tokio::select! {
                // Never fails: the sender is in the entry, which is kept while it is watched.
                _ = self.revision.changed() => {}
                () = self.cache.run_poller() => {}
            }
        }
    }
}

/// The lock that makes one waiting watch read for all, and the time of the last read.
#[derive(Debug, Default)]
pub(super) struct Poller {
    lock: tokio::sync::Mutex<()>,
    last_poll: Mutex<Option<Instant>>,
}

/// Minimum interval between polls, so that records due at different times share a batch.
const MIN_POLL_INTERVAL: Duration = Duration::from_millis(25);

/// Maximum time for one batch, because all watches wait while it runs.
const BATCH_TIMEOUT: Duration = Duration::from_secs(1);

impl Cache {
    /// Waits for the lock, then reads all watched records when they are due, forever.
    async fn run_poller(&self) {
        let _guard = self.poller.lock.lock().await;
        loop {
            sleep_until(self.next_poll()).await;
            *self.poller.last_poll.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(Instant::now());
            self.poll_due().await;
        }
    }

    fn next_poll(&self) -> Instant {
        let now = Instant::now();
        // A record that was never read is about to be read by its watcher.
        let due = self
            .entries
            .watched()
            .into_iter()
            .filter_map(|(_, entry)| entry.due_at(self.freshness))
            .min();
        let due = due.unwrap_or(now + self.freshness).min(now + self.freshness);
        let last = *self.poller.last_poll.lock().unwrap_or_else(PoisonError::into_inner);
        last.map_or(due, |last| due.max(last + MIN_POLL_INTERVAL))
    }

    async fn poll_due(&self) {
        let now = Instant::now();
        let is_due = |entry: &CacheEntry| entry.due_at(self.freshness).is_none_or(|due| due <= now);
        let watched = self.entries.watched().into_iter();
        let due: Vec<_> = watched.filter(|(_, entry)| is_due(entry)).map(|(id, _)| id).collect();
        for ids in due.chunks(MAX_PAGE as usize) {
            // Callers of `read` get their own errors; watchers keep waiting.
            if let Ok(Err(error)) = timeout(BATCH_TIMEOUT, self.refresh(ids)).await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "reading watched records failed, will retry"
                );
            }
        }
    }
}
