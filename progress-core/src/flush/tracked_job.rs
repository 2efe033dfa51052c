//! One job in the flush loop: what to send next, and when.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use uuid::Uuid;

use super::runtime_guard::GuardPlace;
use crate::tracker::{Outcome, Reports};
use crate::{
    Progress, ProgressError, ProgressId, ProgressUpdate, Stamp, Status, Tracker, TrackerOptions,
    Transition,
};

const FIRST_RETRY: Duration = Duration::from_millis(250);
/// Well below the lease, so that after an outage the heartbeat of every worker is in time.
const LAST_RETRY: Duration = Duration::from_secs(4);

/// How long a start is retried in an outage before it fails.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// How long a permanent error is retried. An operator may fix it meanwhile, by a migration that
/// creates a table or by granting a permission.
const BROKEN_PATIENCE: Duration = Duration::from_secs(60);

/// If one heartbeat is lost or late, the next is still in time.
const HEARTBEATS_PER_LEASE: u32 = 3;

/// A janitor gives a silent worker a third of its lease to report: time for several attempts.
const RETRIES_PER_LEASE: u32 = 9;

/// Returns the pause before attempt `failures + 1`.
pub(super) fn back_off(failures: u32) -> Duration {
    let doubled = 2u32.saturating_pow(failures.saturating_sub(1).min(16));
    FIRST_RETRY.saturating_mul(doubled).min(LAST_RETRY)
}

#[derive(Debug)]
pub(crate) struct TrackedJob {
    reports: Arc<Reports>,
    options: TrackerOptions,
    writer: Uuid,
    seq: u64,
    start: Option<Start>,
    /// Sent and not acknowledged. Repeated unchanged, with its stamp and counts, until the store
    /// returns its outcome.
    in_flight: Option<ProgressUpdate>,
    /// When to check this job again, unless it is hastened.
    pub(super) due: Instant,
    next_flush: Instant,
    next_heartbeat: Instant,
    failures: u32,
    /// The longest pause between two attempts.
    pub(super) longest_pause: Duration,
    broken_since: Option<Instant>,
    /// Dropped when the job is closed.
    pub(super) guard: Option<GuardPlace>,
}

/// A start that is not acknowledged yet.
#[derive(Debug)]
struct Start {
    reply: oneshot::Sender<Result<Tracker, ProgressError>>,
    give_up_at: Instant,
}

/// What the loop does with a job.
#[derive(Debug)]
pub(super) enum Step {
    Send(ProgressUpdate),
    Wait,
    /// The caller gave up the start, and no call is under way.
    Gone,
}

/// What the loop does after an outcome of the store.
#[derive(Debug)]
pub(super) enum Answer {
    /// Checks the job again when it is due.
    Continue,
    /// Sends the next update of the job at once.
    Urgent,
    Close(Outcome),
}

impl TrackedJob {
    /// Creates a job whose start is still to be sent; `reply` receives its tracker.
    pub(crate) fn new(
        reports: Arc<Reports>,
        options: TrackerOptions,
        reply: oneshot::Sender<Result<Tracker, ProgressError>>,
    ) -> Self {
        let now = Instant::now();
        let writer = Uuid::new_v4();
        Self {
            reports,
            options,
            writer,
            seq: 1,
            start: Some(Start { reply, give_up_at: now + START_PATIENCE }),
            in_flight: Some(ProgressUpdate::start().with_stamp(Stamp { writer, seq: 1 })),
            due: now,
            next_flush: now,
            next_heartbeat: now,
            failures: 0,
            longest_pause: LAST_RETRY,
            broken_since: None,
            guard: None,
        }
    }

    pub(super) fn reports(&self) -> &Arc<Reports> {
        &self.reports
    }

    /// Whether its last update failed.
    pub(super) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// Returns what to send now. Called when the job is due, and when it is hastened.
    pub(super) fn step(&mut self, now: Instant) -> Step {
        if self.start.as_ref().is_some_and(|start| start.reply.is_closed()) {
            // The caller is gone, so the work will not begin. If the start has arrived, a janitor
            // fails the job as that of a dead worker.
            return Step::Gone;
        }
        if self.in_flight.is_none() {
            self.in_flight = self.next_update(now);
        }
        match &self.in_flight {
            Some(update) => Step::Send(update.clone()),
            None => Step::Wait,
        }
    }

    fn next_update(&mut self, now: Instant) -> Option<ProgressUpdate> {
        let update = if let Some(ending) = self.reports.take_ending() {
            ending
        } else if now >= self.next_flush {
            let delta = self.reports.take();
            self.next_flush = now + self.options.flush_interval;
            if delta.is_empty() && now < self.next_heartbeat {
                self.schedule();
                return None;
            }
            ProgressUpdate::advance(delta)
        } else if now >= self.next_heartbeat {
            ProgressUpdate::heartbeat()
        } else {
            self.schedule();
            return None;
        };
        self.seq += 1;
        Some(update.with_stamp(Stamp { writer: self.writer, seq: self.seq }))
    }

