//! The attempts of a job that may run more than once.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Progress, Status};

/// Where the next attempt of a job continues: what a worker has
/// [saved](crate::TrackerHandle::save), and the counts that belong to it.
///
/// A store writes both in one update, so they always agree. Items after the checkpoint may be
/// processed again by the next attempt, but they are not counted twice, because it starts from
/// these counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The index of the stage; 0 for a job without stages.
    #[serde(default)]
    pub stage: usize,
    /// The worker's own data, such as the number of the last line; `None` before the first save. At
    /// most 16 KiB as JSON. It never leaves the server.
    pub cursor: Option<Value>,
    /// Number of items that had succeeded.
    pub succeeded: u64,
    /// Number of items that had failed.
    pub failed: u64,
    /// The number of items, if it was known.
    pub total: Option<u64>,
}

impl Progress {
    /// Whether the job waits for another attempt.
    #[must_use]
    pub fn is_retrying(&self) -> bool {
        self.status == Status::Pending && self.attempt > 0
    }

    /// Whether the job may be started again after this attempt.
    #[must_use]
    pub fn has_attempts_left(&self) -> bool {
        self.max_attempts.is_some_and(|most| self.attempt < most)
    }

    /// Starts an attempt. Its counts are those of the checkpoint.
    pub(crate) fn start_attempt(&mut self) {
        self.status = Status::Running;
        self.workers = 1;
        self.attempt = self.attempt.saturating_add(1);
        self.started_at.get_or_insert(self.updated_at);
        self.attempt_started_at = Some(self.updated_at);
        self.retry_at = None;
        self.error = None;
        self.pace = 0;
        if let Some(checkpoint) = &self.checkpoint {
            self.succeeded = checkpoint.succeeded;
            self.failed = checkpoint.failed;
            self.total = checkpoint.total;
            self.continue_stage(checkpoint.stage);
        }
        self.carried_over = self.processed();
    }

    /// Ends an attempt that has not completed the job. The job then waits for the next attempt,
    /// for at least `delay`. It fails if there is none left, and is cancelled if a viewer has
    /// asked for that.
    pub(crate) fn end_attempt(&mut self, error: String, delay: Option<Duration>) {
        if !self.has_attempts_left() {
            self.error = Some(error);
            return self.finish(Status::Failed);
        }
        if self.cancel_requested {
            return self.finish(Status::Cancelled);
        }
        self.error = Some(error);
        self.status = Status::Pending;
        self.workers = 0;
        self.retry_at = delay.map(|delay| self.updated_at + delay);
        // The log says why: see `Record::update`.
        self.last_entry = crate::limits::sum(self.last_entry, 1);
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};
    use serde_json::json;

    use super::*;
    use crate::{
        Delta, NewProgress, ProgressError, ProgressUpdate, Record, WORKER_LOST, WORKER_STOPPED,
    };

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn record(job: NewProgress) -> Record {
        let mut record = Record::new(&job.with_total(10), NOW).unwrap();
        record.update(&ProgressUpdate::start(), NOW).unwrap();
        record
    }

    fn retryable(attempts: u32) -> Record {
        record(NewProgress::new("test").with_attempts(attempts))
    }

    fn succeeded(items: u64) -> ProgressUpdate {
        ProgressUpdate::advance(Delta::new().with_succeeded(items))
    }

    fn checkpoint(line: u64, succeeded: u64) -> Checkpoint {
        Checkpoint { stage: 0, cursor: Some(json!(line)), succeeded, failed: 0, total: Some(10) }
    }

    #[test]
    fn an_attempt_starts_from_the_counts_of_the_checkpoint() {
        let mut record = retryable(2);
        let delta = Delta::new().with_succeeded(2).with_checkpoint(checkpoint(2, 2));
        record.update(&ProgressUpdate::advance(delta), NOW).unwrap();
        let delay = Duration::from_secs(12);
        let last = Delta::new().with_succeeded(3).with_total(crate::TotalChange::Add(5));
        let release = ProgressUpdate::release(last, "the disk is full", Some(delay));
        let entries = record.update(&release, NOW).unwrap().entries;
        assert_eq!(entries[0].message, "attempt 1 of 2 ended: the disk is full");
        assert_eq!((entries[0].seq, record.progress.last_entry), (1, 1));

        let waiting = &record.progress;
        assert!(waiting.is_retrying());
        assert_eq!((waiting.attempt, waiting.workers, waiting.succeeded), (1, 0, 5));
        assert_eq!(waiting.error.as_deref(), Some("the disk is full"));
        assert_eq!(waiting.retry_at, Some(NOW + delay));

        let later = NOW + TimeDelta::seconds(20);
        record.update(&ProgressUpdate::start(), later).unwrap();
        let second = &record.progress;
        assert_eq!((second.status, second.attempt, second.retry_at), (Status::Running, 2, None));
        assert_eq!((second.succeeded, second.total, second.error.as_deref()), (2, Some(10), None));
        assert_eq!((second.started_at, second.attempt_started_at), (Some(NOW), Some(later)));

        record.update(&ProgressUpdate::release(Delta::new(), "again", None), later).unwrap();
        assert_eq!(record.progress.status, Status::Failed);
        assert_eq!(record.progress.error.as_deref(), Some("again"));
    }

