use std::time::Duration;

use serde_json::Value;

use crate::{ProgressError, ProgressId, limits};

/// A job to be watched, before any store has it.
///
/// Nothing here can fail: text that is too long is cut (see [`limits`](crate::limits)), and data that cannot be taken
/// at all (an owner that is empty or too long, metadata over 16 KiB) is reported by the store's
/// [`create`](crate::ProgressStore::create), before anything is written.
///
/// ```
/// use progress_core::{MemoryStore, NewProgress, ProgressStore, Status};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let store = MemoryStore::new();
/// let job = NewProgress::new("email_sending").with_owner("user-7").with_total(50).with_title("Sending invoices");
/// let progress = store.create(&job).await?;
/// assert_eq!(progress.status, Status::Pending);
/// assert_eq!(progress.total, Some(50));
/// # Ok::<(), progress_core::ProgressError>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct NewProgress {
    pub(crate) id: ProgressId,
    pub(crate) task_type: String,
    pub(crate) owner: Option<String>,
    pub(crate) total: Option<u64>,
    pub(crate) title: Option<String>,
    pub(crate) completion_message: Option<String>,
    pub(crate) metadata: Option<Value>,
    pub(crate) auto_complete: bool,
    pub(crate) lease: Duration,
    pub(crate) stall_after: Option<Duration>,
}

impl NewProgress {
    /// A job of a kind, such as `"email_sending"`, with a fresh random id and nothing else.
    #[must_use]
    pub fn new(task_type: impl Into<String>) -> Self {
        Self {
            id: ProgressId::new(),
            task_type: limits::text(task_type, limits::MAX_TITLE),
            owner: None,
            total: None,
            title: None,
            completion_message: None,
            metadata: None,
            auto_complete: false,
            lease: crate::DEFAULT_LEASE,
            stall_after: None,
        }
    }

    /// The id that the record will have: known before it is stored, so it can go into a queue's message.
    #[must_use]
    pub const fn id(&self) -> ProgressId {
        self.id
    }

    /// Uses an id of the caller's own.
    #[must_use]
    pub fn with_id(mut self, id: ProgressId) -> Self {
        self.id = id;
        self
    }

    /// Whose job it is, in the application's own terms (a user id, a tenant). Only this owner sees it; a record without
    /// an owner can be seen by anyone who knows its id.
    #[must_use]
    #[allow(
        clippy::needless_pass_by_value,
        reason = "as the other setters; a number or an id type is handed over too"
    )]
    pub fn with_owner(mut self, owner: impl ToString) -> Self {
        self.owner = Some(owner.to_string());
        self
    }

    /// How many items there are to do. Leave it out while that is not known: the bar then shows that work goes on
    /// without inventing a percentage.
    #[must_use]
    pub fn with_total(mut self, total: u64) -> Self {
        self.total = Some(limits::count(total));
        self
    }

    /// What people read above the bar; at most 200 characters.
    #[must_use]
    pub fn with_title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(limits::text(title, limits::MAX_TITLE));
        self
    }

    /// What people read when the job has completed, unless the completion brings a message of its own; at most 500
    /// characters.
    #[must_use]
    pub fn with_completion_message(mut self, message: impl Into<String>) -> Self {
        self.completion_message = Some(limits::text(message, limits::MAX_MESSAGE));
        self
    }

    /// Data for the page, such as links; whoever may see the progress sees it. At most 16 KiB as compact JSON; `null` is
    /// the same as none.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Value) -> Self {
        self.metadata = (!metadata.is_null()).then_some(metadata);
        self
    }

    /// Completes the job by itself, for jobs shared by several workers of which none knows that it is
    /// the last. Items that failed count as processed. Such a job
    ///
    /// - completes when the processed items have reached the total and every worker has left it. A
    ///   producer that adds to the total while it finds items therefore works on the job for so long,
    ///   as any other worker does. An empty one (total 0) is complete when it is created;
    /// - completes without a known total when its last worker has completed;
    /// - goes on without a worker that fails or obeys a cancel request until the others have left:
    ///   they are told to stop, and their counts are kept;
    /// - fails when no worker has been at it for as long as its lease and items are missing.
    ///
    /// The counts are the workers' word. If a queue hands the same part of the job out twice, its
    /// items are counted twice.
    #[must_use]
    pub fn with_auto_complete(mut self) -> Self {
        self.auto_complete = true;
        self
    }

    /// For how long a worker may be silent before a janitor declares it lost; 45 s unless told
    /// otherwise, at least 1 ms, at most 365 days. A tracker sends a heartbeat at least three times
    /// within it.
    #[must_use]
    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = limits::span(lease);
        self
    }

    /// Shows the job as stalled when it is running and there has been no count, message or entry for
    /// so long, although its worker sends heartbeats: work that hangs. Off unless set. It changes
    /// nothing else.
    #[must_use]
    pub fn with_stall_after(mut self, silence: Duration) -> Self {
        self.stall_after = Some(limits::span(silence));
        self
    }

    pub(crate) fn check(&self) -> Result<(), ProgressError> {
        if let Some(owner) = &self.owner {
            if owner.is_empty() {
                return Err(ProgressError::invalid(
                    "an owner is not empty; leave it out for a job that anyone may see",
                ));
            }
            // nth, not count: a megabyte need not be walked to the end.
            if owner.chars().nth(limits::MAX_OWNER).is_some() || owner.contains('\0') {
                return Err(ProgressError::invalid(
                    "an owner has at most 200 characters, none of them NUL",
                ));
            }
        }
        match &self.metadata {
            Some(metadata) => limits::json("metadata", metadata),
            None => Ok(()),
        }
    }
}
