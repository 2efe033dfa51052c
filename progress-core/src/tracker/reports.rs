//! The state of one job that its worker and the flush loop share.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Notify, oneshot};

use super::saves::{Base, Counts, Finished, Saves};
use super::start_record::StartRecord;
use super::{Outcome, Stopped};
use crate::flush::FlushLoop;
use crate::{
    Checkpoint, Completion, Delta, NewEntry, Progress, ProgressId, ProgressUpdate, TotalChange,
    WORKER_RESTARTED, limits,
};

/// How many entries are buffered until the next flush. Beyond that the oldest are dropped, and the
/// log says how many.
const ENTRY_BUFFER: usize = 1_000;

/// Set while no further message is wanted, because one was rendered since the last flush. It is a
/// bit of a counter, so that an item learns of it from the addition that counts the item: a flag of
/// its own costs half as much again. Counts stop at 2^53, far below it.
const RENDERED: u64 = 1 << 63;

/// Milliseconds for which a worker may keep its thread before a checkpoint yields.
const YIELD_INTERVAL: u32 = 10;

/// The reports of a worker that the flush loop has not taken yet, and the reason to stop, if any.
///
/// A process may run ten thousand jobs, so what few of them need is boxed. A test counts the bytes.
#[derive(Debug)]
pub(crate) struct Reports {
    pub(crate) id: ProgressId,
    /// The job's number in its flush loop. Its id is not enough, because a job may be tracked
    /// twice.
    pub(crate) key: u64,
    /// Counts since the last flush, in addition to those in `pending`. The highest bit of
    /// `succeeded` is [`RENDERED`].
    succeeded: AtomicU64,
    failed: AtomicU64,
    pending: Mutex<Pending>,
    /// Whether `pending` has a reason to stop. Spares checkpoints the lock.
    is_stopped: AtomicBool,
    /// Whether the worker has read a reason to stop.
    has_read_stop: AtomicBool,
    /// What the worker knows of the record with which it started.
    start: OnceLock<StartRecord>,
    /// The number of the last checkpoint that the store has; `u64::MAX` after the end.
    stored_save: AtomicU64,
    /// Notified when there is a reason to stop, and when `stored_save` grows. Most workers never
    /// wait for either.
    news: OnceLock<Box<Notify>>,
    /// When the worker last yielded, in milliseconds of the flush loop's clock, which wrap around.
    last_yield: AtomicU32,
    flush: Arc<FlushLoop>,
}

#[derive(Debug, Default)]
struct Pending {
    /// `None` while there are only counts and a message.
    delta: Option<Box<Delta>>,
    /// Not in `delta`, because each further indirection costs an item a fifth of its time.
    message: Option<String>,
    /// Items that were counted together with a message.
    counted: u64,
    /// The index of the current stage; 0 for a job without stages.
    stage: u8,
    /// Only of a job with attempts.
    saves: Option<Box<Saves>>,
    stopped: Option<Stopped>,
    ending: Ending,
}

impl Pending {
    /// Replaces the message in its buffer. [`Reports::take`] does the rest, once per flush.
    fn set_message(&mut self, message: &str) {
        let buffer = self.message.get_or_insert_default();
        limits::cut_into(buffer, message, limits::MAX_MESSAGE);
    }

    fn delta(&mut self) -> &mut Delta {
        self.delta.get_or_insert_default()
    }
}

/// How the worker left the job; kept until the store has it.
#[derive(Debug, Default)]
enum Ending {
    #[default]
    None,
    /// Requested, and not sent yet.
    Requested(Box<(EndingKind, Option<oneshot::Sender<Outcome>>)>),
    /// Sent by the flush loop.
    Sent(Option<oneshot::Sender<Outcome>>),
    /// The job has left the flush loop.
    Closed(Outcome),
}

/// The ways in which a worker leaves its job.
#[derive(Debug)]
pub(crate) enum EndingKind {
    Complete(Completion),
    Fail(String),
    Release(String, Option<Duration>),
    Cancel,
    Abandon,
}

impl EndingKind {
    fn update(self, delta: Delta) -> ProgressUpdate {
        match self {
            Self::Complete(completion) => ProgressUpdate::complete(delta, completion),
            Self::Fail(error) => ProgressUpdate::fail(delta, error),
            Self::Release(error, delay) => ProgressUpdate::release(delta, error, delay),
            Self::Cancel => ProgressUpdate::cancel(delta),
            Self::Abandon => ProgressUpdate::abandon(delta),
        }
    }
}

