use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::Progress;

/// What is remembered of one record.
#[derive(Debug)]
pub(super) struct Slot {
    /// Held by the one who reads.
    pub(super) reading: tokio::sync::Mutex<()>,
    state: Mutex<State>,
    /// What those who watch are told.
    pub(super) news: watch::Sender<News>,
}

/// What is to be said of a record: when it changes, those who watch look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// Nobody here knows, since so many writes.
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
    known: Option<Known>,
    /// When somebody last asked the store.
    last_asked: Option<Instant>,
    /// How often something was written of which a read that is under way may know nothing.
    writes: u64,
    /// How many reads have ended without a record, and how the last of them did.
    barren: (u64, Barren),
}

/// The newest that is known of a record.
#[derive(Debug)]
struct Known {
    progress: Arc<Progress>,
    /// When the call began that it is the answer to.
    since: Instant,
    /// When that answer came.
    learned: Instant,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Barren {
    #[default]
    Nothing,
    Failure,
}

/// Somebody wants to know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    at: Instant,
    barren: u64,
}

/// When a read began, in time and among the writes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Began {
    at: Instant,
    writes: u64,
}

/// What happened while somebody waited for its turn to read.
#[derive(Debug)]
pub(super) enum Meanwhile {
    /// Another read; there may have been no record.
    Read(Option<Arc<Progress>>),
    Failed,
    Nothing,
}

impl State {
    fn fresh(&self, asked: Instant, freshness: Duration) -> Option<Arc<Progress>> {
        let known = self.known.as_ref()?;
        // A call that began after the question answers it, however fresh it has to be.
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
        Asked { at: Instant::now(), barren: self.state().barren.0 }
    }

    /// The record, if what is known of it answers the question.
    pub(super) fn fresh(&self, asked: Asked, freshness: Duration) -> Option<Arc<Progress>> {
        self.state().fresh(asked.at, freshness)
    }

    pub(super) fn is_fresh(&self, now: Instant, freshness: Duration) -> bool {
        self.state().fresh(now, freshness).is_some()
    }

    /// When the store is to be asked again for those who watch; `None` when it has not been asked yet.
    pub(super) fn due_at(&self, freshness: Duration) -> Option<Instant> {
        let state = self.state();
        let since = state.known.as_ref().map(|known| known.since);
        since.max(state.last_asked).map(|asked| asked + freshness)
    }

    /// What those who waited since they asked are told without a read of their own.
    pub(super) fn meanwhile(&self, asked: Asked, freshness: Duration) -> Meanwhile {
        let state = self.state();
        match (state.fresh(asked.at, freshness), state.barren) {
            (Some(fresh), _) => Meanwhile::Read(Some(fresh)),
            (None, (reads, _)) if reads == asked.barren => Meanwhile::Nothing,
            (None, (_, Barren::Nothing)) => Meanwhile::Read(None),
            (None, (_, Barren::Failure)) => Meanwhile::Failed,
        }
    }

    pub(super) fn begin(&self) -> Began {
        let mut state = self.state();
        let at = Instant::now();
        state.last_asked = Some(at);
        Began { at, writes: state.writes }
    }

    /// What is known after a read that found this; `None` when something was written meanwhile and the read must be made
    /// again.
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
                // Made after this read had looked.
                return Some(Some(Arc::clone(&known.progress)));
            }
            state.barren = (state.barren.0 + 1, Barren::Nothing);
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
            state.barren = (state.barren.0 + 1, Barren::Failure);
        }
    }

    pub(super) fn learn_write(&self, written: &Progress, began: Instant) {
        let state = self.state();
        self.keep(state, Arc::new(written.clone()), began);
    }

    /// Keeps the newer of what is known and what was found.
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
            // What was learned while this call was under way may be ahead of its answer. Within one version only the
            // signs of life differ.
            if (old > new && known.learned > began) || (old == new && known.since > began) {
                return Arc::clone(&known.progress);
            }
            since = since.max(known.since);
        }
        state.known = Some(Known { progress: Arc::clone(&found), since, learned: Instant::now() });
        self.tell(News::of(Some(&found)));
        found
    }

    /// Under the lock of the state, so that what is said last is what was learned last.
    fn tell(&self, news: News) {
        self.news.send_if_modified(|known| std::mem::replace(known, news) != news);
    }

    /// Something was written, and nobody here knows what came of it.
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
