use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::{Delta, ProgressError, Status, limits};

/// The message and the result of a completed job.
///
/// `()` converts into an empty completion, so a job that has neither returns `Ok(())`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Completion {
    message: Option<String>,
    result: Option<Value>,
}

impl Completion {
    /// Creates a completion without message and result.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the text that viewers see. It replaces the completion message given at creation; at
    /// most 500 characters are kept.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(limits::text(message, limits::MAX_MESSAGE));
        self
    }

    /// Sets the result of the job, as data for the page; `null` is the same as none.
    ///
    /// It is checked here and not when the job ends, so that every completion can be stored.
    ///
    /// # Errors
    ///
    /// [`ProgressError::Invalid`] if it takes more than 16 KiB as compact JSON, or is nested more
    /// than 100 levels deep.
    pub fn try_with_result(mut self, result: Value) -> Result<Self, ProgressError> {
        limits::json("result", &result)?;
        self.result = (!result.is_null()).then_some(result);
        Ok(self)
    }

    /// Returns the text that viewers see.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// Returns the result of the job.
    #[must_use]
    pub const fn result(&self) -> Option<&Value> {
        self.result.as_ref()
    }
}

impl From<()> for Completion {
    fn from((): ()) -> Self {
        Self::new()
    }
}

/// The idempotency key of an update (writer id + sequence number): a repetition changes nothing.
///
/// A writer numbers its updates 1, 2, 3, … and sends the next only when it knows the outcome of the
/// last. A store writes each writer's highest number with the record, in the same transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// Id of the writer: new for every tracker.
    pub writer: Uuid,
    /// Sequence number of the update, from 1.
    pub seq: u64,
}

/// One step of the state machine.
#[derive(Debug, Clone, PartialEq)]
pub enum Transition {
    /// A worker starts the pending job.
    Start,
    /// Another worker joins a running job.
    Join,
    /// The worker reports progress, or only that it is alive.
    Advance,
    /// The worker reached the end.
    Complete(Completion),
    /// The worker gave up for good; the text is for viewers.
    Fail(String),
    /// The worker gave up this attempt. The job waits for the next one, or fails after the last.
    Release {
        /// Why, as a text for viewers.
        error: String,
        /// How long the next attempt should wait; `None` leaves that to the queue.
        delay: Option<Duration>,
    },
    /// The worker obeyed a cancel request.
    Cancel,
    /// The worker stopped without ending the job: a panic, an aborted task.
    Abandon,
    /// A viewer requests cancellation.
    RequestCancel,
    /// A janitor tests that the record can be written before it declares a silent worker lost. It
    /// changes nothing, but the store must write the record. Refused if the last heartbeat is not
    /// the one that the janitor saw.
    Probe {
        /// The heartbeat that the janitor saw.
        heartbeat_at: DateTime<Utc>,
    },
    /// A janitor found the worker silent for longer than the job's lease. Refused if the last
    /// heartbeat is not the one that the janitor saw.
    Lose {
        /// The heartbeat that the janitor saw.
        heartbeat_at: DateTime<Utc>,
    },
    /// A janitor is about to announce the end of the job, and keeps others from doing so for a
    /// while. Refused if another one was faster.
    ClaimAnnouncement {
        /// [`announce_at`](crate::Progress::announce_at) of the record that the janitor saw.
        announce_at: DateTime<Utc>,
        /// How long others leave it to this janitor.
        delay: Duration,
    },
    /// The hook was told of the end. A repetition changes nothing.
    Announced,
}

impl Transition {
    /// Whether the state machine allows this step from `status`. The table is in the docs of
    /// [`Status`].
    #[must_use]
    pub const fn accepted_in(&self, status: Status) -> bool {
        match self {
            Self::Start => matches!(status, Status::Pending),
            Self::Join
            | Self::Advance
            | Self::Complete(_)
            | Self::Release { .. }
            | Self::Cancel
            | Self::Abandon
            | Self::Probe { .. }
            | Self::Lose { .. } => matches!(status, Status::Running),
            Self::Fail(_) | Self::RequestCancel => status.is_active(),
            Self::ClaimAnnouncement { .. } | Self::Announced => status.is_finished(),
        }
    }
}

/// A change to a record: one [`Transition`], the [`Delta`] that the worker adds, and the stamp that
/// makes it safe to repeat.
///
/// Created only by constructors, so that every update is consistent.
#[derive(Debug, Clone, PartialEq)]
pub struct ProgressUpdate {
    transition: Transition,
    delta: Delta,
    stamp: Option<Stamp>,
    attempt: Option<u32>,
}

impl ProgressUpdate {
    fn of(transition: Transition, delta: Delta) -> Self {
        Self { transition, delta, stamp: None, attempt: None }
    }

    /// Starts the pending job.
    #[must_use]
    pub fn start() -> Self {
        Self::of(Transition::Start, Delta::new())
    }

    /// Adds a worker to a running job. Like a start, it renews the lease.
    #[must_use]
    pub fn join() -> Self {
        Self::of(Transition::Join, Delta::new())
    }

