//! What goes over the wire. The names are those of the endpoint that this library replaces, so that pages written for it
//! keep working; they are a contract with pages we shall never see.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use progress_core::{EntryLevel, EntryPage, Progress, ProgressPage, Status};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// A record as viewers get it. The owner is not in it.
#[derive(Debug, Serialize)]
pub(crate) struct Record<'a> {
    job_id: String,
    task_type: &'a str,
    status: Status,
    total_items: Option<u64>,
    processed_items: u64,
    failed_items: u64,
    success_count: u64,
    remaining_items: Option<u64>,
    progress_percentage: Option<u8>,
    success_rate: Option<u8>,
    current_message: Option<&'a str>,
    error_message: Option<&'a str>,
    custom_title: Option<&'a str>,
    completion_message: Option<&'a str>,
    metadata: Option<&'a Value>,
    result: Option<&'a Value>,
    #[serde(serialize_with = "time")]
    created_at: DateTime<Utc>,
    #[serde(serialize_with = "optional_time")]
    started_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "time")]
    updated_at: DateTime<Utc>,
    #[serde(serialize_with = "optional_time")]
    completed_at: Option<DateTime<Utc>>,
    /// Seconds, to the millisecond.
    duration: Option<f64>,
    /// Whole seconds.
    estimated_remaining_time: Option<u64>,
    /// To two decimals.
    items_per_second: Option<f64>,
    finished: bool,
    stale: bool,
    cancel_requested: bool,
    version: u64,
    /// Milliseconds until it makes sense to ask again; null when it never does.
    poll_after_ms: Option<u64>,
}

impl<'a> Record<'a> {
    pub(crate) fn new(progress: &'a Progress, is_stale: bool, poll_after: Duration) -> Self {
        Self {
            job_id: progress.id.to_string(),
            task_type: &progress.task_type,
            status: progress.status,
            total_items: progress.total,
            processed_items: progress.processed(),
            failed_items: progress.failed,
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
            // Rounded up: a job that still has something to do is not done in 0 seconds.
            estimated_remaining_time: progress.estimated_remaining().map(whole_seconds_up),
            items_per_second: progress.rate().map(|rate| (rate * 100.0).round() / 100.0),
            finished: progress.status.is_finished(),
            stale: is_stale,
            cancel_requested: progress.cancel_requested,
            version: progress.version,
            poll_after_ms: progress.status.is_active().then(|| milliseconds(poll_after)),
        }
    }
}

/// A page of a list.
#[derive(Debug, Serialize)]
pub(crate) struct Page<'a> {
    count: usize,
    jobs: Vec<Record<'a>>,
    next: Option<String>,
}

impl<'a> Page<'a> {
    pub(crate) fn new(page: &'a ProgressPage, record: impl Fn(&'a Progress) -> Record<'a>) -> Self {
        let jobs: Vec<_> = page.items.iter().map(record).collect();
        Self { count: jobs.len(), jobs, next: page.next.map(|cursor| cursor.to_string()) }
    }
}

/// A stretch of a log.
#[derive(Debug, Serialize)]
pub(crate) struct Log<'a> {
    entries: Vec<Line<'a>>,
    next_after: u64,
    dropped: u64,
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    seq: u64,
    #[serde(serialize_with = "time")]
    at: DateTime<Utc>,
    level: EntryLevel,
    item: Option<&'a str>,
    message: &'a str,
}

impl<'a> Log<'a> {
    pub(crate) fn new(page: &'a EntryPage) -> Self {
        let lines = page.entries.iter().map(|entry| Line {
            seq: entry.seq,
            at: entry.at,
            level: entry.level,
            item: entry.item.as_deref(),
            message: &entry.message,
        });
        Self { entries: lines.collect(), next_after: page.next_after, dropped: page.dropped }
    }
}

pub(crate) fn whole_seconds_up(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// RFC 3339 in UTC with milliseconds, always: the same moment has the same text.
fn time<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true))
}

fn optional_time<S: Serializer>(time: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(known) => self::time(known, serializer),
        None => serializer.serialize_none(),
    }
}
