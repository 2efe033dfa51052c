use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::hub::Hub;
use super::member::{Member, back_off};
use super::shared::Shared;
use super::{Failure, Outcome, Stopped, Tracker, TrackerHandle};
use crate::{
    Completion, Progress, ProgressError, ProgressId, ProgressStore, ProgressUpdate, Stamp, Status,
};

/// How long a store may stay away before a job that has not begun gives up.
const START_PATIENCE: Duration = Duration::from_secs(30);
/// Below this, flushing would be a loop that does nothing else.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);
/// Beyond this it is never, and clocks end somewhere.
const LONGEST_INTERVAL: Duration = Duration::from_secs(365 * 86_400);

/// How often a tracker writes, and which jobs it takes.
///
/// ```
/// use std::time::Duration;
/// use progress_core::TrackerOptions;
///
/// let options = TrackerOptions::new().with_flush_interval(Duration::from_secs(1));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct TrackerOptions {
    pub(super) flush_interval: Duration,
    pub(super) heartbeat_interval: Duration,
    joins_running: bool,
}

impl Default for TrackerOptions {
    fn default() -> Self {
        Self {
            flush_interval: Duration::from_millis(250),
            heartbeat_interval: Duration::from_secs(5),
            joins_running: false,
        }
    }
}

impl TrackerOptions {
    /// A write at most every 250 ms, a heartbeat every 5 s, pending jobs only.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes at most so often, however many items pass; at least 10 ms.
    #[must_use]
    pub fn with_flush_interval(mut self, interval: Duration) -> Self {
        self.flush_interval = interval.clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL);
        self
    }

    /// Gives a sign of life so often when there is nothing else to write; at least 10 ms. Keep it at a third of the time
    /// after which readers call a job stale, or less.
    #[must_use]
    pub fn with_heartbeat_interval(mut self, interval: Duration) -> Self {
        self.heartbeat_interval = interval.clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL);
        self
    }

    /// Also takes a job that runs already: for a second worker on the same job, which should be one that
    /// [completes by itself](crate::NewProgress::with_auto_complete), or the first worker to finish ends it for the others.
    /// Without it such a job is refused, which protects one that a queue delivers twice.
    #[must_use]
    pub fn with_joining(mut self) -> Self {
        self.joins_running = true;
        self
    }

    /// As [`Tracker::start`], with these options.
    ///
    /// # Errors
    ///
    /// As [`Tracker::start`].
    pub async fn start(
        self,
        store: Arc<dyn ProgressStore>,
        id: ProgressId,
    ) -> Result<Tracker, ProgressError> {
        let stamp = Stamp { writer: Uuid::new_v4(), seq: 1 };
        let progress = self.begin(&*store, id, stamp).await?;
        let (status, auto_complete) = (progress.status, progress.auto_complete);
        let hub = Hub::of(&store);
        let shared = Arc::new(Shared::new(id, Arc::clone(&hub), auto_complete));
        if status == Status::Completed && auto_complete {
            // There was nothing to do.
            shared.close(Outcome::Ended(Box::new(progress)));
        } else if status.is_finished() {
            // It ended while an acknowledgement was on its way, or lost.
            return Err(ProgressError::Refused { id, status });
        } else {
            if progress.cancel_requested {
                shared.request_cancel();
            }
            hub.join(Member::new(Arc::clone(&shared), self, stamp));
        }
        Ok(Tracker { handle: TrackerHandle { shared }, store, auto_complete, is_ended: false })
    }

    /// Waits for the store's word: work must not begin on a job that was cancelled while it queued.
    async fn begin(
        self,
        store: &dyn ProgressStore,
        id: ProgressId,
        stamp: Stamp,
    ) -> Result<Progress, ProgressError> {
        let start = ProgressUpdate::start().with_stamp(stamp);
        let deadline = Instant::now() + START_PATIENCE;
        let mut failures = 0;
        loop {
            let outcome = match store.update(id, &start).await {
                Err(ProgressError::Refused { status: Status::Running, .. })
                    if self.joins_running =>
                {
                    // Not a read: it renews the lease, and is refused if the job has just ended.
                    store.update(id, &ProgressUpdate::heartbeat()).await
                }
                outcome => outcome,
            };
            match outcome {
                Err(error) if error.is_transient() && Instant::now() < deadline => {
                    failures += 1;
                    sleep(back_off(failures)).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// As [`Tracker::run`], with these options.
    ///
    /// # Errors
    ///
    /// As [`Tracker::run`].
    pub async fn run<F, C>(
        self,
        store: Arc<dyn ProgressStore>,
        id: ProgressId,
        work: F,
    ) -> Result<Progress, ProgressError>
    where
        F: AsyncFnOnce(TrackerHandle) -> Result<C, Failure>,
        C: Into<Completion>,
    {
        // Most callers spawn this and never look at what it returns.
        let tell = |what: &'static str| {
            move |error: &ProgressError| {
                tracing::warn!(progress = %id, error = error as &dyn std::error::Error, "{what}");
            }
        };
        let tracker = self.start(store, id).await.inspect_err(tell("the job was not started"))?;
        let ended = match work(tracker.handle()).await {
            Ok(completion) => tracker.complete(completion).await,
            // The word of another job's tracker is an error like any other.
            Err(failure) => match failure.stopped().and_then(|_| tracker.stopped()) {
                Some(Stopped::CancelRequested) => tracker.cancel().await,
                // The ending is refused, and the caller told so; but a job that completed by itself is a success.
                Some(Stopped::Ended(_) | Stopped::Deleted) => {
                    tracker.complete(Completion::new()).await
                }
                None => {
                    tracing::error!(progress = %id, error = %failure.chain(), "the job failed");
                    tracker.fail(failure.public()).await
                }
            },
        };
        ended.inspect_err(tell("the ending of the job was not taken"))
    }
}
