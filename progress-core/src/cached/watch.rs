use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use super::Cache;
use super::cache_entry::{CacheEntry, Revision};
use super::snapshot::Snapshot;
use crate::{Changed, Changes, MAX_PAGE, Progress, ProgressError, ProgressId};

/// Watches one record of a [`CachedStore`](crate::CachedStore), as long as this value lives.
///
/// Each watched record is read once per freshness (four times a second), however many watches there
/// are, and up to a hundred records in one call. With [hints](crate::ProgressStore::changes) of the
/// store, a record is read when it has changed, and every 3 s. A change that was made in this
/// process is seen at once. There is no background task: one waiting watch reads for all, and the
/// next takes over if its future is dropped.
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
    entry: Arc<CacheEntry>,
    /// The state that the caller has read.
    seen: Revision,
}

impl Watch {
    pub(super) fn new(cache: Arc<Cache>, id: ProgressId) -> Self {
        let entry = cache.entries.watch(id, cache.freshness);
        let seen = entry.revision();
        Self { cache, id, entry, seen }
    }

    pub(super) fn since(cache: Arc<Cache>, record: &Progress) -> Self {
        let mut watch = Self::new(cache, record.id);
        watch.seen = Revision::of(Some(record));
        watch
    }

    /// Returns the record as [`CachedStore::read`](crate::CachedStore::read) does.
    ///
    /// # Errors
    ///
    /// Only those of the inner store.
    pub async fn read(&mut self) -> Result<Option<Arc<Snapshot>>, ProgressError> {
        // Marks the change that led to this read as seen, even if the read fails.
        self.seen = self.entry.revision();
        let found = self.cache.read(self.id).await?;
        self.seen = Revision::of(found.as_deref().map(|found| &**found));
        Ok(found)
    }

    /// Waits until the record differs from what the last [`read`](Self::read) returned, or from its
    /// state when the watch was created if there was no read. It differs if it has another version,
    /// was created or was deleted. A heartbeat is not a change, and neither is a failed read of the
    /// store. May return without a change.
    ///
    /// Cancel safe: dropping the future loses no change.
    pub async fn changed(&mut self) {
        loop {
            // Before the check, so that no change in between is missed.
            let changed = self.entry.changed();
            if self.entry.revision() != self.seen {
                return;
            }
            tokio::select! {
                () = changed => {}
                () = self.cache.run_poller() => {}
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.entry.remove_watch();
    }
}

/// The lock that makes one waiting watch read for all, and the time of the last read.
#[derive(Debug, Default)]
pub(super) struct Poller {
    /// The hints of the store, after the first watch has asked for them.
    changes: tokio::sync::Mutex<Option<Hints>>,
    last_poll: Mutex<Option<Instant>>,
}

/// The hints of a store, if it has any.
#[derive(Debug)]
struct Hints(Option<Changes>);

impl Hints {
    /// Waits for a hint; forever without hints.
    async fn next(&mut self) -> Changed {
        match &mut self.0 {
            Some(changes) => changes.next().await,
            None => std::future::pending().await,
        }
    }

    fn are_live(&self) -> bool {
        self.0.as_ref().is_some_and(Changes::is_live)
    }
}

/// Minimum interval between polls, so that records due at different times share a batch.
const MIN_POLL_INTERVAL: Duration = Duration::from_millis(25);

/// Maximum time for one batch, because all watches wait while it runs.
const BATCH_TIMEOUT: Duration = Duration::from_secs(1);

/// How often a watched record is read while hints arrive, because one may be lost.
pub(super) const HINTED_INTERVAL: Duration = Duration::from_secs(3);

impl Cache {
    /// Waits for the lock, then reads all watched records when they are due, forever.
    async fn run_poller(&self) {
        let mut hints = self.poller.changes.lock().await;
        let hints = hints.get_or_insert_with(|| Hints(self.store.changes()));
        // Boxed, so that the watches which wait for the lock take little memory.
        Box::pin(self.poll_forever(hints)).await;
    }

    async fn poll_forever(&self, hints: &mut Hints) {
        loop {
            let interval =
                if hints.are_live() { self.freshness.max(HINTED_INTERVAL) } else { self.freshness };
            tokio::select! {
                changed = hints.next() => self.entries.hint(&changed),
                () = sleep_until(self.next_poll(interval)) => {}
            }
            let last = *self.poller.last_poll.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(last) = last {
                sleep_until(last + MIN_POLL_INTERVAL).await;
            }
            *self.poller.last_poll.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(Instant::now());
            self.poll_due(interval).await;
        }
    }

    fn next_poll(&self, interval: Duration) -> Instant {
        let latest = Instant::now() + interval;
        let watched = self.entries.watched().into_iter();
        // A record that was never read is about to be read by its watcher.
        let due = watched.filter_map(|(_, entry)| entry.due_at(self.freshness, interval)).min();
        due.map_or(latest, |due| due.min(latest))
    }

    async fn poll_due(&self, interval: Duration) {
        let now = Instant::now();
        let is_due = |entry: &CacheEntry| {
            entry.due_at(self.freshness, interval).is_none_or(|due| due <= now)
        };
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