/// Returns the index of a stage in a byte. A job has at most [`limits::MAX_STAGES`].
fn short(stage: usize) -> u8 {
    u8::try_from(stage).unwrap_or(u8::MAX)
}

impl Reports {
    pub(crate) fn new(id: ProgressId, flush: Arc<FlushLoop>) -> Self {
        Self {
            id,
            key: flush.next_key(),
            succeeded: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            pending: Mutex::default(),
            is_stopped: AtomicBool::new(false),
            has_read_stop: AtomicBool::new(false),
            start: OnceLock::new(),
            stored_save: AtomicU64::new(0),
            news: OnceLock::new(),
            last_yield: AtomicU32::new(flush.millis()),
            flush,
        }
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        // No code panics between related changes, so the data behind a poisoned lock is consistent.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add_succeeded(&self, items: u64) {
        self.succeeded.fetch_add(limits::count(items), Ordering::Relaxed);
    }

    pub(super) fn add_failed(&self, items: u64) {
        self.failed.fetch_add(limits::count(items), Ordering::Relaxed);
    }

    pub(super) fn set_message(&self, message: &str) {
        self.pending().set_message(message);
    }

    /// Counts a succeeded item together with its message. The lock is needed anyway, so the count
    /// needs no atomic addition.
    pub(super) fn item_done(&self, message: &str) {
        let mut pending = self.pending();
        pending.set_message(message);
        pending.counted = limits::sum(pending.counted, 1);
    }

    /// Counts a succeeded item. Returns whether its message should be rendered, because none was
    /// since the last flush.
    #[inline]
    pub(super) fn count_and_take_request(&self) -> bool {
        let before = self.succeeded.fetch_add(1, Ordering::Relaxed);
        before & RENDERED == 0 && self.reset_message_request()
    }

    /// Whether a message should be rendered. Resets the request.
    #[inline]
    pub(super) fn take_message_request(&self) -> bool {
        self.succeeded.load(Ordering::Relaxed) & RENDERED == 0 && self.reset_message_request()
    }

    /// Not part of its callers, which are inlined: it runs four times a second.
    #[cold]
    fn reset_message_request(&self) -> bool {
        self.succeeded.fetch_or(RENDERED, Ordering::Relaxed) & RENDERED == 0
    }

    /// Makes the worker render its next message.
    pub(crate) fn request_message(&self) {
        self.succeeded.fetch_and(!RENDERED, Ordering::Relaxed);
    }

    /// Takes the counts since the last flush, and asks for the next message.
    fn take_counts(&self, pending: &mut Pending) -> (u64, u64) {
        let succeeded = self.succeeded.swap(0, Ordering::Relaxed) & !RENDERED;
        let failed = self.failed.swap(0, Ordering::Relaxed);
        let counted = std::mem::take(&mut pending.counted);
        (limits::sum(limits::count(succeeded), counted), limits::count(failed))
    }

    pub(super) fn change_total(&self, change: TotalChange) {
        let mut pending = self.pending();
        let delta = pending.delta();
        delta.total = delta.total.then(change);
    }

    pub(super) fn item_failed(&self, entry: NewEntry) {
        let mut pending = self.pending();
        let delta = pending.delta();
        Self::push(delta, entry);
        delta.failed = limits::sum(delta.failed, 1);
    }

    pub(super) fn push_entry(&self, entry: NewEntry) {
        Self::push(self.pending().delta(), entry);
    }

    fn push(delta: &mut Delta, entry: NewEntry) {
        if delta.entries.len() == ENTRY_BUFFER {
            // Drops a tenth at a time, so that a flood does not move the whole buffer for each
            // entry.
            let surplus = ENTRY_BUFFER / 10;
            delta.entries.drain(..surplus);
            delta.dropped_entries += surplus as u64;
        }
        delta.entries.push(entry);
    }

