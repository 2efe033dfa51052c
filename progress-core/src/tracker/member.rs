//! One job in the flush loop: what to send next, and when.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::shared::{EndingKind, Shared};
use super::{Outcome, TrackerOptions};
use crate::{Progress, ProgressError, ProgressId, ProgressUpdate, Stamp, Status};

const FIRST_RETRY: Duration = Duration::from_millis(250);
/// Well below the lease, so that a store that comes back hears of every worker before any is taken for dead.
const LAST_RETRY: Duration = Duration::from_secs(4);

/// How long to wait before attempt `failures + 1`.
pub(super) fn back_off(failures: u32) -> Duration {
    let doubled = 2u32.saturating_pow(failures.saturating_sub(1).min(16));
    FIRST_RETRY.saturating_mul(doubled).min(LAST_RETRY)
}

#[derive(Debug)]
pub(super) struct Member {
    shared: Arc<Shared>,
    options: TrackerOptions,
    writer: Uuid,
    seq: u64,
    /// Sent, and not known to have arrived: repeated as it is, stamp and counts, until the store says what became of it.
    in_flight: Option<InFlight>,
    next_flush: Instant,
    next_heartbeat: Instant,
    retry_at: Option<Instant>,
    failures: u32,
    is_closed: bool,
}

#[derive(Debug)]
struct InFlight {
    update: ProgressUpdate,
    is_ending: bool,
}

/// What the loop does with a member.
#[derive(Debug)]
pub(super) enum Step {
    Send(ProgressUpdate),
    Wait,
    /// Nothing left to say.
    Close(Outcome),
}

/// What an answer of the store meant.
#[derive(Debug)]
pub(super) enum Answer {
    Accepted,
    Retry(ProgressError),
    Close(Outcome),
    /// Repeating will not help.
    Broken(ProgressError),
}

impl Member {
    pub(super) fn new(shared: Arc<Shared>, options: TrackerOptions, last: Stamp) -> Self {
        let now = Instant::now();
        Self {
            shared,
            writer: last.writer,
            seq: last.seq,
            in_flight: None,
            next_flush: now + options.flush_interval,
            next_heartbeat: now + options.heartbeat_interval,
            options,
            retry_at: None,
            failures: 0,
            is_closed: false,
        }
    }

    pub(super) fn id(&self) -> ProgressId {
        self.shared.id
    }

    pub(super) fn step(&mut self, now: Instant) -> Step {
        if self.retry_at.is_some_and(|at| now < at) {
            return Step::Wait;
        }
        if self.in_flight.is_none() {
            // Asked first: the counts of a worker that has ended are complete, and taken after it ended.
            let ending = self.shared.ending();
            if ending.is_none() && now < self.next_flush {
                return Step::Wait;
            }
            let delta = self.shared.take();
            let is_ending = ending.is_some();
            let update = match ending {
                Some(EndingKind::Leave) if delta.is_empty() => return Step::Close(Outcome::Left),
                Some(kind) => kind.update(delta),
                None if delta.is_empty() && now < self.next_heartbeat => {
                    self.next_flush = now + self.options.flush_interval;
                    return Step::Wait;
                }
                None => ProgressUpdate::advance(delta),
            };
            self.seq += 1;
            let update = update.with_stamp(Stamp { writer: self.writer, seq: self.seq });
            self.in_flight = Some(InFlight { update, is_ending });
        }
        match &self.in_flight {
            Some(in_flight) => Step::Send(in_flight.update.clone()),
            None => Step::Wait,
        }
    }

    pub(super) fn settle(&mut self, answer: Result<Progress, ProgressError>) -> Answer {
        match answer {
            Ok(progress) => {
                let was_ending = self.in_flight.take().is_some_and(|in_flight| in_flight.is_ending);
                let now = Instant::now();
                self.next_flush = now + self.options.flush_interval;
                self.next_heartbeat = now + self.options.heartbeat_interval;
                self.retry_at = None;
                self.failures = 0;
                let status = progress.status;
                if was_ending || status == Status::Completed {
                    // Ours, or the counts were the last that a job needed which completes by itself.
                    return Answer::Close(Outcome::Ended(Box::new(progress)));
                }
                if status.is_finished() {
                    // These counts had arrived before; since then somebody else has ended the job.
                    return Answer::Close(Outcome::Refused(status));
                }
                if progress.cancel_requested {
                    self.shared.request_cancel();
                }
                Answer::Accepted
            }
            Err(error) if error.is_transient() => {
                self.failures = self.failures.saturating_add(1);
                self.retry_at = Some(Instant::now() + back_off(self.failures));
                Answer::Retry(error)
            }
            Err(ProgressError::Refused { status, .. }) => Answer::Close(Outcome::Refused(status)),
            Err(ProgressError::NotFound(_)) => Answer::Close(Outcome::Deleted),
            Err(error) => Answer::Broken(error),
        }
    }

    /// Ends the job as a dropped tracker would, unless its ending is known: the worker will not come back.
    pub(super) fn end_unfinished(&self) {
        self.shared.end_unfinished();
    }

    /// Leaves the loop for good.
    pub(super) fn close(&mut self, outcome: Outcome) {
        self.is_closed = true;
        self.shared.close(outcome);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// When to look at this member again, unless it rings before.
    pub(super) fn next_step(&self) -> Instant {
        match self.retry_at {
            Some(at) => at,
            // An ending that came while another update was on its way has rung already.
            None if self.shared.ending().is_some() => Instant::now(),
            None => self.next_flush,
        }
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
