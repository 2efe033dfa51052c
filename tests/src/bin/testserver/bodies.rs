//! The request bodies of the test routes, and what the core makes of them.

use progress_core::{
    Completion, Delta, EntryLevel, NewEntry, NewProgress, ProgressError, ProgressId,
    ProgressUpdate, TotalChange,
};
use serde::Deserialize;
use serde_json::Value;

/// `POST /test/jobs`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Job {
    id: Option<ProgressId>,
    owner: Option<String>,
    task_type: Option<String>,
    total: Option<u64>,
    title: Option<String>,
    metadata: Option<Value>,
    auto_complete: Option<bool>,
}

impl From<Job> for NewProgress {
    fn from(job: Job) -> Self {
        let mut new = Self::new(job.task_type.unwrap_or_else(|| "test".to_owned()));
        if let Some(id) = job.id {
            new = new.with_id(id);
        }
        if let Some(owner) = job.owner {
            new = new.with_owner(owner);
        }
        if let Some(total) = job.total {
            new = new.with_total(total);
        }
        if let Some(title) = job.title {
            new = new.with_title(title);
        }
        if let Some(metadata) = job.metadata {
            new = new.with_metadata(metadata);
        }
        if job.auto_complete == Some(true) { new.with_auto_complete() } else { new }
    }
}

/// `POST /test/jobs/{id}/update`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Update {
    transition: Option<Transition>,
    succeeded: Option<u64>,
    failed: Option<u64>,
    total: Option<u64>,
    message: Option<String>,
    /// The error that viewers of a failed job see.
    error: Option<String>,
    /// The result of a completed job.
    result: Option<Value>,
    entries: Option<Vec<Entry>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Transition {
    Start,
    Heartbeat,
    Complete,
    Fail,
    Cancel,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    level: Option<EntryLevel>,
    item: Option<String>,
    message: String,
}

impl From<Entry> for NewEntry {
    fn from(entry: Entry) -> Self {
        let new = match entry.level {
            Some(EntryLevel::Error) => Self::error(entry.message),
            _ => Self::info(entry.message),
        };
        match entry.item {
            Some(item) => new.with_item(item),
            None => new,
        }
    }
}

impl Update {
    /// Returns the updates to apply: two for a start that has more to report, otherwise one.
    pub(crate) fn into_steps(self) -> Result<Vec<ProgressUpdate>, ProgressError> {
        if self.error.is_some() && self.transition != Some(Transition::Fail) {
            return Err(ProgressError::invalid("`error` requires the transition `fail`"));
        }
        if self.result.is_some() && self.transition != Some(Transition::Complete) {
            return Err(ProgressError::invalid("`result` requires the transition `complete`"));
        }
        let message = self.message.clone();
        let mut delta = Delta::new().with_succeeded(self.succeeded.unwrap_or(0));
        delta = delta.with_failed(self.failed.unwrap_or(0));
        if let Some(total) = self.total {
            delta = delta.with_total(TotalChange::Set(total));
        }
        if let Some(message) = self.message {
            delta = delta.with_message(message);
        }
        for entry in self.entries.into_iter().flatten() {
            delta = delta.with_entry(entry.into());
        }
        Ok(match self.transition {
            Some(Transition::Start) if delta.is_empty() => vec![ProgressUpdate::start()],
            Some(Transition::Start) => {
                vec![ProgressUpdate::start(), ProgressUpdate::advance(delta)]
            }
            // A heartbeat is an empty advance.
            None | Some(Transition::Heartbeat) => vec![ProgressUpdate::advance(delta)],
            Some(Transition::Complete) => {
                let mut completion =
                    Completion::new().try_with_result(self.result.unwrap_or_default())?;
                if let Some(message) = message {
                    completion = completion.with_message(message);
                }
                vec![ProgressUpdate::complete(delta, completion)]
            }
            Some(Transition::Fail) => {
                vec![ProgressUpdate::fail(delta, self.error.unwrap_or_default())]
            }
            Some(Transition::Cancel) => vec![ProgressUpdate::cancel(delta)],
        })
    }
}

/// `POST /test/jobs/{id}/run`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Run {
    /// The number of items; by default the job's total, or none.
    pub(crate) items: Option<u64>,
    delay_us: Option<u64>,
    fail_every: Option<u64>,
}

impl Run {
    pub(crate) fn delay(&self) -> std::time::Duration {
        std::time::Duration::from_micros(self.delay_us.unwrap_or(0))
    }

    /// Items are numbered from 1.
    pub(crate) fn fails(&self, item: u64) -> bool {
        self.fail_every.is_some_and(|every| every > 0 && item.is_multiple_of(every))
    }
}
