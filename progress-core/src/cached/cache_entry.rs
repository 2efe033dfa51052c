use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::Instant;

use super::snapshot::Snapshot;
use crate::Progress;

/// The cache entry of one record.
#[derive(Debug)]
pub(super) struct CacheEntry {
    /// Whether a caller reads the store (single-flight). Not a lock that callers wait for: it would
    /// wake them one after the other, each only when the one before it has run.
    is_being_read: AtomicBool,
    /// Wakes all callers that wait for the reader.
    read_ended: Notify,
    state: Mutex<EntryState>,
    /// The number of watches.
    watches: AtomicUsize,
    /// Wakes all watches when the revision changes. Not a channel of tokio, which takes 400 bytes.
    changed: Notify,
}

/// The permission to read the store.
pub(super) struct ReadGuard<'a>(&'a CacheEntry);

impl Drop for ReadGuard<'_> {
    fn drop(&mut self) {
        self.0.is_being_read.store(false, Ordering::Release);
        // Afterwards, because one of them may become the next reader.
        self.0.read_ended.notify_waiters();
    }
}

/// What watchers compare: when this value changes, they read the record again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Revision {
    /// The entry was invalidated. The number of writes makes each invalidation a change.
    Invalidated(u64),
    Missing,
    Version(DateTime<Utc>, u64),
}

impl Default for Revision {
    fn default() -> Self {
        Self::Invalidated(0)
    }
}

impl Revision {
    pub(super) fn of(found: Option<&Progress>) -> Self {
        found.map_or(Self::Missing, |record| Self::Version(record.created_at, record.version))
    }
}

#[derive(Debug, Default)]
struct EntryState {
    cached: Option<CachedValue>,
    revision: Revision,
    /// When the last read of the store began.
    last_read: Option<Instant>,
    /// Write counter. A read during which it changed is stale and must be repeated.
    writes: u64,
    /// How many reads ended without a record, and why the last of them did.
    negative_reads: (u64, NegativeRead),
    /// Why the store may have a newer version, and since when.
    doubt: Option<(Doubt, Instant)>,
}

/// Why the store may have a newer version than the cache.
#[derive(Debug, Clone, Copy)]
enum Doubt {
    /// A read has not succeeded yet, or a hint did not say which records have changed.
    Possible,
    /// A hint says that the record has at least this version.
    Hinted(u64),
}

/// The newest known version of a record.
#[derive(Debug)]
struct CachedValue {
    record: Arc<Snapshot>,
    /// When the call that returned it began.
    call_began: Instant,
    /// When that call returned.
    call_returned: Instant,
}

/// Why a read ended without a record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum NegativeRead {
    /// There is no such record.
    #[default]
    Missing,
    Failure,
}

/// When a read was requested, and how many reads had ended without a record by then.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReadRequest {
    at: Instant,
    negative_reads: u64,
}

/// When a read began, and the write counter at that time.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReadToken {
    at: Instant,
    writes: u64,
}

/// What happened while a caller waited for the read lock.
#[derive(Debug)]
pub(super) enum WaitOutcome {
    /// Another caller has read the store; `None` if there is no record.
    Read(Option<Arc<Snapshot>>),
    /// Another caller has tried and failed.
    Failed,
    /// No other caller has read the store.
    NotRead,
}

impl EntryState {
    fn has_version(&self, version: u64) -> bool {
        self.cached.as_ref().is_some_and(|cached| cached.record.version >= version)
    }

    fn fresh(&self, requested: Instant, freshness: Duration) -> Option<Arc<Snapshot>> {
        let cached = self.cached.as_ref()?;
        // A call that began after the request answers it, whatever the freshness.
        let is_fresh = cached.call_began >= requested
            || requested.duration_since(cached.call_began) < freshness;
        is_fresh.then(|| Arc::clone(&cached.record))
    }
}

impl CacheEntry {
    pub(super) fn new() -> Self {
        Self {
            is_being_read: AtomicBool::new(false),
            read_ended: Notify::new(),
            state: Mutex::default(),
            watches: AtomicUsize::new(0),
            changed: Notify::new(),
        }
    }

