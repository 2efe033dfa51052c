use std::time::Duration;

use serde_json::Value;

use crate::{ProgressError, ProgressId, limits, stages};

/// A new job, before a store has its record.
///
/// Nothing here can fail. Text that is too long is cut (see [`limits`](crate::limits)). Invalid
/// data (an owner that is empty or too long, metadata over 16 KiB) is reported by the store's
/// [`create`](crate::ProgressStore::create), before anything is written.
///
/// ```
/// use progress_core::{MemoryStore, NewProgress, ProgressStore, Status};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let store = MemoryStore::new();
/// let job = NewProgress::new("email_sending")
///     .with_owner("user-7")
///     .with_total(50)
///     .with_title("Sending invoices");
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
    pub(crate) max_attempts: Option<u32>,
    pub(crate) done: u64,
    pub(crate) stages: Option<Vec<(String, u32)>>,
    pub(crate) announces: bool,
}

impl NewProgress {
    /// Creates a job of a type such as `"email_sending"`, with a random id and nothing else.
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
            max_attempts: None,
            done: 0,
            stages: None,
            announces: false,
        }
    }

    /// Returns the id of the future record. It is known in advance, so it can go into a queue's
    /// message.
    #[must_use]
    pub const fn id(&self) -> ProgressId {
        self.id
    }

    /// Sets the id, instead of a random one.
    #[must_use]
    pub fn with_id(mut self, id: ProgressId) -> Self {
        self.id = id;
        self
    }

    /// Sets the owner, in the application's own terms (a user id, a tenant). Only the owner sees
    /// the job. A job without an owner is visible to anyone who knows its id.
    #[must_use]
    #[allow(
        clippy::needless_pass_by_value,
        reason = "like the other setters; it also takes numbers and id types"
    )]
    pub fn with_owner(mut self, owner: impl ToString) -> Self {
        self.owner = Some(owner.to_string());
        self
    }

    /// Sets the number of items. Omit it while it is unknown: the bar then shows activity without a
    /// percentage.
    #[must_use]
    pub fn with_total(mut self, total: u64) -> Self {
        self.total = Some(limits::count(total));
        self
    }

    /// Sets the heading above the bar; at most 200 characters are kept.
    #[must_use]
    pub fn with_title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(limits::text(title, limits::MAX_TITLE));
        self
    }

    /// Sets the text that viewers see when the job has completed, unless the completion has its own
    /// message; at most 500 characters are kept.
    #[must_use]
    pub fn with_completion_message(mut self, message: impl Into<String>) -> Self {
        self.completion_message = Some(limits::text(message, limits::MAX_MESSAGE));
        self
    }

    /// Sets data for the page, such as links. Every viewer of the job sees it. At most 16 KiB as
    /// compact JSON; `null` is the same as none.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Value) -> Self {
        self.metadata = (!metadata.is_null()).then_some(metadata);
        self
    }

    /// Makes this a shared job: it completes by itself, because none of its workers can know that
    /// it is the last. Items that failed count as processed. A shared job
    ///
    /// - completes when the processed items have reached the total and every worker has left. A
    ///   producer that adds to the total while it finds items must therefore work on the job
    ///   meanwhile, like any other worker. An empty job (total 0) is complete when it is created;
    /// - completes without a known total when its last worker has completed;
    /// - continues after a worker fails or obeys a cancel request, until the other workers have
    ///   left. They are told to stop, and their counts are kept;
    /// - fails if items are missing and it has had no worker for as long as its lease.
    ///
    /// The counts are not verified. If a queue delivers the same part of the job twice, its items
    /// are counted twice.
    #[must_use]
    pub fn with_auto_complete(mut self) -> Self {
        self.auto_complete = true;
        self
    }

    /// Sets how long a worker may be silent before a janitor declares it lost: 45 s by default, at
    /// least 1 ms, at most 365 days. A tracker sends a heartbeat at least three times within it.
    #[must_use]
    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = limits::span(lease);
        self
    }

    /// Shows the running job as stalled if there has been no count, message or entry for `silence`,
    /// although its worker sends heartbeats. Off by default. It changes nothing else.
    #[must_use]
    pub fn with_stall_after(mut self, silence: Duration) -> Self {
        self.stall_after = Some(limits::span(silence));
        self
    }

    /// Allows up to `attempts` starts, at least 1, if a queue delivers the job again after an
    /// error, a crash or a deploy. An attempt that ends early then leaves the job pending, and the
    /// next start continues from the last [`save`](crate::TrackerHandle::save). After the last
    /// attempt the job fails. Without this setting the first start is the only one.
    ///
    /// Something must run the job again, such as the queue; the library does not. The setting does
    /// not fit a job that [several workers share](Self::with_auto_complete).
    ///
    /// ```
    /// # use progress_core::{Jobs, MemoryStore, NewProgress, Status};
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
    /// # .block_on(async {
    /// let jobs = Jobs::new(MemoryStore::new());
    /// let job = jobs.create(NewProgress::new("import").with_total(4).with_attempts(3)).await?;
    /// // A queue would run this for each delivery.
    /// let deliver = || jobs.run(job.id, async |tracker| {
    ///     let done = tracker.cursor::<u64>()?.unwrap_or(0);
    ///     for line in done..4 {
    ///         if line == 2 && tracker.attempt() == 1 {
    ///             return Err(progress_core::Failure::new("the disk is full"));
    ///         }
    ///         tracker.inc(1);
    ///         tracker.save(&(line + 1))?;
    ///     }
    ///     Ok(())
    /// });
    /// let first = deliver().await?;
    /// assert_eq!(first.status, Status::Pending);
    /// assert_eq!(first.error.as_deref(), Some("the disk is full"));
    /// let second = deliver().await?;
    /// assert_eq!((second.status, second.succeeded), (Status::Completed, 4));
    /// # Ok::<(), progress_core::ProgressError>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn with_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = Some(attempts.max(1));
        self
    }

    /// Sets how many items were processed before this job, such as by an earlier one that it
    /// continues. They count in the percentage, and not in the rate and the estimated time.
    #[must_use]
    pub fn with_done(mut self, items: u64) -> Self {
        self.done = limits::count(items);
        self
    }

    /// Divides the job into stages: parts that follow each other, each with its own total and
    /// counts. A worker begins each with [`begin_stage`](crate::TrackerHandle::begin_stage).
    /// Viewers see its name, its number, and one bar over all stages. The weight of a stage is its
    /// share in that bar, from 1 to 1,000: about the time that it takes, compared with the others.
    ///
    /// The job is in its first stage from the start, so [`with_total`](Self::with_total) and
    /// [`with_done`](Self::with_done) are those of the first stage. A job may have up to 20 stages,
    /// with different names of at most 200 characters. Stages do not fit a job that
    /// [several workers share](Self::with_auto_complete).
    ///
    /// ```
    /// # use progress_core::{Jobs, MemoryStore, NewProgress};
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
    /// # .block_on(async {
    /// let jobs = Jobs::new(MemoryStore::new());
    /// let job = NewProgress::new("import").with_stages([("Check", 1), ("Import", 3)]);
    /// let id = jobs.create(job).await?.id;
    /// let ended = jobs.run(id, async |tracker| {
    ///     for stage in ["Check", "Import"] {
    ///         if tracker.begin_stage(stage)? {
    ///             tracker.set_total(2);
    ///             tracker.inc(2);
    ///         }
    ///     }
    ///     Ok(())
    /// }).await?;
    /// let stages = ended.stages.as_ref().unwrap();
    /// assert_eq!((stages.all[0].succeeded, ended.succeeded), (2, 2));
    /// # Ok::<(), progress_core::ProgressError>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn with_stages<N: Into<String>>(
        mut self,
        stages: impl IntoIterator<Item = (N, u32)>,
    ) -> Self {
        let checked = |(name, weight): (N, u32)| {
            (limits::text(name, limits::MAX_TITLE), weight.clamp(1, limits::MAX_STAGE_WEIGHT))
        };
        self.stages = Some(stages.into_iter().map(checked).collect());
        self
    }

    /// Asks for the end of the job to be announced to the hook of
    /// [`Jobs::on_ended`](crate::Jobs::on_ended). [`Jobs::create`](crate::Jobs::create) does this
    /// by itself if its process has a hook, so it is only needed if that process has none.
    #[must_use]
    pub fn with_announcement(mut self) -> Self {
        self.announces = true;
        self
    }

    pub(crate) fn check(&self) -> Result<(), ProgressError> {
        if let Some(owner) = &self.owner {
            if owner.is_empty() {
                return Err(ProgressError::invalid(
                    "an owner must not be empty; omit it for a job that anyone may see",
                ));
            }
            // `nth` and not `count`, so that a huge text is not scanned to its end.
            if owner.chars().nth(limits::MAX_OWNER).is_some() || owner.contains('\0') {
                return Err(ProgressError::invalid(
                    "an owner may have at most 200 characters, none of them NUL",
                ));
            }
        }
        if self.max_attempts.is_some() && self.auto_complete {
            return Err(ProgressError::invalid(
                "a job that several workers share cannot have attempts, because its parts have no \
                 common checkpoint",
            ));
        }
        if let Some(stages) = &self.stages {
            if self.auto_complete {
                return Err(ProgressError::invalid(
                    "a job that several workers share cannot have stages, because a worker cannot \
                     know when the others have finished one",
                ));
            }
            stages::check(stages)?;
        }
        match &self.metadata {
            Some(metadata) => limits::json("metadata", metadata),
            None => Ok(()),
        }
    }
}
