//! The JSON that is sent. The field names are those of the endpoint that this library replaces, so
//! that pages written for it keep working. They are a contract with pages that are unknown to us.
//! Clients also know the schemas of the OpenAPI document by name, so `schema(as = …)` keeps them.

use std::cmp::Ordering;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use progress_core::{EntryLevel, EntryPage, Progress, ProgressId, Stage, Stages, Status};
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::Viewer;
#[cfg(feature = "openapi")]
use crate::openapi;
use crate::prepared::Settings;

/// The record of a job.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Record))]
pub(crate) struct RecordJson<'a> {
    /// Unique id of the job: a UUID in lower case with hyphens.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = "uuid"))]
    job_id: ProgressId,
    /// The kind of job, as named by the application.
    task_type: &'a str,
    #[cfg_attr(feature = "openapi", schema(value_type = openapi::Status))]
    status: Status,
    /// The number of items, or of those of the current stage; null when unknown.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    total_items: Option<u64>,
    /// How many items have been processed, or how many of the current stage, including failed ones.
    processed_items: u64,
    /// How many items have failed, in all stages.
    failed_items: u64,
    /// How many items have succeeded, or how many of the current stage.
    success_count: u64,
    #[cfg_attr(feature = "openapi", schema(required = true))]
    remaining_items: Option<u64>,
    /// Whole per cent; 100 if and only if the job has completed, else null when the total is
    /// unknown or has been exceeded. With stages it is their weighted sum, and never null.
    #[cfg_attr(feature = "openapi", schema(required = true, maximum = 100))]
    progress_percentage: Option<u8>,
    /// The share of processed items that did not fail, in whole per cent; null before the first.
    #[cfg_attr(feature = "openapi", schema(required = true, maximum = 100))]
    success_rate: Option<u8>,
    /// The worker's latest message.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    current_message: Option<&'a str>,
    /// Why the job failed, as a text for viewers.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    error_message: Option<&'a str>,
    /// The title to show.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    custom_title: Option<&'a str>,
    /// The message to show when the job has completed.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    completion_message: Option<&'a str>,
    /// The data that the application attached when it created the job.
    #[cfg_attr(feature = "openapi", schema(required = true, value_type = Value))]
    metadata: Option<&'a Value>,
    /// The data that the job returned when it completed.
    #[cfg_attr(feature = "openapi", schema(required = true, value_type = Value))]
    result: Option<&'a Value>,
    #[serde(serialize_with = "time")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    created_at: DateTime<Utc>,
    #[serde(serialize_with = "optional_time")]
    #[cfg_attr(
        feature = "openapi",
        schema(required = true, value_type = Option<String>, format = DateTime)
    )]
    started_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "time")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    updated_at: DateTime<Utc>,
    /// When the job completed, failed or was cancelled.
    #[serde(serialize_with = "optional_time")]
    #[cfg_attr(
        feature = "openapi",
        schema(required = true, value_type = Option<String>, format = DateTime)
    )]
    completed_at: Option<DateTime<Utc>>,
    /// Seconds from the start to the end, or to the latest change, rounded to milliseconds.
    #[cfg_attr(feature = "openapi", schema(required = true, minimum = 0))]
    duration: Option<f64>,
    /// Estimated remaining seconds at the recent pace, rounded up; null when unknown.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    estimated_remaining_time: Option<u64>,
    /// Rounded to two decimals.
    #[cfg_attr(feature = "openapi", schema(required = true, minimum = 0))]
    items_per_second: Option<f64>,
    /// Whether the job has completed, failed or was cancelled. Nothing changes after that.
    finished: bool,
    /// Whether the job is running, but its worker has been silent for `stale_after_ms`.
    stale: bool,
    /// Whether the job is running, but has not changed for longer than it allows, even if its
    /// worker is alive.
    stalled: bool,
    cancel_requested: bool,
    /// The number of the current or last attempt, 0 before the first. This field and the next three
    /// are only there for a job that may run more than once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    attempt: Option<u32>,
    /// How often the job may be started.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    max_attempts: Option<u32>,
    /// Whether the job is pending because an attempt has ended and another may follow.
    /// `error_message` says why it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    retrying: Option<bool>,
    /// When the next attempt is expected, if the job is retrying and the worker has said so.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional_time")]
    #[cfg_attr(
        feature = "openapi",
        schema(nullable = false, value_type = Option<String>, format = DateTime)
    )]
    retry_at: Option<DateTime<Utc>>,
    /// The parts of the work, in their order. This field and the next two are only there for a job
    /// that has stages.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    stages: Option<Vec<StageJson<'a>>>,
    /// The number of the current stage, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, minimum = 1))]
    stage: Option<usize>,
    /// How far the current stage has come, in whole per cent; left out while that is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, maximum = 100))]
    stage_percentage: Option<u8>,
    /// The owner of the job; only for administrators.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    owner: Option<&'a str>,
    /// Increases with every change.
    version: u64,
    /// Milliseconds until the next poll; null when the job has ended.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    poll_after_ms: Option<u64>,
    /// Milliseconds without a sign of life from the worker after which a running job is `stale`;
    /// null when the job has ended.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    stale_after_ms: Option<u64>,
}

