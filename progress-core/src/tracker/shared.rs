//! What a worker and the flush loop share about one job.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::hub::Hub;
use super::{Outcome, Stopped, WORKER_STOPPED};
use crate::{Completion, Delta, NewEntry, ProgressId, ProgressUpdate, TotalChange, limits};

/// Entries that wait for the next flush. What comes on top pushes the oldest out, and the log says how many.
const ENTRY_BUFFER: usize = 1_000;

/// Milliseconds for which a worker may keep its thread between two checkpoints.
const TURN: u64 = 10;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) id: ProgressId,
    /// Counts since the last flush took them.
    succeeded: AtomicU64,
    failed: AtomicU64,
    pending: Mutex<Pending>,
    stopped: watch::Sender<Option<Stopped>>,
    /// Whether the job goes on without this worker: others may work on it, and the counts decide when it is complete.
    goes_on: bool,
    begun: Instant,
    /// Milliseconds from `begun` to when the worker last gave way to others.
    gave_way: AtomicU64,
    /// Keeps the loop's queue alive, and is rung when an ending waits.
    hub: Arc<Hub>,
}

#[derive(Debug, Default)]
struct Pending {
    delta: Delta,
    ending: Option<Ending>,
    outcome: Option<Outcome>,
}

/// How the worker left, remembered until the store has it.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) kind: EndingKind,
    /// Who waits to hear of it; nobody, after a drop.
    pub(super) reply: Option<oneshot::Sender<Outcome>>,
}

#[derive(Debug, Clone)]
pub(super) enum EndingKind {
    Complete(Completion),
    Fail(String),
    Cancel,
    /// This worker is done, the job ends when the counts say so.
    Leave,
}

impl EndingKind {
    pub(super) fn update(self, delta: Delta) -> ProgressUpdate {
        match self {
            Self::Complete(completion) => ProgressUpdate::complete(delta, completion),
            Self::Fail(error) => ProgressUpdate::fail(delta, error),
            Self::Cancel => ProgressUpdate::cancel(delta),
            Self::Leave => ProgressUpdate::advance(delta),
        }
    }
}

impl Shared {
    pub(super) fn new(id: ProgressId, hub: Arc<Hub>, goes_on: bool) -> Self {
        Self {
            id,
            succeeded: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            pending: Mutex::default(),
            stopped: watch::Sender::new(None),
            goes_on,
            begun: Instant::now(),
            gave_way: AtomicU64::new(0),
            hub,
        }
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        // Nothing panics between two changes that belong together, so a poisoned lock guards sound data.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // Relaxed is enough: the counts order nothing else, and whoever must see the last of them has locked `pending`
    // after their writer did (see `end`).
    pub(super) fn add_succeeded(&self, items: u64) {
        self.succeeded.fetch_add(limits::count(items), Ordering::Relaxed);
    }

    pub(super) fn add_failed(&self, items: u64) {
        self.failed.fetch_add(limits::count(items), Ordering::Relaxed);
    }

    pub(super) fn set_message(&self, message: String) {
        let message = limits::text(message, limits::MAX_MESSAGE);
        self.pending().delta.message = Some(message);
    }

    pub(super) fn change_total(&self, change: TotalChange) {
        let mut pending = self.pending();
        pending.delta.total = pending.delta.total.then(change);
    }

    pub(super) fn push_entry(&self, entry: NewEntry) {
        let mut pending = self.pending();
        let delta = &mut pending.delta;
        if delta.entries.len() == ENTRY_BUFFER {
            // A tenth at a time, so that a flood does not move the whole buffer for each entry.
            let surplus = ENTRY_BUFFER / 10;
            delta.entries.drain(..surplus);
            delta.dropped_entries += surplus as u64;
        }
        delta.entries.push(entry);
    }

    /// Takes everything reported since the last time.
    pub(super) fn take(&self) -> Delta {
        let mut delta = std::mem::take(&mut self.pending().delta);
        delta.succeeded = limits::count(self.succeeded.swap(0, Ordering::Relaxed));
        delta.failed = limits::count(self.failed.swap(0, Ordering::Relaxed));
        delta
    }

    /// Remembers the ending and wakes the loop. The first ending stays; one that comes after the outcome is known gets
    /// it at once.
    pub(super) fn end(&self, ending: Ending) {
        let mut pending = self.pending();
        match (&pending.outcome, &pending.ending) {
            (Some(outcome), _) => {
                if let Some(reply) = ending.reply {
                    // A receiver that no longer listens has lost interest, which is its right.
                    let _ = reply.send(outcome.clone());
                }
            }
            (None, None) => {
                pending.ending = Some(ending);
                drop(pending);
                self.hub.ring();
            }
            (None, Some(_)) => {}
        }
    }

    /// The ending of a worker that left without one; an ending that is known stays.
    pub(super) fn end_unfinished(&self) {
        let kind = if self.goes_on {
            EndingKind::Leave
        } else {
            EndingKind::Fail(WORKER_STOPPED.to_owned())
        };
        self.end(Ending { kind, reply: None });
    }

    /// Whether the worker has kept its thread for so long that others wait; asked with the intention to give way.
    pub(super) fn is_time_to_give_way(&self) -> bool {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let is_time = now - self.gave_way.load(Ordering::Relaxed).min(now) >= TURN;
        if is_time {
            self.gave_way.store(now, Ordering::Relaxed);
        }
        is_time
    }

    pub(super) fn ending(&self) -> Option<EndingKind> {
        self.pending().ending.as_ref().map(|ending| ending.kind.clone())
    }

    /// Closes the book: no flush follows, whoever waits is told.
    pub(super) fn close(&self, outcome: Outcome) {
        let stopped = match &outcome {
            Outcome::Ended(progress) if progress.status.is_active() => None,
            Outcome::Ended(progress) => Some(Stopped::Ended(progress.status)),
            Outcome::Refused(status) => Some(Stopped::Ended(*status)),
            Outcome::Deleted => Some(Stopped::Deleted),
            // The store is broken for good; the job itself is not, and may go on unwatched.
            Outcome::Left | Outcome::Broken => None,
        };
        if stopped.is_some() {
            self.stopped.send_replace(stopped);
        }
        let mut pending = self.pending();
        let reply = pending.ending.take().and_then(|ending| ending.reply);
        pending.outcome = Some(outcome.clone());
        drop(pending);
        if let Some(reply) = reply {
            let _ = reply.send(outcome);
        }
    }

    pub(super) fn request_cancel(&self) {
        self.stopped.send_if_modified(|stopped| {
            let first = stopped.is_none();
            stopped.get_or_insert(Stopped::CancelRequested);
            first
        });
    }

    pub(super) fn stopped(&self) -> Option<Stopped> {
        *self.stopped.borrow()
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Option<Stopped>> {
        self.stopped.subscribe()
    }
}
