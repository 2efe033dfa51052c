use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::limits;

/// How a log entry is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum EntryLevel {
    /// Something worth a line.
    Info,
    /// Something went wrong, usually with one item.
    Error,
}

impl EntryLevel {
    /// The word used in storage and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Error => "error",
        }
    }
}

/// A line for a job's log, before a store has numbered it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    level: EntryLevel,
    item: Option<String>,
    message: String,
}

impl NewEntry {
    /// An [`Info`](EntryLevel::Info) line; the message keeps at most 500 characters.
    #[must_use]
    pub fn info(message: impl Into<String>) -> Self {
        Self {
            level: EntryLevel::Info,
            item: None,
            message: limits::text(message, limits::MAX_MESSAGE),
        }
    }

    /// An [`Error`](EntryLevel::Error) line; the message keeps at most 500 characters. Viewers read it.
    #[must_use]
    pub fn error(message: impl Into<String>) -> Self {
        Self { level: EntryLevel::Error, ..Self::info(message) }
    }

    /// Names the item it is about; at most 200 characters.
    #[must_use]
    pub fn with_item(mut self, item: impl Into<String>) -> Self {
        self.item = Some(limits::text(item, limits::MAX_TITLE));
        self
    }

    /// How it is meant.
    #[must_use]
    pub const fn level(&self) -> EntryLevel {
        self.level
    }

    /// The item it is about.
    #[must_use]
    pub fn item(&self) -> Option<&str> {
        self.item.as_deref()
    }

    /// The text.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// One line of a job's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number within the log: from 1, growing, with a gap where entries were dropped.
    pub seq: u64,
    /// When the store took it.
    pub at: DateTime<Utc>,
    /// How it is meant.
    pub level: EntryLevel,
    /// The item it is about.
    pub item: Option<String>,
    /// The text.
    pub message: String,
}

/// A stretch of a job's log, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryPage {
    /// The entries, in the order of their numbers.
    pub entries: Vec<Entry>,
    /// What to ask `after` next: the number of the last entry given, or what was asked when there was none.
    pub next_after: u64,
    /// How many entries of this log are no longer kept, or never arrived.
    pub dropped: u64,
}

impl EntryPage {
    /// The page of a log whose kept entries are at hand, oldest first, and whose newest entry ever had
    /// the number `newest`: for stores that keep a log as a list.
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
