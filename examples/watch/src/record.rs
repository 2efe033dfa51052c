//! The record as the server sends it, and the texts that are made of it. They are clean.

use std::time::Duration;

use serde::Deserialize;

use crate::text::{clean, duration};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    Pending,
    Running,
    Completed,
    Failed,
    Cancelled,
}

/// The fields that are shown. All but the status may be missing, as in the reply of a server that
/// only speaks a similar format.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Record {
    pub(crate) status: Status,
    task_type: Option<String>,
    custom_title: Option<String>,
    total_items: Option<u64>,
    #[serde(default)]
    processed_items: u64,
    #[serde(default)]
    pub(crate) failed_items: u64,
    progress_percentage: Option<u8>,
    current_message: Option<String>,
    error_message: Option<String>,
    completion_message: Option<String>,
    result: Option<serde_json::Value>,
    duration: Option<f64>,
    estimated_remaining_time: Option<u32>,
    #[serde(default)]
    stale: bool,
    #[serde(default)]
    stalled: bool,
    #[serde(default)]
    cancel_requested: bool,
    attempt: Option<u32>,
    max_attempts: Option<u32>,
    #[serde(default)]
    retrying: bool,
    retry_at: Option<String>,
    #[serde(default)]
    stages: Vec<Stage>,
    stage: Option<usize>,
    poll_after_ms: Option<u64>,
}

#[derive(Debug, Clone, Deserialize)]
struct Stage {
    name: String,
}

/// How good the state of the job is, which decides the color.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Waiting,
    Running,
    Success,
    Warning,
    Error,
}

impl Record {
    pub(crate) fn is_finished(&self) -> bool {
        !matches!(self.status, Status::Pending | Status::Running)
    }

    pub(crate) fn poll_after(&self) -> Option<Duration> {
        self.poll_after_ms.map(|pause| Duration::from_millis(pause.clamp(50, 60_000)))
    }

    pub(crate) fn title(&self) -> String {
        let title = self.custom_title.as_deref().or(self.task_type.as_deref());
        clean(title.unwrap_or("Progress"))
    }

    /// What the job does, in a word or two. The most important problem comes first.
    pub(crate) fn state(&self) -> String {
        match self.status {
            Status::Completed => "completed".to_owned(),
            Status::Failed => "failed".to_owned(),
            Status::Cancelled => "cancelled".to_owned(),
            _ if self.stale => "not responding".to_owned(),
            _ if self.cancel_requested => "cancelling".to_owned(),
            Status::Running if self.stalled => "stalled".to_owned(),
            Status::Running => "running".to_owned(),
            Status::Pending if self.retrying => {
                let attempt = self.attempt.unwrap_or(0).saturating_add(1);
                match self.max_attempts {
                    Some(attempts) => format!("retrying: {attempt} of {attempts}"),
                    None => "retrying".to_owned(),
                }
            }
            Status::Pending => "waiting".to_owned(),
        }
    }

    pub(crate) fn tone(&self) -> Tone {
        match self.status {
            Status::Completed if self.failed_items == 0 => Tone::Success,
            Status::Failed => Tone::Error,
            Status::Cancelled => Tone::Waiting,
            Status::Completed => Tone::Warning,
            _ if self.stale || self.stalled || self.retrying => Tone::Warning,
            Status::Running => Tone::Running,
            Status::Pending => Tone::Waiting,
        }
    }

    pub(crate) fn percentage(&self) -> Option<u8> {
        self.progress_percentage.map(|percentage| percentage.min(100))
    }

    /// The counts, the errors and the time left.
    pub(crate) fn counts(&self) -> String {
        let counts = match self.total_items {
            Some(total) => format!("{} of {total}", self.processed_items),
            None => self.processed_items.to_string(),
        };
        let errors = match self.failed_items {
            0 => None,
            1 => Some("1 error".to_owned()),
            errors => Some(format!("{errors} errors")),
        };
        let left = self.estimated_remaining_time.filter(|_| self.state() == "running");
        let left = left.map(|left| format!("about {} left", duration(f64::from(left))));
        [Some(counts), errors, left].into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    /// The attempt, unless it is the first, and the stage.
    pub(crate) fn stage(&self) -> Option<String> {
        if self.status != Status::Running {
            return None;
        }
        let attempt = self.attempt.filter(|attempt| *attempt > 1).map(|attempt| {
            self.max_attempts.map_or_else(
                || format!("attempt {attempt}"),
                |attempts| format!("attempt {attempt} of {attempts}"),
            )
        });
        let stage = self.stage.and_then(|number| {
            let stage = self.stages.get(number.checked_sub(1)?)?;
            Some(format!("step {number} of {}: {}", self.stages.len(), clean(&stage.name)))
        });
        let parts: Vec<_> = [attempt, stage].into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// The worker's latest message, or why the job ended.
    pub(crate) fn message(&self) -> String {
        let reason = self.error_message.as_deref().map(clean).filter(|reason| !reason.is_empty());
        match self.status {
            Status::Completed => {
                let taken = self.duration.map(|taken| format!("Completed in {}.", duration(taken)));
                let said = self.completion_message.as_deref().map(clean);
                said.or(taken).unwrap_or_default()
            }
            Status::Failed => reason.unwrap_or_default(),
            Status::Pending if self.retrying => {
                let at =
                    self.retry_at.as_deref().map(|at| format!("next attempt at {}", clean(at)));
                [reason, at].into_iter().flatten().collect::<Vec<_>>().join(" - ")
            }
            _ => clean(self.current_message.as_deref().unwrap_or_default()),
        }
    }

    /// The address of the result, if the job has completed with one.
    pub(crate) fn result(&self) -> Option<String> {
        let result = self.result.as_ref().filter(|_| self.status == Status::Completed)?;
        let href = result.get("href")?.as_str()?;
        let label = result.get("label").and_then(serde_json::Value::as_str);
        Some(format!("{}: {}", clean(label.unwrap_or("Result")), clean(href)))
    }
}
