//! One job in the flush loop: what to send next, and when.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use uuid::Uuid;

use super::runtime_guard::GuardRegistration;
use crate::metering::{self, ActiveJob};
use crate::tracker::{Intervals, Outcome, Reports};
use crate::{
    Progress, ProgressError, ProgressId, ProgressUpdate, Stamp, Status, Tracker, TrackerOptions,
    Transition,
};

const MIN_RETRY_DELAY: Duration = Duration::from_millis(250);
/// Well below the lease, so that after an outage the heartbeat of every worker is in time.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(4);

/// How long a start is retried in an outage before it fails.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a permanent error is retried. An operator may fix it meanwhile, by a migration that
/// creates a table or by granting a permission.
const PERMANENT_ERROR_TIMEOUT: Duration = Duration::from_secs(60);

/// If one heartbeat is lost or late, the next is still in time.
const HEARTBEATS_PER_LEASE: u32 = 3;

/// A janitor gives a silent worker a third of its lease to report: time for several attempts.
const RETRIES_PER_LEASE: u32 = 9;

/// Returns the pause before attempt `failures + 1`.
pub(super) fn back_off(failures: u32) -> Duration {
    let doubled = 2u32.saturating_pow(failures.saturating_sub(1).min(16));
    MIN_RETRY_DELAY.saturating_mul(doubled).min(MAX_RETRY_DELAY)
}

/// Returns the longest pause between two attempts of a job with this lease, in milliseconds.
fn max_retry_delay(lease: Duration) -> u32 {
    let delay = MAX_RETRY_DELAY.min(lease / RETRIES_PER_LEASE);
    u32::try_from(delay.as_millis()).unwrap_or(u32::MAX)
}

/// A process may run ten thousand of them, so what most jobs do not need is boxed. A test counts
/// the bytes.
#[derive(Debug)]
pub(crate) struct TrackedJob {
    reports: Arc<Reports>,
    intervals: Intervals,
    writer: Uuid,
    seq: u64,
    start: Option<Box<Start>>,
    /// The attempt that the start began.
    attempt: u32,
    /// Sent and not acknowledged. Repeated unchanged, with its stamp and counts, until the store
    /// returns its outcome.
    in_flight: Option<Box<ProgressUpdate>>,
    /// When to check this job again, unless it is prioritized.
    pub(super) due: Instant,
    next_flush: Instant,
    next_heartbeat: Instant,
    trouble: Option<Box<Trouble>>,
    /// The longest pause between two attempts, in milliseconds.
    max_retry_delay: u32,
    /// Set while the job runs; dropped when it is closed.
    active: Option<ActiveJob>,
    /// Dropped when the job is closed.
    pub(super) guard: Option<GuardRegistration>,
}

/// The state of a job whose last update failed.
#[derive(Debug, Default)]
struct Trouble {
    failures: u32,
    permanent_error_since: Option<Instant>,
}

/// A tracker with the record that the start returned.
pub(crate) type StartResult = Result<(Tracker, Progress), ProgressError>;

/// A start that is not acknowledged yet.
#[derive(Debug)]
struct Start {
    reply: oneshot::Sender<StartResult>,
    begun: Instant,
    joins_running: bool,
}

/// What the loop does with a job.
#[derive(Debug)]
pub(super) enum Step {
    Send(Box<ProgressUpdate>),
    Wait,
    /// The caller has dropped the start, and no call is in progress.
    Discard,
}

/// What the loop does after an outcome of the store.
#[derive(Debug)]
pub(super) enum FollowUp {
    /// Checks the job again when it is due.
    Wait,
    /// Sends the next update of the job at once.
    SendNow,
    Close(Outcome),
}