    /// Reports the progress of a running job.
    #[must_use]
    pub fn advance(delta: Delta) -> Self {
        Self::of(Transition::Advance, delta)
    }

    /// Reports only that the worker is alive: an [`advance`](Self::advance) with an empty delta. It
    /// renews the lease and does not change the version.
    #[must_use]
    pub fn heartbeat() -> Self {
        Self::advance(Delta::new())
    }

    /// Completes the job; `delta` holds the last counts.
    #[must_use]
    pub fn complete(delta: Delta, completion: Completion) -> Self {
        Self::of(Transition::Complete(completion), delta)
    }

    /// Fails the job; `delta` holds the last counts. `error` is the text for viewers, of which at
    /// most 2,000 characters are kept.
    #[must_use]
    pub fn fail(delta: Delta, error: impl Into<String>) -> Self {
        Self::of(Transition::Fail(limits::text(error, limits::MAX_ERROR)), delta)
    }

    /// Ends the attempt: the job waits for the next one for at least `delay`, or fails if there is
    /// none left. `delta` holds the last counts. `error` is the text for viewers, of which at most
    /// 2,000 characters are kept.
    #[must_use]
    pub fn release(delta: Delta, error: impl Into<String>, delay: Option<Duration>) -> Self {
        let error = limits::text(error, limits::MAX_ERROR);
        Self::of(Transition::Release { error, delay: delay.map(limits::span) }, delta)
    }

    /// Cancels the job, because the worker obeyed a cancel request; `delta` holds the last counts.
    #[must_use]
    pub fn cancel(delta: Delta) -> Self {
        Self::of(Transition::Cancel, delta)
    }

    /// Reports that the worker stopped without ending the job; `delta` holds the last counts.
    #[must_use]
    pub fn abandon(delta: Delta) -> Self {
        Self::of(Transition::Abandon, delta)
    }

    /// Tests that the record can be written; `heartbeat_at` is the last heartbeat the janitor saw.
    #[must_use]
    pub fn probe(heartbeat_at: DateTime<Utc>) -> Self {
        Self::of(Transition::Probe { heartbeat_at }, Delta::new())
    }

    /// Declares the worker lost; `heartbeat_at` is the last heartbeat the janitor saw.
    #[must_use]
    pub fn lose(heartbeat_at: DateTime<Utc>) -> Self {
        Self::of(Transition::Lose { heartbeat_at }, Delta::new())
    }

    /// Claims the announcement of the end, which was due at `announce_at`. For `delay` it is not
    /// due.
    #[must_use]
    pub fn claim_announcement(announce_at: DateTime<Utc>, delay: Duration) -> Self {
        let delay = limits::span(delay);
        Self::of(Transition::ClaimAnnouncement { announce_at, delay }, Delta::new())
    }

    /// Notes that the end was announced.
    #[must_use]
    pub fn announced() -> Self {
        Self::of(Transition::Announced, Delta::new())
    }

    /// Requests cancellation: a pending job is cancelled at once, a running one is asked to stop.
    #[must_use]
    pub fn request_cancel() -> Self {
        Self::of(Transition::RequestCancel, Delta::new())
    }

    /// Sets the stamp that makes the update safe to repeat.
    #[must_use]
    pub fn with_stamp(mut self, stamp: Stamp) -> Self {
        self.stamp = Some(stamp);
        self
    }

    /// Sets the attempt to which the update belongs. It is refused in any other, so a worker whose
    /// job was given to another one changes nothing.
    #[must_use]
    pub fn with_attempt(mut self, attempt: u32) -> Self {
        self.attempt = Some(attempt);
        self
    }

    #[cfg(feature = "testing")]
    pub(crate) fn without_stamp(mut self) -> Self {
        self.stamp = None;
        self
    }

    /// Returns the transition.
    #[must_use]
    pub const fn transition(&self) -> &Transition {
        &self.transition
    }

    /// Returns the delta: what the worker adds.
    #[must_use]
    pub const fn delta(&self) -> &Delta {
        &self.delta
    }

    /// Returns the stamp, if there is one.
    #[must_use]
    pub const fn stamp(&self) -> Option<Stamp> {
        self.stamp
    }

    /// Returns the attempt to which the update belongs; `None` if it belongs to any.
    #[must_use]
    pub const fn attempt(&self) -> Option<u32> {
        self.attempt
    }

    /// Whether a worker leaves the job with this update; no later update of that worker follows.
    #[must_use]
    pub const fn is_ending(&self) -> bool {
        matches!(
            self.transition,
            Transition::Complete(_)
                | Transition::Fail(_)
                | Transition::Release { .. }
                | Transition::Cancel
                | Transition::Abandon
                | Transition::Lose { .. }
        )
    }

    /// Whether it only reports that the worker is alive.
    #[must_use]
    pub fn is_heartbeat(&self) -> bool {
        self.transition == Transition::Advance && self.delta.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_that_is_too_large_never_becomes_a_completion() {
        let large = serde_json::json!("x".repeat(limits::MAX_JSON));
        assert!(matches!(Completion::new().try_with_result(large), Err(ProgressError::Invalid(_))));
    }
}