impl<'a> RecordJson<'a> {
    pub(crate) fn new(progress: &'a Progress, viewer: &Viewer, settings: Settings) -> Self {
        let Settings { poll_after, stale_after, .. } = settings;
        let is_active = progress.status.is_active();
        Self {
            job_id: progress.id,
            task_type: &progress.task_type,
            status: progress.status,
            total_items: progress.total,
            processed_items: progress.processed(),
            failed_items: progress.failed_in_all_stages(),
            success_count: progress.succeeded,
            remaining_items: progress.remaining(),
            progress_percentage: progress.percentage(),
            success_rate: progress.success_rate(),
            current_message: progress.message.as_deref(),
            error_message: progress.error.as_deref(),
            custom_title: progress.title.as_deref(),
            completion_message: progress.completion_message.as_deref(),
            metadata: progress.metadata.as_ref(),
            result: progress.result.as_ref(),
            created_at: progress.created_at,
            started_at: progress.started_at,
            updated_at: progress.updated_at,
            completed_at: progress.finished_at,
            duration: progress
                .duration()
                .map(|duration| (duration.as_secs_f64() * 1_000.0).round() / 1_000.0),
            // Rounded up, so that a job with remaining items does not show 0 seconds.
            estimated_remaining_time: progress.estimated_remaining().map(whole_seconds_up),
            items_per_second: progress.rate().map(|rate| (rate * 100.0).round() / 100.0),
            finished: progress.status.is_finished(),
            stale: progress.is_stale(stale_after),
            stalled: progress.is_stalled(),
            cancel_requested: progress.cancel_requested,
            attempt: progress.max_attempts.map(|_| progress.attempt),
            max_attempts: progress.max_attempts,
            retrying: progress.max_attempts.map(|_| progress.is_retrying()),
            retry_at: progress.retry_at,
            stages: progress.stages.as_ref().map(|stages| StageJson::all(stages, progress.status)),
            stage: progress.stages.as_ref().map(|stages| stages.current + 1),
            stage_percentage: progress.stages.as_ref().and_then(|_| progress.stage_percentage()),
            owner: match viewer {
                Viewer::Admin => progress.owner.as_deref(),
                Viewer::Owner(_) | Viewer::Anyone => None,
            },
            version: progress.version,
            poll_after_ms: is_active.then(|| milliseconds(poll_after)),
            stale_after_ms: is_active.then(|| milliseconds(stale_after)),
        }
    }
}

/// A stage of a job.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Stage))]
struct StageJson<'a> {
    name: &'a str,
    /// The share of the stage in the percentage, relative to the weights of the other stages.
    weight: u32,
    /// `completed` before the current stage, the status of the job in the current one, `pending`
    /// after it. All are `completed` if the job is.
    #[cfg_attr(feature = "openapi", schema(value_type = openapi::Status))]
    state: Status,
}

impl<'a> StageJson<'a> {
    fn all(stages: &'a Stages, status: Status) -> Vec<Self> {
        let stage = |(index, stage): (usize, &'a Stage)| Self {
            name: &stage.name,
            weight: stage.weight,
            state: match index.cmp(&stages.current) {
                _ if status == Status::Completed => status,
                Ordering::Less => Status::Completed,
                Ordering::Equal => status,
                Ordering::Greater => Status::Pending,
            },
        };
        stages.all.iter().enumerate().map(stage).collect()
    }
}

