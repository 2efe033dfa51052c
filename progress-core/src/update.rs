use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::{Delta, ProgressError, Status, limits};

/// What a worker says when it has reached the end.
///
/// `()` converts into an empty one, so a job that has nothing to say returns `Ok(())`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Completion {
    message: Option<String>,
    result: Option<Value>,
}

impl Completion {
    /// Completed, without a word.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What people read; it replaces the completion message given at creation. At most 500 characters are kept.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(limits::text(message, limits::MAX_MESSAGE));
        self
    }

    /// What came out of the job, for the page; `null` is the same as none.
    ///
    /// It is checked here and not when the job ends, so that a completion that exists can be stored.
    ///
    /// # Errors
    ///
    /// [`ProgressError::Invalid`] when it takes more than 16 KiB as compact JSON.
    pub fn try_with_result(mut self, result: Value) -> Result<Self, ProgressError> {
        limits::json("result", &result)?;
        self.result = (!result.is_null()).then_some(result);
        Ok(self)
    }

    /// What people read.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// What came out of the job.
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

/// Names one update for good, so that repeating it changes nothing: a writer, and the number of its update.
///
/// A writer numbers its updates 1, 2, 3, … and sends the next only when it knows what became of the last. A store keeps
/// each writer's highest number beside the record, in the same transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// Who writes: fresh for every tracker.
    pub writer: Uuid,
    /// Which of its updates this is, from 1.
    pub seq: u64,
}

/// One step of the state machine.
#[derive(Debug, Clone, PartialEq)]
pub enum Transition {
    /// A worker takes the pending job.
    Start,
    /// One more worker joins a running job.
    Join,
    /// The work goes on.
    Advance,
    /// The worker reached the end.
    Complete(Completion),
    /// The worker gave up; the text is for viewers.
    Fail(String),
    /// The worker obeyed a request to cancel.
    Cancel,
    /// The worker stopped without an ending: a panic, an aborted task.
    Abandon,
    /// A viewer asks to cancel.
    RequestCancel,
    /// A janitor makes sure that the record can be written, before it declares a silent worker lost.
    /// It changes nothing, and a store writes the record all the same. Refused if there has been
    /// another heartbeat than the one that the janitor saw.
    Probe {
        /// The heartbeat that the janitor saw.
        heartbeat_at: DateTime<Utc>,
    },
    /// A janitor found the worker silent for longer than the job's lease. Refused if there has been
    /// another heartbeat than the one that the janitor saw.
    Lose {
        /// The heartbeat that the janitor saw.
        heartbeat_at: DateTime<Utc>,
    },
}

impl Transition {
    /// Whether the state machine takes this step from `status`. The table is in the docs of [`Status`].
    #[must_use]
    pub const fn accepted_in(&self, status: Status) -> bool {
        match self {
            Self::Start => matches!(status, Status::Pending),
            Self::Join
            | Self::Advance
            | Self::Complete(_)
            | Self::Cancel
            | Self::Abandon
            | Self::Probe { .. }
            | Self::Lose { .. } => matches!(status, Status::Running),
            Self::Fail(_) | Self::RequestCancel => status.is_active(),
        }
    }
}

/// A change to a record: one [`Transition`], with what the worker adds, and the stamp that makes it safe to repeat.
///
/// Built only by constructors, so that every update that exists makes sense.
#[derive(Debug, Clone, PartialEq)]
pub struct ProgressUpdate {
    transition: Transition,
    delta: Delta,
    stamp: Option<Stamp>,
}

impl ProgressUpdate {
    fn of(transition: Transition, delta: Delta) -> Self {
        Self { transition, delta, stamp: None }
    }

    /// A worker takes the pending job.
    #[must_use]
    pub fn start() -> Self {
        Self::of(Transition::Start, Delta::new())
    }

    /// One more worker joins a running job. Like a start, it renews the lease.
    #[must_use]
    pub fn join() -> Self {
        Self::of(Transition::Join, Delta::new())
    }

    /// The work goes on.
    #[must_use]
    pub fn advance(delta: Delta) -> Self {
        Self::of(Transition::Advance, delta)
    }

    /// The worker is alive, and that is all there is to say: an [`advance`](Self::advance) with nothing in it. It
    /// renews the lease and leaves the version alone.
    #[must_use]
    pub fn heartbeat() -> Self {
        Self::advance(Delta::new())
    }

    /// The worker reached the end; `delta` holds the last counts.
    #[must_use]
    pub fn complete(delta: Delta, completion: Completion) -> Self {
        Self::of(Transition::Complete(completion), delta)
    }

    /// The worker gave up; `delta` holds the last counts, `error` is the text for viewers, of which at most 2,000
    /// characters are kept.
    #[must_use]
    pub fn fail(delta: Delta, error: impl Into<String>) -> Self {
        Self::of(Transition::Fail(limits::text(error, limits::MAX_ERROR)), delta)
    }

    /// The worker obeyed a request to cancel; `delta` holds the last counts.
    #[must_use]
    pub fn cancel(delta: Delta) -> Self {
        Self::of(Transition::Cancel, delta)
    }

    /// The worker stopped without an ending; `delta` holds the last counts.
    #[must_use]
    pub fn abandon(delta: Delta) -> Self {
        Self::of(Transition::Abandon, delta)
    }

    /// A janitor makes sure that the record can be written whose last heartbeat it saw at
    /// `heartbeat_at`.
    #[must_use]
    pub fn probe(heartbeat_at: DateTime<Utc>) -> Self {
        Self::of(Transition::Probe { heartbeat_at }, Delta::new())
    }

    /// A janitor declares the worker lost whose last heartbeat it saw at `heartbeat_at`.
    #[must_use]
    pub fn lose(heartbeat_at: DateTime<Utc>) -> Self {
        Self::of(Transition::Lose { heartbeat_at }, Delta::new())
    }

    /// A viewer asks to cancel: a pending job is cancelled at once, a running one is asked to stop.
    #[must_use]
    pub fn request_cancel() -> Self {
        Self::of(Transition::RequestCancel, Delta::new())
    }

    /// Makes the update safe to repeat.
    #[must_use]
    pub fn with_stamp(mut self, stamp: Stamp) -> Self {
        self.stamp = Some(stamp);
        self
    }

    #[cfg(feature = "testing")]
    pub(crate) fn without_stamp(mut self) -> Self {
        self.stamp = None;
        self
    }

    /// The step.
    #[must_use]
    pub const fn transition(&self) -> &Transition {
        &self.transition
    }

    /// What it adds.
    #[must_use]
    pub const fn delta(&self) -> &Delta {
        &self.delta
    }

    /// What makes it safe to repeat.
    #[must_use]
    pub const fn stamp(&self) -> Option<Stamp> {
        self.stamp
    }

    /// Whether this is how a worker leaves the job: no later update of the same worker follows.
    #[must_use]
    pub const fn is_ending(&self) -> bool {
        matches!(
            self.transition,
            Transition::Complete(_)
                | Transition::Fail(_)
                | Transition::Cancel
                | Transition::Abandon
                | Transition::Lose { .. }
        )
    }

    /// Whether it only says that the worker is alive.
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