    /// Records the start, and the record that it returned.
    pub(crate) fn started(&self, record: Progress) {
        let mut pending = self.pending();
        pending.stage = short(record.current_stage());
        let Progress { succeeded, failed, total, .. } = record;
        let base = Base { succeeded, failed, total };
        let saves = record.max_attempts.map(|_| Box::new(Saves { base, ..Saves::default() }));
        pending.saves = saves;
        drop(pending);
        // There is one start.
        let _ = self.start.set(StartRecord::new(record));
    }

    /// Returns what is known of the start. A tracker exists only after the start.
    pub(super) fn start(&self) -> Option<&StartRecord> {
        self.start.get()
    }

    /// Whether the job may run more than once.
    pub(super) fn has_attempts(&self) -> bool {
        self.start().is_some_and(|start| start.has_attempts)
    }

    /// Returns the index of the current stage; 0 for a job without stages.
    pub(super) fn stage(&self) -> usize {
        self.pending().stage.into()
    }

    /// Begins a stage. Everything that was reported before belongs to the stages before.
    pub(super) fn begin_stage(&self, stage: usize) {
        let mut pending = self.pending();
        if stage <= pending.stage.into() {
            // Another clone of the handle was first.
            return;
        }
        let (succeeded, failed) = self.take_counts(&mut pending);
        pending.message = None;
        let delta = pending.delta();
        delta.succeeded = limits::sum(delta.succeeded, succeeded);
        delta.failed = limits::sum(delta.failed, failed);
        delta.begin_stage(stage);
        pending.stage = short(stage);
        if let Some(saves) = &mut pending.saves {
            saves.base = Base::default();
            saves.taken = Counts::default();
        }
    }

    /// Saves a checkpoint and returns its number. Its counts are those of this attempt and stage
    /// that are given, or everything that was reported before this call.
    pub(super) fn save(&self, cursor: Value, given: Option<Finished>) -> u64 {
        let mut pending = self.pending();
        let Pending { delta, counted, stage, saves: Some(saves), .. } = &mut *pending else {
            // Unreachable: a job without attempts has no cursor.
            return 0;
        };
        if given.is_some_and(|given| given.stage != usize::from(*stage)) {
            // The next stage has begun, which says more than this cursor.
            return saves.last;
        }
        let delta = delta.get_or_insert_default();
        let counts = Counts {
            succeeded: limits::sum(*counted, self.succeeded.load(Ordering::Relaxed) & !RENDERED),
            failed: limits::sum(delta.failed, self.failed.load(Ordering::Relaxed)),
            total: delta.total,
        };
        let mut counts = saves.taken.and(counts);
        if let Some(given) = given {
            (counts.succeeded, counts.failed) = (given.succeeded, given.failed);
        }
        let base = saves.base;
        let checkpoint = Checkpoint {
            stage: usize::from(*stage),
            cursor: Some(cursor),
            succeeded: limits::sum(base.succeeded, counts.succeeded),
            failed: limits::sum(base.failed, counts.failed),
            total: counts.total.applied_to(base.total),
        };
        delta.checkpoint = Some(Box::new(checkpoint));
        saves.last += 1;
        saves.last
    }

    /// Waits until the store has the checkpoint `save`. Returns false if the job ended before.
    pub(super) async fn stored(&self, save: u64) -> bool {
        if let Some(saves) = &mut self.pending().saves {
            saves.is_urgent = true;
        }
        self.flush.prioritize(self.key);
        let stored = || Some(self.stored_save.load(Ordering::Acquire)).filter(|last| *last >= save);
        self.wait_for(stored).await != u64::MAX
    }

    /// Waits for news until `check` returns something.
    async fn wait_for<T>(&self, check: impl Fn() -> Option<T>) -> T {
        let news = self.news.get_or_init(Box::default);
        // With the fence in `notify`: either `check` sees what changed, or `notify` sees `news`.
        fence(Ordering::SeqCst);
        loop {
            // Created before the check, so that no news comes in between unnoticed.
            let next = news.notified();
            match check() {
                Some(found) => return found,
                None => next.await,
            }
        }
    }

    /// Wakes the waiting worker, after a change of what it waits for.
    fn notify(&self) {
        fence(Ordering::SeqCst);
        if let Some(news) = self.news.get() {
            news.notify_waiters();
        }
    }

    /// Whether the next flush must not wait for its interval. Resets the request.
    pub(crate) fn take_urgent_save(&self) -> bool {
        let mut pending = self.pending();
        pending.saves.as_mut().is_some_and(|saves| std::mem::take(&mut saves.is_urgent))
    }

