use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};

use crate::{Progress, ProgressError, ProgressId, Status, limits};

/// The most records that one page holds.
pub const MAX_PAGE: u32 = 100;

/// Which records to list: newest first, a page at a time. Every condition narrows the list.
///
/// ```
/// use progress_core::{MAX_PAGE, ProgressQuery, Status};
///
/// let query = ProgressQuery::new().with_owner("user-7").with_active().with_limit(1_000);
/// assert_eq!(query.statuses(), [Status::Pending, Status::Running]);
/// assert_eq!(query.limit(), MAX_PAGE);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgressQuery {
    owner: Option<String>,
    task_type: Option<String>,
    statuses: Vec<Status>,
    limit: u32,
    after: Option<Cursor>,
}

impl Default for ProgressQuery {
    fn default() -> Self {
        Self {
            owner: None,
            task_type: None,
            statuses: Status::ALL.to_vec(),
            limit: 20,
            after: None,
        }
    }
}

impl ProgressQuery {
    /// Every record, 20 to a page.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only this owner's.
    #[must_use]
    pub fn with_owner(mut self, owner: impl Into<String>) -> Self {
        self.owner = Some(owner.into());
        self
    }

    /// Only this kind of job.
    #[must_use]
    pub fn with_task_type(mut self, task_type: impl Into<String>) -> Self {
        // As at creation, or a long name would never be found again.
        self.task_type = Some(limits::text(task_type, limits::MAX_TITLE));
        self
    }

    /// Only this status. With several conditions on the status, all of them must hold.
    #[must_use]
    pub fn with_status(mut self, status: Status) -> Self {
        self.statuses.retain(|kept| *kept == status);
        self
    }

    /// Only jobs that wait or run.
    #[must_use]
    pub fn with_active(mut self) -> Self {
        self.statuses.retain(|kept| kept.is_active());
        self
    }

    /// Only jobs that have ended.
    #[must_use]
    pub fn with_finished(mut self) -> Self {
        self.statuses.retain(|kept| kept.is_finished());
        self
    }

    /// How many records to a page, 1 to [`MAX_PAGE`].
    #[must_use]
    pub fn with_limit(mut self, limit: u32) -> Self {
        self.limit = limit.clamp(1, MAX_PAGE);
        self
    }

    /// Goes on after an earlier page.
    #[must_use]
    pub fn with_cursor(mut self, cursor: Cursor) -> Self {
        self.after = Some(cursor);
        self
    }

    /// The owner asked for; `None` is every owner and none.
    #[must_use]
    pub fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    /// The kind of job asked for.
    #[must_use]
    pub fn task_type(&self) -> Option<&str> {
        self.task_type.as_deref()
    }

    /// The statuses that are let through; possibly none.
    #[must_use]
    pub fn statuses(&self) -> &[Status] {
        &self.statuses
    }

    /// How many records to a page.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// Where the page begins.
    #[must_use]
    pub const fn after(&self) -> Option<Cursor> {
        self.after
    }

    /// Whether a record belongs on the list: the rule that stores are tested against.
    #[must_use]
    pub fn matches(&self, progress: &Progress) -> bool {
        self.owner.as_ref().is_none_or(|owner| progress.owner.as_ref() == Some(owner))
            && self.task_type.as_ref().is_none_or(|task_type| progress.task_type == *task_type)
            && self.statuses.contains(&progress.status)
            && self.after.is_none_or(|after| Cursor::of(progress) < after)
    }
}

/// A place in a list: just after a record. Its text goes into a URL; `FromStr` reads it back.
///
/// Pages are cut by key and not by count, so a job that is created meanwhile shifts nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    created_at: DateTime<Utc>,
    id: ProgressId,
}

impl Cursor {
    /// The place just after this record.
    #[must_use]
    pub const fn of(progress: &Progress) -> Self {
        Self { created_at: progress.created_at, id: progress.id }
    }

    /// When the record was made.
    #[must_use]
    pub const fn created_at(&self) -> DateTime<Utc> {
        self.created_at
    }

    /// The record's id, which orders those of one millisecond.
    #[must_use]
    pub const fn id(&self) -> ProgressId {
        self.id
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.created_at.timestamp_millis(), self.id)
    }
}

impl FromStr for Cursor {
    type Err = ProgressError;

    /// # Errors
    ///
    /// [`ProgressError::Invalid`] for anything that is not the text of a cursor.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed =
            || ProgressError::invalid("a cursor is what an earlier page gave as its next");
        let (millis, id) = text.split_once('.').ok_or_else(malformed)?;
        let created_at =
            millis.parse().ok().and_then(DateTime::from_timestamp_millis).ok_or_else(malformed)?;
        Ok(Self { created_at, id: id.parse().map_err(|_| malformed())? })
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct ProgressPage {
    /// The records, newest first.
    pub items: Vec<Progress>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<Cursor>,
}

impl ProgressPage {
    /// Makes a page of what a store found when it looked for one record more than `limit`: a record too many proves
    /// that there is another page, so no page is ever announced that turns out empty.
    #[must_use]
    pub fn from_one_more(mut items: Vec<Progress>, limit: u32) -> Self {
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let next = if more { items.last().map(Cursor::of) } else { None };
        Self { items, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NewProgress;

    #[test]
    fn a_cursor_survives_its_text() {
        let progress = Progress::new(&NewProgress::new("t"), Utc::now()).unwrap();
        let cursor = Cursor::of(&progress);
        assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        for text in [
            "",
            ".",
            "1",
            "1.",
            "x.67e55044-10b1-426f-9247-bb680e5fe0c8",
            "9223372036854775807.67e55044-10b1-426f-9247-bb680e5fe0c8",
        ] {
            assert!(text.parse::<Cursor>().is_err(), "{text}");
        }
    }

    #[test]
    fn conditions_narrow() {
        let query = ProgressQuery::new().with_active().with_status(Status::Failed);
        assert!(query.statuses().is_empty());
        assert_eq!(ProgressQuery::new().with_limit(0).limit(), 1);
    }
}
