use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Checkpoint, NewProgress, ProgressError, ProgressId, Stages, Status, limits, pace};

/// How much longer than its retention a finished record is kept for its announcement.
const ANNOUNCED_WITHIN: Duration = Duration::from_secs(86_400);

/// A snapshot of the progress of one job.
///
/// Fields are stored; everything derived from them is a method. [`Progress::apply`] is the only
/// state machine: a store makes it atomic and durable, and nothing else changes a record.
///
/// The serde form is for stores that keep documents. Do not send it to a browser, because it
/// contains the owner.
///
/// All times are whole milliseconds of the store's clock, so that every store and every browser
/// keeps them exactly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Progress {
    /// Unique id of the job.
    pub id: ProgressId,
    /// The owner, never shown to a browser. If `None`, anyone who knows the id may see the job.
    pub owner: Option<String>,
    /// The type of job, such as `"email_sending"`; at most 200 characters.
    pub task_type: String,
    /// The state of the job.
    pub status: Status,
    /// The number of items; `None` while unknown. It may grow while the job runs.
    pub total: Option<u64>,
    /// Number of items that succeeded.
    pub succeeded: u64,
    /// Number of items that failed; disjoint from `succeeded`.
    pub failed: u64,
    /// The latest message of the worker; at most 500 characters.
    pub message: Option<String>,
    /// Why the job or its last attempt failed, as a text for viewers; at most 2,000 characters.
    pub error: Option<String>,
    /// The heading above the bar; at most 200 characters.
    pub title: Option<String>,
    /// The text that viewers see when the job has completed; at most 500 characters.
    pub completion_message: Option<String>,
    /// Data for the page, set at creation; at most 16 KiB of JSON.
    pub metadata: Option<Value>,
    /// The result of the job, set at completion; at most 16 KiB of JSON.
    pub result: Option<Value>,
    /// Whether a viewer asked the running job to stop.
    pub cancel_requested: bool,
    /// Whether the job completes by itself when the processed items reach the total.
    pub auto_complete: bool,
    /// How long a worker may be silent before a janitor declares it lost.
    #[serde(with = "millis")]
    pub lease: Duration,
    /// How long without a change until a running job is shown as stalled; `None` means never.
    #[serde(with = "optional_millis")]
    pub stall_after: Option<Duration>,
    /// The number of the current or last attempt; 0 before the first start.
    #[serde(default)]
    pub attempt: u32,
    /// How often the job may be started; `None` for a job that runs once.
    #[serde(default)]
    pub max_attempts: Option<u32>,
    /// When the current or last attempt started.
    #[serde(default)]
    pub attempt_started_at: Option<DateTime<Utc>>,
    /// When the next attempt is expected, while the job waits for one; `None` if the queue decides.
    #[serde(default)]
    pub retry_at: Option<DateTime<Utc>>,
    /// The items that were processed before this attempt. They count in the percentage, and not in
    /// the [rate](Self::rate).
    #[serde(default)]
    pub carried_over: u64,
    /// Where the next attempt continues; `None` for a job that runs once.
    #[serde(default)]
    pub checkpoint: Option<Checkpoint>,
    /// The stages of the work; `None` for a job without stages.
    #[serde(default)]
    pub stages: Option<Stages>,
    /// The number of workers: 0 before the start and after the end, and while a
    /// [shared job](crate::NewProgress::with_auto_complete) waits for its next worker.
    pub workers: u32,
    /// The recently processed items, in millionths: a sum in which older items count less (see
    /// [`rate`](Self::rate)).
    pub pace: u64,
    /// The number of the newest log entry, 0 before the first. Entries that were dropped on the way
    /// are counted too.
    pub last_entry: u64,
    /// Starts at 1 and grows by one with every change that a viewer can see. Heartbeats do not
    /// change it. One version of a record always has the same content.
    pub version: u64,
    /// When the record was created.
    pub created_at: DateTime<Utc>,
    /// When a worker first started.
    pub started_at: Option<DateTime<Utc>>,
    /// When `version` last grew. Never goes backwards, even if the store's clock does.
    pub updated_at: DateTime<Utc>,
    /// The worker's last heartbeat; `None` before the start.
    pub heartbeat_at: Option<DateTime<Utc>>,
    /// When the job ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// For the hook of [`Jobs::on_ended`](crate::Jobs::on_ended): after this time the end of the
    /// job is announced (again), if the job has ended. `None` if the end has been announced, and if
    /// nothing asked for it. No viewer sees it, and it does not change `version`.
    #[serde(default)]
    pub announce_at: Option<DateTime<Utc>>,
    /// When this snapshot was taken, by the store's clock. [`silent_for`](Self::silent_for) is
    /// measured against it, because the reader's own clock may differ.
    pub observed_at: DateTime<Utc>,
}