    /// Waits until this caller may read the store.
    pub(super) async fn lock(&self) -> ReadGuard<'_> {
        loop {
            if let Some(guard) = self.lock_or_wait().await {
                return guard;
            }
        }
    }

    /// Returns at once if this caller may read the store. Otherwise waits until the reader has
    /// ended, and returns `None`.
    pub(super) async fn lock_or_wait(&self) -> Option<ReadGuard<'_>> {
        let mut ended = std::pin::pin!(self.read_ended.notified());
        // From now on, no end is missed.
        ended.as_mut().enable();
        if !self.is_being_read.swap(true, Ordering::Acquire) {
            return Some(ReadGuard(self));
        }
        ended.await;
        None
    }

    fn state(&self) -> MutexGuard<'_, EntryState> {
        // Every change below is complete before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn read_request(&self) -> ReadRequest {
        ReadRequest { at: Instant::now(), negative_reads: self.state().negative_reads.0 }
    }

    /// Returns the cached record if it is fresh enough for the request.
    pub(super) fn fresh(&self, request: ReadRequest, freshness: Duration) -> Option<Arc<Snapshot>> {
        self.state().fresh(request.at, freshness)
    }

    /// Returns the cached record if it is fresh at this time.
    pub(super) fn fresh_at(&self, now: Instant, freshness: Duration) -> Option<Arc<Snapshot>> {
        self.state().fresh(now, freshness)
    }

    /// When to read the store again for the watchers; `None` if it was never read. Without a doubt,
    /// this is after the interval.
    pub(super) fn due_at(&self, freshness: Duration, interval: Duration) -> Option<Instant> {
        let state = self.state();
        let call_began = state.cached.as_ref().map(|cached| cached.call_began);
        let began = call_began.max(state.last_read)?;
        Some(match state.doubt {
            Some((Doubt::Hinted(version), _)) if !state.has_version(version) => began,
            Some((Doubt::Possible, _)) => began + freshness,
            Some((Doubt::Hinted(_), _)) | None => began + interval,
        })
    }

    /// Notes the hint that the record has at least this version.
    pub(super) fn hint_version(&self, version: u64) {
        let mut state = self.state();
        if !state.has_version(version) {
            state.doubt = Some((Doubt::Hinted(version), Instant::now()));
        }
    }

    /// Notes the hint that any record may have changed.
    pub(super) fn hint_any(&self) {
        let mut state = self.state();
        let doubt = state.doubt.map_or(Doubt::Possible, |(doubt, _)| doubt);
        state.doubt = Some((doubt, Instant::now()));
    }

    /// Result for a caller that waited for another caller's read (single-flight).
    pub(super) fn wait_outcome(&self, request: ReadRequest, freshness: Duration) -> WaitOutcome {
        let state = self.state();
        match (state.fresh(request.at, freshness), state.negative_reads) {
            (Some(fresh), _) => WaitOutcome::Read(Some(fresh)),
            (None, (reads, _)) if reads == request.negative_reads => WaitOutcome::NotRead,
            (None, (_, NegativeRead::Missing)) => WaitOutcome::Read(None),
            (None, (_, NegativeRead::Failure)) => WaitOutcome::Failed,
        }
    }

    pub(super) fn begin_read(&self) -> ReadToken {
        let mut state = self.state();
        let at = Instant::now();
        state.last_read = Some(at);
        // Until the read has succeeded. A hint stays, because this read may be dropped: the next
        // watch then reads at once.
        state.doubt.get_or_insert((Doubt::Possible, at));
        ReadToken { at, writes: state.writes }
    }

    /// Records the result of a read and returns the newest known record. Returns `None` if the read
    /// must be repeated because of a concurrent write.
    pub(super) fn record_read(
        &self,
        found: Option<Arc<Snapshot>>,
        token: ReadToken,
    ) -> Option<Option<Arc<Snapshot>>> {
        let mut state = self.state();
        if state.writes != token.writes {
            return None;
        }
        // A later hint may be about a later change.
        state.doubt.take_if(|(_, since)| *since <= token.at);
        let Some(found) = found else {
            if let Some(cached) =
                state.cached.as_ref().filter(|cached| cached.call_returned > token.at)
            {
                // The record was created after this read saw none.
                return Some(Some(Arc::clone(&cached.record)));
            }
            state.negative_reads = (state.negative_reads.0 + 1, NegativeRead::Missing);
            state.cached = None;
            self.publish(state, Revision::Missing);
            return Some(None);
        };
        let newest = self.keep_newer(state, found, token.at);
        Some(Some(newest))
    }

    pub(super) fn record_failure(&self, token: ReadToken) {
        let mut state = self.state();
        if state.writes == token.writes {
            state.negative_reads = (state.negative_reads.0 + 1, NegativeRead::Failure);
        }
        // Not at once again.
        state.doubt = Some((Doubt::Possible, Instant::now()));
    }

    pub(super) fn record_write(&self, written: &Progress, began: Instant) {
        let state = self.state();
        self.keep_newer(state, Arc::new(Snapshot::new(written.clone())), began);
    }

    /// Caches the newer of the cached and the found record, and returns it.
    fn keep_newer(
        &self,
        mut state: MutexGuard<'_, EntryState>,
        found: Arc<Snapshot>,
        began: Instant,
    ) -> Arc<Snapshot> {
        let version = |progress: &Progress| (progress.created_at, progress.version);
        let mut call_began = began;
        if let Some(cached) = &state.cached {
            let (old, new) = (version(&cached.record), version(&found));
            // A record cached during this call may be newer than its result. Records of the same
            // version differ only in their heartbeat.
            if (old > new && cached.call_returned > began)
                || (old == new && cached.call_began > began)
            {
                return Arc::clone(&cached.record);
            }
            call_began = call_began.max(cached.call_began);
        }
        state.cached = Some(CachedValue {
            record: Arc::clone(&found),
            call_began,
            call_returned: Instant::now(),
        });
        self.publish(state, Revision::of(Some(&found)));
        found
    }

    /// Sets the revision, and wakes the watches if it has changed.
    fn publish(&self, mut state: MutexGuard<'_, EntryState>, revision: Revision) {
        let is_changed = std::mem::replace(&mut state.revision, revision) != revision;
        // Not under the lock, which each watch takes.
        drop(state);
        if is_changed {
            self.changed.notify_waiters();
        }
    }

    /// Invalidates the entry after a write with an unknown outcome.
    pub(super) fn invalidate(&self) {
        let mut state = self.state();
        state.cached = None;
        state.writes += 1;
        let revision = Revision::Invalidated(state.writes);
        self.publish(state, revision);
    }

    pub(super) fn revision(&self) -> Revision {
        self.state().revision
    }

    /// Completes when the revision has changed since this call.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    pub(super) fn add_watch(&self) {
        self.watches.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn remove_watch(&self) {
        self.watches.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn is_watched(&self) -> bool {
        self.watches.load(Ordering::Relaxed) > 0
    }
}