    /// Follows an update of this worker that the store has accepted.
    pub(crate) fn accepted(
        &self,
        update: &ProgressUpdate,
        progress: &Progress,
        is_repetition: bool,
    ) {
        self.flush.accepted(update, progress, is_repetition);
    }

    /// Records that the store has everything that the flush loop has taken.
    pub(crate) fn note_stored(&self) {
        let save = self.pending().saves.as_ref().map_or(0, |saves| saves.taken_save);
        self.set_stored_save(save);
    }

    fn set_stored_save(&self, save: u64) {
        if self.stored_save.fetch_max(save, Ordering::AcqRel) < save {
            self.notify();
        }
    }

    /// Takes everything that was reported since the last call, in one moment: a total that was
    /// announced before items were counted is in the same delta as those counts, or in an earlier
    /// one; and the counts of a checkpoint are never ahead of those of its delta.
    pub(crate) fn take(&self) -> Delta {
        let mut pending = self.pending();
        let (succeeded, failed) = self.take_counts(&mut pending);
        let mut delta = pending.delta.take().map(|delta| *delta).unwrap_or_default();
        let message = pending.message.take();
        delta.message = message.map(|message| limits::text(message, limits::MAX_MESSAGE));
        delta.succeeded = limits::sum(delta.succeeded, succeeded);
        delta.failed = limits::sum(delta.failed, failed);
        if let Some(saves) = &mut pending.saves {
            let Delta { succeeded, failed, total, .. } = delta;
            saves.taken = saves.taken.and(Counts { succeeded, failed, total });
            saves.taken_save = saves.last;
        }
        delta
    }

    /// Takes the ending with everything that was reported before it. Returns `None` if the worker
    /// has not left, or if the ending was already taken.
    pub(crate) fn take_ending(&self) -> Option<ProgressUpdate> {
        let kind = {
            let mut pending = self.pending();
            match std::mem::take(&mut pending.ending) {
                Ending::Requested(ending) => {
                    let (kind, reply) = *ending;
                    pending.ending = Ending::Sent(reply);
                    kind
                }
                other => {
                    pending.ending = other;
                    return None;
                }
            }
        };
        // Taken after the ending, because the worker requests its ending after its last report.
        Some(kind.update(self.take()))
    }

    /// Records the ending and wakes the loop. The first ending wins. If the outcome is already
    /// known, the caller gets it at once.
    pub(super) fn end(&self, kind: EndingKind, reply: Option<oneshot::Sender<Outcome>>) {
        let mut pending = self.pending();
        match &pending.ending {
            Ending::None => {
                pending.ending = Ending::Requested(Box::new((kind, reply)));
                drop(pending);
                self.flush.prioritize(self.key);
            }
            Ending::Requested(_) | Ending::Sent(_) => {}
            Ending::Closed(outcome) => {
                if let Some(reply) = reply {
                    // The caller may have dropped the receiver.
                    let _ = reply.send(outcome.clone());
                }
            }
        }
    }

    /// Records the ending of a worker that left without one. An earlier ending wins.
    pub(crate) fn abandon(&self) {
        self.end(EndingKind::Abandon, None);
    }

    /// Records the ending of a worker that was dropped, as by a runtime that shuts down.
    pub(crate) fn shut_down(&self) {
        if self.has_attempts() {
            self.end(EndingKind::Release(WORKER_RESTARTED.to_owned(), None), None);
        } else {
            self.abandon();
        }
    }

    /// Whether the worker has kept its thread for `YIELD_INTERVAL`. If so, restarts the time,
    /// because the caller then yields.
    pub(super) fn is_time_to_yield(&self) -> bool {
        let now = self.flush.millis();
        let kept = now.wrapping_sub(self.last_yield.load(Ordering::Relaxed));
        // Another thread may just have set a time that is a little later.
        let is_time = (YIELD_INTERVAL..u32::MAX / 2).contains(&kept);
        if is_time {
            self.last_yield.store(now, Ordering::Relaxed);
        }
        is_time
    }