impl Progress {
    /// Creates the record of a new job; `now` is the store's time. Stores call it for its checks
    /// and defaults. Your own store can also create a value with it and fill the fields from a row.
    ///
    /// # Errors
    ///
    /// [`ProgressError::Invalid`] if the owner or the metadata is invalid.
    pub fn new(job: &NewProgress, now: DateTime<Utc>) -> Result<Self, ProgressError> {
        job.check()?;
        let now = limits::time(now);
        let mut progress = Self {
            id: job.id,
            owner: job.owner.clone(),
            task_type: job.task_type.clone(),
            status: Status::Pending,
            total: job.total,
            succeeded: job.done,
            failed: 0,
            message: None,
            error: None,
            title: job.title.clone(),
            completion_message: job.completion_message.clone(),
            metadata: job.metadata.clone(),
            result: None,
            cancel_requested: false,
            auto_complete: job.auto_complete,
            lease: job.lease,
            stall_after: job.stall_after,
            attempt: 0,
            max_attempts: job.max_attempts,
            attempt_started_at: None,
            retry_at: None,
            carried_over: job.done,
            checkpoint: job.max_attempts.map(|_| Checkpoint {
                cursor: None,
                succeeded: job.done,
                failed: 0,
                total: job.total,
                stage: 0,
            }),
            stages: job.stages.as_deref().map(Stages::new),
            workers: 0,
            pace: 0,
            last_entry: 0,
            version: 1,
            created_at: now,
            started_at: None,
            updated_at: now,
            heartbeat_at: None,
            finished_at: None,
            announce_at: job.announces.then_some(now),
            observed_at: now,
        };
        progress.complete_if_empty();
        Ok(progress)
    }

    /// Returns the number of processed items: `succeeded + failed`, capped at
    /// [`MAX_COUNT`](limits::MAX_COUNT).
    #[must_use]
    pub const fn processed(&self) -> u64 {
        limits::sum(self.succeeded, self.failed)
    }

    /// Returns when the retention of a finished record begins: at its end, or a day later if its
    /// end has not been [announced](crate::Jobs::on_ended) yet. `None` while the job is active.
    ///
    /// [`delete_finished`](crate::ProgressStore::delete_finished) counts a record's age from here.
    /// So a short retention does not delete a record before its announcement, and a hook that no
    /// longer exists does not keep it for ever.
    #[must_use]
    pub fn retention_begins_at(&self) -> Option<DateTime<Utc>> {
        let delay = if self.announce_at.is_some() { ANNOUNCED_WITHIN } else { Duration::ZERO };
        self.finished_at.map(|at| at + delay)
    }

    /// Returns the number of items left; `None` if the total is unknown or exceeded.
    #[must_use]
    pub fn remaining(&self) -> Option<u64> {
        self.total?.checked_sub(self.processed())
    }

