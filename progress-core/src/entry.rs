use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::limits;

/// The severity of a log entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum EntryLevel {
    /// An ordinary event.
    Info,
    /// A failure, usually of one item.
    Error,
}

impl EntryLevel {
    /// Returns the name used in storage and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Error => "error",
        }
    }
}

/// An entry for a job's log, before a store has numbered it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    level: EntryLevel,
    item: Option<String>,
    message: String,
}

impl NewEntry {
    /// Creates an [`Info`](EntryLevel::Info) entry; at most 500 characters of the message are kept.
    #[must_use]
    pub fn info(message: impl Into<String>) -> Self {
        Self {
            level: EntryLevel::Info,
            item: None,
            message: limits::text(message, limits::MAX_MESSAGE),
        }
    }

    /// Creates an [`Error`](EntryLevel::Error) entry, which viewers can read; at most 500
    /// characters of the message are kept.
    #[must_use]
    pub fn error(message: impl Into<String>) -> Self {
        Self { level: EntryLevel::Error, ..Self::info(message) }
    }

    /// Sets the item that the entry is about; at most 200 characters are kept.
    #[must_use]
    pub fn with_item(mut self, item: impl Into<String>) -> Self {
        self.item = Some(limits::text(item, limits::MAX_TITLE));
        self
    }

    /// Returns the severity.
    #[must_use]
    pub const fn level(&self) -> EntryLevel {
        self.level
    }

    /// Returns the item that the entry is about.
    #[must_use]
    pub fn item(&self) -> Option<&str> {
        self.item.as_deref()
    }

    /// Returns the text.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// A numbered entry of a job's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The number within the log: from 1, increasing, with a gap where entries were dropped.
    pub seq: u64,
    /// When the store received it.
    pub at: DateTime<Utc>,
    /// The severity.
    pub level: EntryLevel,
    /// The item that the entry is about.
    pub item: Option<String>,
    /// The text.
    pub message: String,
}

/// A page of a job's log, oldest entry first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryPage {
    /// The entries, ordered by number.
    pub entries: Vec<Entry>,
    /// The value of `after` for the next page: the number of the last entry here, or the requested
    /// `after` if there is none.
    pub next_after: u64,
    /// How many entries of this log are no longer kept, or never reached the store.
    pub dropped: u64,
}

impl EntryPage {
    /// Creates a page for stores that keep a log as a list. `log` is the kept entries, oldest
    /// first; `newest` is the highest number ever assigned.
    #[must_use]
    pub fn from_log<'a>(
        log: impl ExactSizeIterator<Item = &'a Entry>,
        newest: u64,
        after: u64,
        limit: u32,
    ) -> Self {
        let dropped = newest.saturating_sub(log.len() as u64);
        let entries: Vec<_> =
            log.filter(|entry| entry.seq > after).take(limit as usize).cloned().collect();
        let next_after = entries.last().map_or(after, |entry| entry.seq);
        Self { entries, next_after, dropped }
    }
}
