use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::Shared;
use super::slot::{News, Slot};
use crate::{MAX_PAGE, Progress, ProgressError, ProgressId};

/// Follows one record of a [`CachedStore`](crate::CachedStore), for as long as it lives.
///
/// However many follow however many records, this process reads each of them once per freshness (four times a second), a
/// hundred in one call, and a change that was made in this process is known at once. There is no task behind it: one of
/// those who wait reads for all, and when it goes the next takes its place.
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
/// inside.update(id, &ProgressUpdate::start()).await?; // behind its back
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
    /// What the one who watches knows.
    seen: News,
}

impl Watch {
    pub(super) fn new(shared: Arc<Shared>, id: ProgressId) -> Self {
        let mut news = shared.slots.watch(id, shared.freshness);
        let seen = *news.borrow_and_update();
        Self { shared, id, news, seen }
    }

    /// The record as [`CachedStore::read`](crate::CachedStore::read) gives it.
    ///
    /// # Errors
    ///
    /// Only those of the store itself.
    pub async fn read(&mut self) -> Result<Option<Arc<Progress>>, ProgressError> {
        // If the read fails, these are the news that led to it.
        self.seen = *self.news.borrow_and_update();
        let found = self.shared.read(self.id).await?;
        self.seen = News::of(found.as_deref());
        Ok(found)
    }

    /// Waits until the record is another than the last [`read`](Self::read) gave (when there was none: than it was when
    /// the watch was made): another version, a first record, or none any more. May return without a change. A heartbeat is
    /// no change. As long as the store cannot be read, nothing changes.
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn changed(&mut self) {
        while *self.news.borrow_and_update() == self.seen {
            tokio::select! {
                // Its sender is in the slot, which is kept as long as it is watched.
                _ = self.news.changed() => {}
                () = self.shared.drive() => {}
            }
        }
    }
}

/// The right to read for those who wait.
#[derive(Debug, Default)]
pub(super) struct Driver {
    turn: tokio::sync::Mutex<()>,
    last: Mutex<Option<Instant>>,
}

/// However the moments fall at which single records are due, they are read in batches.
const PAUSE: Duration = Duration::from_millis(25);

/// How long one batch may take: those who wait wait for another as well.
const PATIENCE: Duration = Duration::from_secs(1);

impl Shared {
    /// Waits for the turn to read what is watched, and then does it for ever.
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
        // One that has never been read is about to be, by the one who watches it.
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
            // Failure is for those to report who read; those who wait go on waiting.
            if let Ok(Err(error)) = timeout(PATIENCE, self.refresh(ids)).await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "watched records cannot be read"
                );
            }
        }
    }
}