    /// Returns how far the job has come, 0 to 100, rounded down. Only a completed job has 100: if
    /// all items are processed but the job has not completed, the value is 99.
    ///
    /// Within an attempt it falls only if the total grows: 90 of 100 items are 90 %, and 9 % after
    /// 900 more are found. A new attempt starts from the last [`Checkpoint`].
    ///
    /// With [stages](crate::NewProgress::with_stages) it is their weighted sum. A stage whose total
    /// is unknown counts as nothing done.
    ///
    /// Without stages it is `None` if it cannot be known: the total is unknown, zero, or exceeded
    /// (more items processed than announced). A bar then shows activity, not a number.
    ///
    /// ```
    /// # use progress_core::{NewProgress, Progress, ProgressUpdate, Delta};
    /// # let now = chrono::DateTime::UNIX_EPOCH;
    /// let mut progress = Progress::new(&NewProgress::new("import").with_total(3), now)?;
    /// progress.apply(&ProgressUpdate::start(), now)?;
    /// progress.apply(&ProgressUpdate::advance(Delta::new().with_succeeded(2)), now)?;
    /// assert_eq!(progress.percentage(), Some(66));
    /// progress.apply(&ProgressUpdate::advance(Delta::new().with_failed(1)), now)?;
    /// assert_eq!(progress.percentage(), Some(99));
    /// # Ok::<(), progress_core::ProgressError>(())
    /// ```
    #[must_use]
    pub fn percentage(&self) -> Option<u8> {
        if self.status == Status::Completed {
            return Some(100);
        }
        match &self.stages {
            Some(stages) => Some(self.weighted_percentage(stages)),
            None => self.stage_percentage(),
        }
    }

    /// Returns the share of processed items that succeeded, in whole per cent, rounded down; `None`
    /// before the first item.
    #[must_use]
    pub fn success_rate(&self) -> Option<u8> {
        let rate = (self.succeeded * 100).checked_div(self.processed())?;
        // With both counts at their limit the ratio is above one, because their sum is capped too.
        u8::try_from(rate.min(100)).ok()
    }

    /// Returns how long the job has run: from its start to its end, or to its last change while it
    /// runs. `None` before the start.
    #[must_use]
    pub fn duration(&self) -> Option<Duration> {
        let end = self.finished_at.unwrap_or(self.updated_at);
        (end - self.started_at?).to_std().ok()
    }

    /// Returns the items that the current or last attempt processed per second, in its current
    /// stage: the recent rate while the job runs, the rate over the whole attempt afterwards.
    /// `None` while its duration or number of items is zero.
    ///
    /// The recent rate is an exponentially weighted mean with a time constant of 20 s, up to the
    /// last change of the record.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "counts stay below 2^53, where f64 is exact")]
    pub fn rate(&self) -> Option<f64> {
        let items = self.processed().saturating_sub(self.carried_over);
        let end = self.finished_at.unwrap_or(self.updated_at);
        let stage = self.stages.as_ref().and_then(|stages| stages.began_at);
        let start = stage.or(self.attempt_started_at).or(self.started_at)?;
        let seconds = (end - start).to_std().ok()?.as_secs_f64();
        if seconds <= 0.0 || items == 0 {
            return None;
        }
        Some(match self.status {
            Status::Running => pace::rate(self.pace, seconds),
            _ => items as f64 / seconds,
        })
    }

    /// Returns how long the remaining items will take at the current [`rate`](Self::rate). `None`
    /// unless the job runs and both the rate and the remaining items are known. Also `None` if
    /// nothing has changed for so long that a number would be a guess (see
    /// [`is_quiet`](Self::is_quiet)), and before the last stage.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "counts stay below 2^53, where f64 is exact")]
    pub fn estimated_remaining(&self) -> Option<Duration> {
        if self.status != Status::Running || self.is_quiet() {
            return None;
        }
        if self.stages.as_ref().is_some_and(|stages| !stages.is_last()) {
            return None;
        }
        let rate = self.rate().filter(|rate| *rate > 0.0)?;
        Duration::try_from_secs_f64(self.remaining()? as f64 / rate).ok()
    }

