use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};

use crate::{Progress, ProgressError, ProgressId, Status, limits};

/// The maximum number of records on one page.
pub const MAX_PAGE: u32 = 100;

/// Selects the records to list: newest first, one page at a time. Every condition narrows the list.
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
    /// Selects every record, 20 per page.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Selects only this owner's records.
    #[must_use]
    pub fn with_owner(mut self, owner: impl Into<String>) -> Self {
        self.owner = Some(owner.into());
        self
    }

    /// Selects only this type of job.
    #[must_use]
    pub fn with_task_type(mut self, task_type: impl Into<String>) -> Self {
        // Cut as at creation, because a longer name would match no record.
        self.task_type = Some(limits::text(task_type, limits::MAX_TITLE));
        self
    }

    /// Selects only this status. If there are several conditions on the status, all must hold.
    #[must_use]
    pub fn with_status(mut self, status: Status) -> Self {
        self.statuses.retain(|kept| *kept == status);
        self
    }

    /// Selects only jobs that are pending or running.
    #[must_use]
    pub fn with_active(mut self) -> Self {
        self.statuses.retain(|kept| kept.is_active());
        self
    }

    /// Selects only jobs that have ended.
    #[must_use]
    pub fn with_finished(mut self) -> Self {
        self.statuses.retain(|kept| kept.is_finished());
        self
    }

    /// Sets the number of records per page, 1 to [`MAX_PAGE`].
    #[must_use]
    pub fn with_limit(mut self, limit: u32) -> Self {
        self.limit = limit.clamp(1, MAX_PAGE);
        self
    }

    /// Continues after an earlier page.
    #[must_use]
    pub fn with_cursor(mut self, cursor: Cursor) -> Self {
        self.after = Some(cursor);
        self
    }

    /// Returns the selected owner; `None` selects all jobs, with or without an owner.
    #[must_use]
    pub fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    /// Returns the selected type of job.
    #[must_use]
    pub fn task_type(&self) -> Option<&str> {
        self.task_type.as_deref()
    }

    /// Returns the selected statuses; there may be none.
    #[must_use]
    pub fn statuses(&self) -> &[Status] {
        &self.statuses
    }

    /// Returns the number of records per page.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// Returns the position after which the page begins.
    #[must_use]
    pub const fn after(&self) -> Option<Cursor> {
        self.after
    }

    /// Whether the query selects a record. Stores are tested against this rule.
    #[must_use]
    pub fn matches(&self, progress: &Progress) -> bool {
        self.owner.as_ref().is_none_or(|owner| progress.owner.as_ref() == Some(owner))
            && self.task_type.as_ref().is_none_or(|task_type| progress.task_type == *task_type)
            && self.statuses.contains(&progress.status)
            && self.after.is_none_or(|after| Cursor::of(progress) < after)
    }
}

/// A position in a list, just after a record. Its text can go into a URL; `FromStr` reads it back.
///
/// A page begins at a key and not at an offset, so a job that is created meanwhile shifts nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    created_at: DateTime<Utc>,
    id: ProgressId,
}

impl Cursor {
    /// Returns the position just after this record.
    #[must_use]
    pub const fn of(progress: &Progress) -> Self {
        Self { created_at: progress.created_at, id: progress.id }
    }

    /// Returns when the record was created.
    #[must_use]
    pub const fn created_at(&self) -> DateTime<Utc> {
        self.created_at
    }

    /// Returns the record's id, which orders records of the same millisecond.
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
    /// [`ProgressError::Invalid`] unless the text is that of a cursor.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || ProgressError::invalid("a cursor must be the `next` of an earlier page");
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
    /// Creates a page from the records of a store that looked for one more than `limit`. The extra
    /// record proves that there is another page, so `next` never leads to an empty one.
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