    #[test]
    fn a_job_that_was_not_saved_starts_from_its_beginning() {
        let mut record = record(NewProgress::new("test").with_attempts(2).with_done(4));
        record.update(&succeeded(3), NOW).unwrap();
        record.update(&ProgressUpdate::abandon(Delta::new()), NOW).unwrap();
        assert_eq!(record.progress.error.as_deref(), Some(WORKER_STOPPED));
        assert_eq!(record.progress.succeeded, 7);
        record.update(&ProgressUpdate::start(), NOW).unwrap();
        assert_eq!((record.progress.succeeded, record.progress.carried_over), (4, 4));
    }

    #[test]
    fn a_lost_worker_ends_only_its_attempt() {
        let mut record = retryable(2);
        record.update(&ProgressUpdate::lose(NOW), NOW).unwrap();
        assert!(record.progress.is_retrying());
        assert_eq!(record.progress.error.as_deref(), Some(WORKER_LOST));
        record.update(&ProgressUpdate::start(), NOW).unwrap();
        record.update(&ProgressUpdate::lose(NOW), NOW).unwrap();
        assert_eq!(record.progress.status, Status::Failed);
    }

    #[test]
    fn a_failure_is_final_and_a_job_without_attempts_has_one() {
        let mut permanent = retryable(5);
        permanent.update(&ProgressUpdate::fail(Delta::new(), "no such file"), NOW).unwrap();
        assert_eq!(permanent.progress.status, Status::Failed);

        let release = ProgressUpdate::release(Delta::new(), "full", Some(Duration::from_secs(1)));
        let fail = ProgressUpdate::fail(Delta::new(), "full");
        for job in [NewProgress::new("test"), NewProgress::new("test").with_auto_complete()] {
            let mut outcomes = [&release, &fail].map(|update| {
                let mut record = record(job.clone());
                record.update(&ProgressUpdate::join(), NOW).unwrap();
                record.update(update, NOW).unwrap();
                record.progress
            });
            let id = outcomes[0].id;
            outcomes.iter_mut().for_each(|progress| progress.id = id);
            assert_eq!(outcomes[0], outcomes[1]);
        }
    }

    #[test]
    fn a_cancel_request_needs_no_further_attempt() {
        let mut asked = retryable(5);
        asked.update(&ProgressUpdate::request_cancel(), NOW).unwrap();
        asked.update(&ProgressUpdate::release(Delta::new(), "full", None), NOW).unwrap();
        let mut waiting = retryable(5);
        waiting.update(&ProgressUpdate::release(Delta::new(), "full", None), NOW).unwrap();
        waiting.update(&ProgressUpdate::request_cancel(), NOW).unwrap();
        for Record { progress, .. } in [asked, waiting] {
            assert_eq!((progress.status, progress.error), (Status::Cancelled, None));
        }
    }

    #[test]
    fn an_update_of_another_attempt_changes_nothing() {
        let mut record = retryable(3);
        record.update(&ProgressUpdate::lose(NOW), NOW).unwrap();
        record.update(&ProgressUpdate::start(), NOW).unwrap();
        let before = record.clone();
        for attempt in [0, 1, 3] {
            let refusal = record.update(&succeeded(1).with_attempt(attempt), NOW);
            assert!(matches!(refusal, Err(ProgressError::Refused { status: Status::Running, .. })));
            assert_eq!(record, before);
        }
        record.update(&succeeded(1).with_attempt(2), NOW).unwrap();
        assert_eq!(record.progress.succeeded, 1);
    }

    #[test]
    fn viewers_do_not_see_a_checkpoint() {
        let mut record = retryable(2);
        let version = record.progress.version;
        let delta = Delta::new().with_checkpoint(checkpoint(1, 0));
        record.update(&ProgressUpdate::advance(delta), NOW).unwrap();
        assert_eq!(record.progress.version, version);
        assert_eq!(record.progress.checkpoint, Some(checkpoint(1, 0)));
    }

    #[test]
    fn the_rate_is_that_of_the_attempt() {
        let mut record = record(NewProgress::new("test").with_attempts(2).with_done(5));
        let mut now = NOW;
        for _ in 0..2 {
            now += TimeDelta::seconds(10);
            record.update(&succeeded(1), now).unwrap();
        }
        let rate = record.progress.rate().unwrap();
        assert!((rate - 0.1).abs() < 0.01, "{rate}");
        record.update(&ProgressUpdate::fail(Delta::new(), "x"), now).unwrap();
        let rate = record.progress.rate().unwrap();
        assert!((rate - 0.1).abs() < 1e-9, "2 items in 20 s: {rate}");
    }

    #[test]
    fn a_shared_job_has_no_attempts() {
        let job = NewProgress::new("test").with_auto_complete().with_attempts(2);
        assert!(matches!(Record::new(&job, NOW), Err(ProgressError::Invalid(_))));
    }

    #[test]
    fn a_document_from_before_attempts_is_readable() {
        let record = record(NewProgress::new("test"));
        let mut document = serde_json::to_value(&record).unwrap();
        let fields = document["progress"].as_object_mut().unwrap();
        for field in ["attempt", "max_attempts", "attempt_started_at", "retry_at", "carried_over"] {
            fields.remove(field).unwrap();
        }
        fields.remove("checkpoint").unwrap();
        let read: Record = serde_json::from_value(document).unwrap();
        assert_eq!((read.progress.attempt, read.progress.max_attempts), (0, None));
    }
}