    /// Marks the job as closed: no further flushes; resolves the pending ending.
    pub(crate) fn close(&self, outcome: Outcome) {
        let stopped = match &outcome {
            Outcome::Ended(progress) if progress.status.is_active() => None,
            Outcome::Ended(progress) => Some(Stopped::Ended(progress.status)),
            Outcome::Refused(status) if status.is_active() => Some(Stopped::Superseded),
            Outcome::Refused(status) => Some(Stopped::Ended(*status)),
            Outcome::Deleted => Some(Stopped::Deleted),
            // The store failed permanently. The job itself did not, and may go on without reports.
            Outcome::StoreFailed => None,
        };
        let mut pending = self.pending();
        if stopped.is_some() {
            pending.stopped = stopped;
            self.is_stopped.store(true, Ordering::Release);
        }
        let ending = std::mem::replace(&mut pending.ending, Ending::Closed(outcome.clone()));
        drop(pending);
        self.stored_save.store(u64::MAX, Ordering::Release);
        self.notify();
        let reply = match ending {
            Ending::None | Ending::Closed(_) => None,
            Ending::Requested(ending) => ending.1,
            Ending::Sent(reply) => reply,
        };
        if let Some(reply) = reply {
            let _ = reply.send(outcome);
        }
    }

    /// Sets the reason to stop if the record has one.
    pub(crate) fn update_stop_reason(&self, progress: &Progress) {
        // A running job has an error when another of its workers has failed.
        let reason = match (&progress.error, progress.cancel_requested) {
            (Some(_), _) => Stopped::OtherWorkerFailed,
            (None, true) => Stopped::CancelRequested,
            (None, false) => return,
        };
        let mut pending = self.pending();
        let is_first = pending.stopped.is_none();
        pending.stopped.get_or_insert(reason);
        drop(pending);
        if is_first {
            self.is_stopped.store(true, Ordering::Release);
            self.notify();
        }
    }

    /// Returns why the worker should stop, and notes that the worker has read it.
    pub(super) fn stopped(&self) -> Option<Stopped> {
        if !self.is_stopped.load(Ordering::Acquire) {
            return None;
        }
        self.has_read_stop.store(true, Ordering::Relaxed);
        self.pending().stopped
    }

    /// Waits until there is a reason to stop, and notes that the worker has read it.
    pub(super) async fn until_stopped(&self) -> Stopped {
        self.wait_for(|| self.stopped()).await
    }

    /// Returns the reason to stop, if the worker has read it.
    pub(crate) fn acknowledged_stop(&self) -> Option<Stopped> {
        if self.has_read_stop.load(Ordering::Relaxed) { self.pending().stopped } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flush::RunsOn;
    use crate::{CachedStore, MemoryStore};

    fn reports() -> Reports {
        let store = CachedStore::new(Arc::new(MemoryStore::new()));
        let flush = Arc::new(FlushLoop::new(store, RunsOn::Thread));
        Reports::new(ProgressId::new(), flush)
    }

    #[test]
    fn no_item_is_taken_before_the_total_that_announced_it() {
        const ITEMS: u64 = 200_000;
        let reports = Arc::new(reports());
        let worker = std::thread::spawn({
            let reports = Arc::clone(&reports);
            move || {
                for _ in 0..ITEMS {
                    reports.change_total(TotalChange::Add(1));
                    reports.add_succeeded(1);
                }
            }
        });
        let (mut announced, mut counted) = (Some(0), 0);
        while counted < ITEMS {
            let delta = reports.take();
            announced = delta.total.applied_to(announced);
            counted += delta.succeeded;
            assert!(Some(counted) <= announced, "{counted} of {announced:?}");
        }
        worker.join().unwrap();
    }

    #[test]
    fn a_message_is_cut_and_without_nul() {
        let reports = reports();
        for message in ["a\0b".to_owned(), "x".repeat(1_000), "é\0".repeat(1_000)] {
            reports.set_message(&message);
            let expected = Delta::new().with_message(message);
            assert_eq!(reports.take().message(), expected.message());
        }
    }

    #[test]
    fn an_ending_is_taken_once_and_with_all_that_was_reported_before() {
        let reports = reports();
        reports.add_succeeded(3);
        reports.end(EndingKind::Fail("first".to_owned()), None);
        reports.abandon();
        let update = reports.take_ending().unwrap();
        assert_eq!(update, ProgressUpdate::fail(Delta::new().with_succeeded(3), "first"));
        assert_eq!(reports.take_ending(), None);
    }
}