    /// Whether the running job has not changed for more than 15 s, and for longer than three items
    /// usually take. Heartbeats do not count as changes.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        const PATIENCE: Duration = Duration::from_secs(15);
        let three_items = self.rate().map_or(Duration::ZERO, |rate| {
            Duration::try_from_secs_f64(3.0 / rate).unwrap_or(Duration::MAX)
        });
        self.unchanged_for().is_some_and(|silence| silence > PATIENCE.max(three_items))
    }

    /// Whether the running job has not changed for longer than its
    /// [`stall_after`](Self::stall_after) allows.
    #[must_use]
    pub fn is_stalled(&self) -> bool {
        let Some(allowed) = self.stall_after else { return false };
        self.unchanged_for().is_some_and(|silence| silence > allowed)
    }

    /// Returns how long the running job had not changed when this snapshot was taken.
    fn unchanged_for(&self) -> Option<Duration> {
        let is_running = self.status == Status::Running;
        is_running.then(|| (self.observed_at - self.updated_at).to_std().unwrap_or_default())
    }

    /// Returns how long the running job's worker had sent no heartbeat when this snapshot was
    /// taken. `None` unless the job runs and has a worker.
    #[must_use]
    pub fn silent_for(&self) -> Option<Duration> {
        if self.status != Status::Running || self.workers == 0 {
            return None;
        }
        // The span is negative after the clock was set back; it then counts as zero.
        self.heartbeat_at.map(|at| (self.observed_at - at).to_std().unwrap_or_default())
    }

    /// Whether the job is running, but its worker has sent no heartbeat for longer than `after`.
    #[must_use]
    pub fn is_stale(&self, after: Duration) -> bool {
        self.silent_for().is_some_and(|silence| silence > after)
    }
}

/// The serde form of a span: whole milliseconds.
mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }
}