impl TrackedJob {
    /// Creates a job whose start is still to be sent; `reply` receives its tracker.
    pub(crate) fn new(
        reports: Arc<Reports>,
        options: TrackerOptions,
        reply: oneshot::Sender<StartResult>,
    ) -> Self {
        let now = Instant::now();
        let writer = Uuid::new_v4();
        Self {
            reports,
            intervals: options.intervals,
            writer,
            seq: 1,
            start: Some(Box::new(Start {
                reply,
                begun: now,
                joins_running: options.joins_running,
            })),
            attempt: 0,
            in_flight: Some(Box::new(ProgressUpdate::start().with_stamp(Stamp { writer, seq: 1 }))),
            due: now,
            next_flush: now,
            next_heartbeat: now,
            trouble: None,
            max_retry_delay: max_retry_delay(Duration::MAX),
            active: None,
            guard: None,
        }
    }

    pub(super) fn reports(&self) -> &Arc<Reports> {
        &self.reports
    }

    /// Returns the longest pause between two attempts.
    pub(super) fn max_retry_delay(&self) -> Duration {
        Duration::from_millis(self.max_retry_delay.into())
    }

    /// Whether its last update failed.
    pub(super) fn is_failing(&self) -> bool {
        self.trouble.is_some()
    }

    /// Returns what to send now. Called when the job is due, and when it is prioritized.
    pub(super) fn step(&mut self, now: Instant) -> Step {
        if self.start.as_ref().is_some_and(|start| start.reply.is_closed()) {
            // The caller is gone, so the work will not begin. If the start has arrived, a janitor
            // fails the job as that of a dead worker.
            return Step::Discard;
        }
        if self.in_flight.is_none() {
            self.in_flight = self.next_update(now);
        }
        match &self.in_flight {
            Some(update) => Step::Send(update.clone()),
            None => Step::Wait,
        }
    }