/// A page of a list of jobs, newest first.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Page))]
pub(crate) struct PageJson<'a> {
    /// The number of jobs on this page.
    count: usize,
    #[cfg_attr(feature = "openapi", schema(max_items = 100))]
    jobs: Vec<RecordJson<'a>>,
    /// The `cursor` of the next page; null on the last page.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    next: Option<String>,
    /// Milliseconds until the next poll of the list.
    poll_after_ms: u64,
}

impl<'a> PageJson<'a> {
    pub(crate) fn new(
        jobs: Vec<RecordJson<'a>>,
        next: Option<String>,
        poll_after: Duration,
    ) -> Self {
        Self { count: jobs.len(), jobs, next, poll_after_ms: milliseconds(poll_after) }
    }
}

/// A page of a job's log, oldest entry first.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Log))]
pub(crate) struct LogJson<'a> {
    entries: Vec<EntryJson<'a>>,
    /// The `after` of the next page.
    next_after: u64,
    /// How many of the oldest entries were dropped, because a log keeps only its newest.
    dropped: u64,
}

/// One entry of a log.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Line))]
pub(crate) struct EntryJson<'a> {
    seq: u64,
    #[serde(serialize_with = "time")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    at: DateTime<Utc>,
    #[cfg_attr(feature = "openapi", schema(value_type = openapi::EntryLevel))]
    level: EntryLevel,
    /// The item that the entry is about; null if it is not about a single item.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    item: Option<&'a str>,
    message: &'a str,
}

impl<'a> LogJson<'a> {
    pub(crate) fn new(page: &'a EntryPage) -> Self {
        let entries = page.entries.iter().map(|entry| EntryJson {
            seq: entry.seq,
            at: entry.at,
            level: entry.level,
            item: entry.item.as_deref(),
            message: &entry.message,
        });
        Self { entries: entries.collect(), next_after: page.next_after, dropped: page.dropped }
    }
}

pub(crate) fn whole_seconds_up(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Always RFC 3339 in UTC with milliseconds, so that equal times have equal text.
fn time<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true))
}

fn optional_time<S: Serializer>(
    time: &Option<DateTime<Utc>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(known) => self::time(known, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use progress_core::{Completion, Delta, NewProgress, ProgressUpdate};
    use serde_json::json;

    use super::*;

    fn sent(progress: &Progress) -> Value {
        let second = Duration::from_secs(1);
        let settings = Settings { poll_after: second, stale_after: second, tag: 0 };
        serde_json::to_value(RecordJson::new(progress, &Viewer::Admin, settings)).unwrap()
    }

    fn assert_sent(progress: &Progress, expected: [(&str, Value); 3]) {
        let sent = sent(progress);
        for (name, value) in expected {
            assert_eq!(sent[name], value, "{name} of {sent}");
        }
    }

    #[test]
    fn measures_are_rounded_as_documented() {
        let started = DateTime::UNIX_EPOCH;
        let mut progress = Progress::new(&NewProgress::new("t").with_total(10), started).unwrap();
        assert_sent(
            &progress,
            ["duration", "items_per_second", "estimated_remaining_time"]
                .map(|name| (name, Value::Null)),
        );
        progress.apply(&ProgressUpdate::start(), started).unwrap();
        let reported = started + TimeDelta::microseconds(7_001_400);
        let three = ProgressUpdate::advance(Delta::new().with_succeeded(2).with_failed(1));
        progress.apply(&three, reported).unwrap();
        // 3 items in 7.001 s are 0.4285 per second; the remaining 7 take 16.3 s.
        assert_sent(
            &progress,
            [
                ("duration", json!(7.001)),
                ("items_per_second", json!(0.43)),
                ("estimated_remaining_time", json!(17)),
            ],
        );
        let ended = started + TimeDelta::milliseconds(30_000);
        let rest = Delta::new().with_succeeded(7);
        progress.apply(&ProgressUpdate::complete(rest, Completion::new()), ended).unwrap();
        assert_sent(
            &progress,
            [
                ("duration", json!(30.0)),
                ("items_per_second", json!(0.33)),
                ("estimated_remaining_time", Value::Null),
            ],
        );
    }

    #[test]
    fn seconds_are_rounded_up() {
        for (milliseconds, expected) in [(0, 0), (1, 1), (1_000, 1), (1_001, 2)] {
            assert_eq!(whole_seconds_up(Duration::from_millis(milliseconds)), expected);
        }
    }
}