/// The serde form of an optional span.
mod optional_millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    #[allow(clippy::ref_option, reason = "the signature that serde calls")]
    pub(super) fn serialize<S: Serializer>(
        span: &Option<Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match span {
            Some(span) => super::millis::serialize(span, to),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(from)?.map(Duration::from_millis))
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::{Delta, ProgressUpdate};

    fn progress(total: Option<u64>, succeeded: u64, failed: u64, status: Status) -> Progress {
        let mut progress = Progress::new(&NewProgress::new("test"), DateTime::UNIX_EPOCH).unwrap();
        (progress.total, progress.succeeded, progress.failed, progress.status) =
            (total, succeeded, failed, status);
        progress
    }

    #[test]
    fn a_percentage_is_only_given_when_it_is_known() {
        use Status::{Completed, Failed, Running};
        for (total, succeeded, failed, status, expected) in [
            (None, 5, 0, Running, None),
            (Some(0), 0, 0, Running, None),
            (Some(0), 0, 0, Completed, Some(100)),
            (None, 5, 0, Completed, Some(100)),
            (Some(3), 1, 0, Running, Some(33)),
            (Some(3), 2, 1, Running, Some(99)),
            (Some(3), 3, 1, Running, None),
            (Some(3), 3, 1, Completed, Some(100)),
            (Some(200), 1, 0, Failed, Some(0)),
            (Some(limits::MAX_COUNT), limits::MAX_COUNT - 1, 0, Running, Some(99)),
        ] {
            let progress = progress(total, succeeded, failed, status);
            assert_eq!(progress.percentage(), expected, "{total:?} {succeeded} {failed} {status}");
        }
    }

    #[test]
    fn rates_at_the_limits_stay_rates() {
        assert_eq!(progress(None, 0, 0, Status::Running).success_rate(), None);
        assert_eq!(progress(None, 2, 1, Status::Running).success_rate(), Some(66));
        let max = limits::MAX_COUNT;
        assert_eq!(progress(None, max, max, Status::Running).success_rate(), Some(100));
        assert_eq!(progress(None, max, max, Status::Running).processed(), max);
        assert_eq!(progress(Some(3), 3, 1, Status::Running).remaining(), None);
    }

    #[test]
    fn durations_and_estimates_need_no_reader_clock() {
        let mut progress = progress(Some(100), 25, 0, Status::Running);
        assert_eq!(progress.duration(), None);
        progress.started_at = Some(progress.created_at);
        progress.updated_at += TimeDelta::seconds(10);
        assert_eq!(progress.duration(), Some(Duration::from_secs(10)));
        progress.status = Status::Failed;
        assert_eq!(progress.rate(), Some(2.5));
        assert_eq!(progress.estimated_remaining(), None);
    }

    /// Returns a job after `steps` of (items per update, number of updates, milliseconds apart).
    fn reporting(steps: &[(u64, u32, i64)]) -> Progress {
        let mut now = DateTime::UNIX_EPOCH;
        let mut progress = Progress::new(&NewProgress::new("t").with_total(1_000), now).unwrap();
        progress.apply(&ProgressUpdate::start(), now).unwrap();
        for (items, times, millis) in steps {
            for _ in 0..*times {
                now += TimeDelta::milliseconds(*millis);
                let update = ProgressUpdate::advance(Delta::new().with_succeeded(*items));
                progress.apply(&update, now).unwrap();
            }
        }
        progress
    }

    fn assert_rate(progress: &Progress, expected: f64) {
        let rate = progress.rate().unwrap();
        assert!((rate / expected - 1.0).abs() < 0.02, "{rate} instead of {expected}");
    }

    #[test]
    fn the_rate_is_that_of_late() {
        assert_rate(&reporting(&[(1, 100, 250)]), 4.0);
        assert_rate(&reporting(&[(1, 3, 60_000)]), 1.0 / 60.0);
        assert_rate(&reporting(&[(1, 1, 3_600_000)]), 1.0 / 3_600.0);
        // 400 s with 1 item per second, then 100 s with 4 per second.
        let faster = reporting(&[(1, 400, 1_000), (1, 400, 250)]);
        assert_rate(&faster, 4.0);
        let left = faster.estimated_remaining().unwrap();
        assert!((49..=51).contains(&left.as_secs()), "{left:?}");
    }

    #[test]
    fn after_silence_the_estimate_is_unknown() {
        let mut quick = reporting(&[(1, 100, 250)]);
        assert!(!quick.is_quiet() && quick.estimated_remaining().is_some());
        quick.observed_at += TimeDelta::seconds(16);
        assert!(quick.is_quiet() && quick.estimated_remaining().is_none());
        assert!(quick.rate().is_some(), "the measured rate stays known");
        // If an item takes a minute, a minute without one means nothing.
        let mut slow = reporting(&[(1, 5, 60_000)]);
        slow.observed_at += TimeDelta::seconds(170);
        assert!(!slow.is_quiet() && slow.estimated_remaining().is_some());
        slow.observed_at += TimeDelta::seconds(20);
        assert!(slow.is_quiet() && slow.estimated_remaining().is_none());
    }

    #[test]
    fn a_job_is_stalled_when_it_was_asked_to_watch_for_that() {
        let mut progress = reporting(&[(1, 1, 250)]);
        progress.observed_at += TimeDelta::seconds(61);
        assert!(!progress.is_stalled());
        progress.stall_after = Some(Duration::from_secs(60));
        assert!(progress.is_stalled());
        progress.status = Status::Completed;
        assert!(!progress.is_stalled());
    }

    #[test]
    fn silence_is_measured_by_the_clock_that_took_the_snapshot() {
        let mut progress = progress(None, 0, 0, Status::Running);
        progress.heartbeat_at = Some(progress.created_at);
        progress.workers = 1;
        progress.observed_at += TimeDelta::seconds(15);
        assert!(!progress.is_stale(Duration::from_secs(15)));
        progress.observed_at += TimeDelta::milliseconds(1);
        assert!(progress.is_stale(Duration::from_secs(15)));
        progress.observed_at -= TimeDelta::hours(1);
        assert_eq!(progress.silent_for(), Some(Duration::ZERO));
        progress.workers = 0;
        assert_eq!(progress.silent_for(), None, "there is no worker to send heartbeats");
        progress.workers = 1;
        progress.status = Status::Pending;
        assert_eq!(progress.silent_for(), None);
    }
}