    fn next_update(&mut self, now: Instant) -> Option<Box<ProgressUpdate>> {
        let update = if let Some(ending) = self.reports.take_ending() {
            ending
        } else if now >= self.next_flush || self.reports.take_urgent_save() {
            let delta = self.reports.take();
            self.next_flush = now + self.intervals.flush();
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
        let stamp = Stamp { writer: self.writer, seq: self.seq };
        Some(Box::new(update.with_stamp(stamp).with_attempt(self.attempt)))
    }

    fn schedule(&mut self) {
        self.due = self.next_flush.min(self.next_heartbeat);
    }

    pub(super) fn handle(
        &mut self,
        outcome: Result<Progress, ProgressError>,
        is_own: bool,
    ) -> FollowUp {
        match outcome {
            Ok(progress) => self.accepted(progress),
            Err(error) if error.is_transient() => self.retry(error),
            Err(ProgressError::Refused { status, id }) => self.refused(id, status),
            Err(error @ ProgressError::NotFound(_)) => match self.start.take() {
                Some(start) => self.not_started(*start, error),
                None => FollowUp::Close(Outcome::Deleted),
            },
            // Of several updates that failed together, perhaps only one cannot be written.
            Err(error) => self.permanent_error(error, is_own),
        }
    }

    fn accepted(&mut self, progress: Progress) -> FollowUp {
        let sent = self.in_flight.take();
        if let Some(update) = &sent {
            self.reports.accepted(update, &progress, self.is_failing());
        }
        self.reports.note_stored();
        let was_ending = sent.as_ref().is_some_and(|update| update.is_ending());
        let now = Instant::now();
        if sent.is_some_and(|update| !update.is_heartbeat()) {
            self.next_flush = now + self.intervals.flush();
        }
        let heartbeats = progress.lease / HEARTBEATS_PER_LEASE;
        self.next_heartbeat = now + self.intervals.heartbeat().min(heartbeats);
        self.schedule();
        self.max_retry_delay = max_retry_delay(progress.lease);
        self.trouble = None;
        let status = progress.status;
        if self.start.is_none() && progress.attempt != self.attempt && !was_ending {
            // These counts arrived before. Since then a janitor ended the attempt.
            return FollowUp::Close(Outcome::Refused(status));
        }
        if let Some(start) = self.start.take() {
            // A start that took longer than the lease may have been stored, ended by a janitor, and
            // followed by the start of another worker. This worker cannot tell, so it must not run.
            let may_be_of_another =
                progress.max_attempts.is_some() && start.begun.elapsed() >= progress.lease;
            if may_be_of_another {
                let error = ProgressError::unavailable("the start took longer than the lease");
                return self.not_started(*start, error);
            }
            if status.is_finished() {
                // The job ended while the acknowledgement was under way or lost.
                let id = progress.id;
                return self.not_started(*start, ProgressError::Refused { id, status });
            }
            self.reports.update_stop_reason(&progress);
            self.active = Some(metering::active(&progress));
            self.attempt = progress.attempt;
            self.reports.started(progress.clone());
            // If the caller is gone, the tracker is dropped here, which ends the job.
            let tracker = Tracker::new(Arc::clone(&self.reports));
            drop(start.reply.send(Ok((tracker, progress))));
        } else if was_ending {
            return FollowUp::Close(Outcome::Ended(Box::new(progress)));
        } else if status.is_finished() {
            // These counts arrived before. Since then the job was ended without this worker.
            return FollowUp::Close(Outcome::Refused(status));
        } else {
            self.reports.update_stop_reason(&progress);
        }
        // An ending that was requested while another update was under way is sent at once.
        self.in_flight = self.next_update(now);
        if self.in_flight.is_some() { FollowUp::SendNow } else { FollowUp::Wait }
    }

    fn retry(&mut self, error: ProgressError) -> FollowUp {
        let now = Instant::now();
        if let Some(start) = self.start.take_if(|start| now - start.begun >= START_TIMEOUT) {
            return self.not_started(*start, error);
        }
        let trouble = self.trouble.get_or_insert_default();
        trouble.failures = trouble.failures.saturating_add(1);
        let pause = back_off(trouble.failures);
        // Otherwise the first message after an outage would be as old as the outage.
        self.reports.request_message();
        self.due = now + pause.min(self.max_retry_delay());
        FollowUp::Wait
    }

    fn refused(&mut self, id: ProgressId, status: Status) -> FollowUp {
        let Some(start) = self.start.take() else {
            return FollowUp::Close(Outcome::Refused(status));
        };
        let was_start = self
            .in_flight
            .as_ref()
            .is_some_and(|update| matches!(update.transition(), Transition::Start));
        if was_start && status == Status::Running && start.joins_running {
            // A refused update leaves no stamp, so its sequence number is free.
            let stamp = Stamp { writer: self.writer, seq: self.seq };
            self.in_flight = Some(Box::new(ProgressUpdate::join().with_stamp(stamp)));
            self.start = Some(start);
            return FollowUp::SendNow;
        }
        self.not_started(*start, ProgressError::Refused { id, status })
    }

    fn permanent_error(&mut self, error: ProgressError, is_own: bool) -> FollowUp {
        if let Some(start) = self.start.take_if(|_| is_own) {
            return self.not_started(*start, error);
        }
        let now = Instant::now();
        let trouble = self.trouble.get_or_insert_default();
        let since = *trouble.permanent_error_since.get_or_insert(now);
        if is_own && now.duration_since(since) >= PERMANENT_ERROR_TIMEOUT {
            tracing::error!(
                id = %self.reports.id,
                error = &error as &dyn std::error::Error,
                "writing progress failed for a minute, giving up on this job"
            );
            return FollowUp::Close(Outcome::StoreFailed);
        }
        self.retry(error)
    }

    /// Closes a job whose work does not begin, and tells the caller why, unless the caller is gone.
    fn not_started(&mut self, start: Start, error: ProgressError) -> FollowUp {
        let outcome = match &error {
            ProgressError::Refused { status, .. } => Outcome::Refused(*status),
            _ => Outcome::StoreFailed,
        };
        let _ = start.reply.send(Err(error));
        FollowUp::Close(outcome)
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
        assert_eq!(back_off(u32::MAX), MAX_RETRY_DELAY);
    }
}