    fn schedule(&mut self) {
        self.due = self.next_flush.min(self.next_heartbeat);
    }

    pub(super) fn handle(
        &mut self,
        outcome: Result<Progress, ProgressError>,
        is_own: bool,
    ) -> Answer {
        match outcome {
            Ok(progress) => self.accepted(progress),
            Err(error) if error.is_transient() => self.retry(error),
            Err(ProgressError::Refused { status, id }) => self.refused(id, status),
            Err(error @ ProgressError::NotFound(_)) => match self.start.take() {
                Some(start) => self.not_started(start, error),
                None => Answer::Close(Outcome::Deleted),
            },
            // Of several updates that failed together, perhaps only one cannot be written.
            Err(error) => self.broken(error, is_own),
        }
    }

    fn accepted(&mut self, progress: Progress) -> Answer {
        let sent = self.in_flight.take();
        let was_ending = sent.as_ref().is_some_and(ProgressUpdate::is_ending);
        let now = Instant::now();
        if sent.is_some_and(|update| !update.is_heartbeat()) {
            self.next_flush = now + self.options.flush_interval;
        }
        let heartbeats = progress.lease / HEARTBEATS_PER_LEASE;
        self.next_heartbeat = now + self.options.heartbeat_interval.min(heartbeats);
        self.schedule();
        self.longest_pause = LAST_RETRY.min(progress.lease / RETRIES_PER_LEASE);
        self.failures = 0;
        self.broken_since = None;
        let status = progress.status;
        if let Some(start) = self.start.take() {
            if status.is_finished() {
                // The job ended while the acknowledgement was under way or lost.
                let id = progress.id;
                return self.not_started(start, ProgressError::Refused { id, status });
            }
            self.reports.learn(&progress);
            // If the caller is gone, the tracker is dropped here, which ends the job.
            drop(start.reply.send(Ok(Tracker::new(Arc::clone(&self.reports)))));
        } else if was_ending {
            return Answer::Close(Outcome::Ended(Box::new(progress)));
        } else if status.is_finished() {
            // These counts arrived before. Since then the job was ended without this worker.
            return Answer::Close(Outcome::Refused(status));
        } else {
            self.reports.learn(&progress);
        }
        // An ending that was requested while another update was under way is sent at once.
        self.in_flight = self.next_update(now);
        if self.in_flight.is_some() { Answer::Urgent } else { Answer::Continue }
    }

    fn retry(&mut self, error: ProgressError) -> Answer {
        let now = Instant::now();
        if let Some(start) = self.start.take_if(|start| now >= start.give_up_at) {
            return self.not_started(start, error);
        }
        self.failures = self.failures.saturating_add(1);
        self.due = now + back_off(self.failures).min(self.longest_pause);
        Answer::Continue
    }

    fn refused(&mut self, id: ProgressId, status: Status) -> Answer {
        let Some(start) = self.start.take() else {
            return Answer::Close(Outcome::Refused(status));
        };
        let was_start = self
            .in_flight
            .as_ref()
            .is_some_and(|update| matches!(update.transition(), Transition::Start));
        if was_start && status == Status::Running && self.options.joins_running {
            // A refused update leaves no stamp, so its sequence number is free.
            let stamp = Stamp { writer: self.writer, seq: self.seq };
            self.in_flight = Some(ProgressUpdate::join().with_stamp(stamp));
            self.start = Some(start);
            return Answer::Urgent;
        }
        self.not_started(start, ProgressError::Refused { id, status })
    }

    fn broken(&mut self, error: ProgressError, is_own: bool) -> Answer {
        if let Some(start) = self.start.take_if(|_| is_own) {
            return self.not_started(start, error);
        }
        let now = Instant::now();
        let since = *self.broken_since.get_or_insert(now);
        if is_own && now.duration_since(since) >= BROKEN_PATIENCE {
            tracing::error!(
                progress = %self.reports.id,
                error = &error as &dyn std::error::Error,
                "writing progress failed for a minute, giving up on this job"
            );
            return Answer::Close(Outcome::Broken);
        }
        self.retry(error)
    }

    /// Closes a job whose work does not begin, and tells the caller why, unless the caller is gone.
    fn not_started(&mut self, start: Start, error: ProgressError) -> Answer {
        let outcome = match &error {
            ProgressError::Refused { status, .. } => Outcome::Refused(*status),
            _ => Outcome::Broken,
        };
        let _ = start.reply.send(Err(error));
        Answer::Close(outcome)
    }

    /// Closes the job with its outcome.
    pub(super) fn close(self, outcome: Outcome) {
        self.reports.close(outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_off_doubles_up_to_its_ceiling() {
        let waits: Vec<_> = (1..=7).map(|failures| back_off(failures).as_millis()).collect();
        assert_eq!(waits, [250, 500, 1_000, 2_000, 4_000, 4_000, 4_000]);
        assert_eq!(back_off(u32::MAX), LAST_RETRY);
    }
}
