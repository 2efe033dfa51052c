use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::Progress;

/// The cache entry of one record.
#[derive(Debug)]
pub(super) struct Slot {
    /// Held by the caller that reads the store (single-flight).
    pub(super) reading: tokio::sync::Mutex<()>,
    state: Mutex<State>,
    /// Tells watchers about changes.
    pub(super) news: watch::Sender<News>,
}

/// What watchers compare: when this value changes, they read the record again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// The entry was invalidated. The number of writes makes each invalidation a change.
    Unknown(u64),
    Nothing,
    Version(DateTime<Utc>, u64),
}

impl News {
    pub(super) fn of(found: Option<&Progress>) -> Self {
        found.map_or(Self::Nothing, |progress| Self::Version(progress.created_at, progress.version))
    }
}

#[derive(Debug, Default)]
struct State {
    known: Option<CachedValue>,
    /// When the last read of the store began.
    last_asked: Option<Instant>,
    /// Write counter. A read during which it changed is stale and must be repeated.
    writes: u64,
    /// How many reads ended without a record, and why the last of them did.
    negative_reads: (u64, NegativeRead),
}

/// The newest known version of a record.
#[derive(Debug)]
struct CachedValue {
    progress: Arc<Progress>,
    /// When the call that returned it began.
    since: Instant,
    /// When that call returned.
    learned: Instant,
}

/// Why a read ended without a record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum NegativeRead {
    /// There is no such record.
    #[default]
    Nothing,
    Failure,
}

/// When a read was requested, and how many reads had ended without a record by then.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    at: Instant,
    negative_reads: u64,
}

/// When a read began, and the write counter at that time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Began {
    at: Instant,
    writes: u64,
}

/// What happened while a caller waited for its turn to read.
#[derive(Debug)]
pub(super) enum Meanwhile {
    /// Another caller has read the store; `None` if there is no record.
    Read(Option<Arc<Progress>>),
    Failed,
    Nothing,
}

impl State {
    fn fresh(&self, asked: Instant, freshness: Duration) -> Option<Arc<Progress>> {
        let known = self.known.as_ref()?;
        // A call that began after the request answers it, whatever the freshness.
        let is_fresh = known.since >= asked || asked.duration_since(known.since) < freshness;
        is_fresh.then(|| Arc::clone(&known.progress))
    }
}

impl Slot {
    pub(super) fn new() -> Self {
        Self {
            reading: tokio::sync::Mutex::default(),
            state: Mutex::default(),
            news: watch::Sender::new(News::Unknown(0)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change below is complete before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn ask(&self) -> Asked {
        Asked { at: Instant::now(), negative_reads: self.state().negative_reads.0 }
    }

    /// Returns the cached record if it is fresh enough for the request.
    pub(super) fn fresh(&self, asked: Asked, freshness: Duration) -> Option<Arc<Progress>> {
        self.state().fresh(asked.at, freshness)
    }

    pub(super) fn is_fresh(&self, now: Instant, freshness: Duration) -> bool {
        self.state().fresh(now, freshness).is_some()
    }

    /// When to read the store again for the watchers; `None` if it was never read.
    pub(super) fn due_at(&self, freshness: Duration) -> Option<Instant> {
        let state = self.state();
        let since = state.known.as_ref().map(|known| known.since);
        since.max(state.last_asked).map(|asked| asked + freshness)
    }

    /// Result for a caller that waited for another caller's read (single-flight).
    pub(super) fn meanwhile(&self, asked: Asked, freshness: Duration) -> Meanwhile {
        let state = self.state();
        match (state.fresh(asked.at, freshness), state.negative_reads) {
            (Some(fresh), _) => Meanwhile::Read(Some(fresh)),
            (None, (reads, _)) if reads == asked.negative_reads => Meanwhile::Nothing,
            (None, (_, NegativeRead::Nothing)) => Meanwhile::Read(None),
            (None, (_, NegativeRead::Failure)) => Meanwhile::Failed,
        }
    }

    pub(super) fn begin(&self) -> Began {
        let mut state = self.state();
        let at = Instant::now();
        state.last_asked = Some(at);
        Began { at, writes: state.writes }
    }

    /// Records the result of a read and returns the newest known record. Returns `None` if the read
    /// must be repeated because of a concurrent write.
    pub(super) fn learn_read(
        &self,
        found: Option<Arc<Progress>>,
        began: Began,
    ) -> Option<Option<Arc<Progress>>> {
        let mut state = self.state();
        if state.writes != began.writes {
            return None;
        }
        let Some(found) = found else {
            if let Some(known) = state.known.as_ref().filter(|known| known.learned > began.at) {
                // The record was created after this read saw none.
                return Some(Some(Arc::clone(&known.progress)));
            }
            state.negative_reads = (state.negative_reads.0 + 1, NegativeRead::Nothing);
            state.known = None;
            self.tell(News::Nothing);
            return Some(None);
        };
        let newest = self.keep(state, found, began.at);
        Some(Some(newest))
    }

    pub(super) fn learn_failure(&self, began: Began) {
        let mut state = self.state();
        if state.writes == began.writes {
            state.negative_reads = (state.negative_reads.0 + 1, NegativeRead::Failure);
        }
    }

    pub(super) fn learn_write(&self, written: &Progress, began: Instant) {
        let state = self.state();
        self.keep(state, Arc::new(written.clone()), began);
    }

    /// Caches the newer of the cached and the found record, and returns it.
    fn keep(
        &self,
        mut state: MutexGuard<'_, State>,
        found: Arc<Progress>,
        began: Instant,
    ) -> Arc<Progress> {
        let version = |progress: &Progress| (progress.created_at, progress.version);
        let mut since = began;
        if let Some(known) = &state.known {
            let (old, new) = (version(&known.progress), version(&found));
            // A record cached during this call may be newer than its result. Records of the same
            // version differ only in their heartbeat.
            if (old > new && known.learned > began) || (old == new && known.since > began) {
                return Arc::clone(&known.progress);
            }
            since = since.max(known.since);
        }
        state.known =
            Some(CachedValue { progress: Arc::clone(&found), since, learned: Instant::now() });
        self.tell(News::of(Some(&found)));
        found
    }

    /// Called under the lock of the state, so that the last notification matches the last state.
    fn tell(&self, news: News) {
        self.news.send_if_modified(|known| std::mem::replace(known, news) != news);
    }

    /// Invalidates the entry after a write with an unknown outcome.
    pub(super) fn forget(&self) {
        let mut state = self.state();
        state.known = None;
        state.writes += 1;
        self.tell(News::Unknown(state.writes));
    }

    pub(super) fn is_watched(&self) -> bool {
        self.news.receiver_count() > 0
    }
}
