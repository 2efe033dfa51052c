use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::reports::Reports;
use super::{SaveInOrder, Stopped};
use crate::{NewEntry, ProgressError, ProgressId, TotalChange, limits};

/// A worker's handle for reports on one job. Clones report on the same job.
///
/// Reports never wait, fail or write. They are collected in memory, and one flush loop writes them,
/// at most once per flush interval and job. Reports after the end of the job are discarded, because
/// a final status never changes.
#[derive(Debug, Clone)]
pub struct TrackerHandle {
    pub(crate) reports: Arc<Reports>,
}

impl TrackerHandle {
    /// Returns the job's id.
    #[must_use]
    pub fn id(&self) -> ProgressId {
        self.reports.id
    }

    /// Counts succeeded items: one relaxed atomic addition.
    pub fn inc(&self, items: u64) {
        self.reports.add_succeeded(items);
    }

    /// Counts failed items: one relaxed atomic addition.
    pub fn inc_failed(&self, items: u64) {
        self.reports.add_failed(items);
    }

    /// Sets the current message; viewers see the latest one. At most 500 characters are kept.
    ///
    /// The last message before the end of the job is always written.
    pub fn message(&self, message: impl AsRef<str>) {
        self.reports.set_message(message.as_ref());
    }

    /// Like [`message`](Self::message), but calls `message` only if the flush loop has written
    /// since the last call that did: about four times a second, however many items there are. It
    /// is called on this thread, before this method returns, and may be slow.
    ///
    /// So viewers see a message that was current at most a flush interval ago, also at the end of
    /// the job. If the last one must be exact, set it with [`message`](Self::message).
    ///
    /// ```
    /// # use progress_core::{Jobs, MemoryStore, NewProgress};
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
    /// # .block_on(async {
    /// # let jobs = Jobs::new(MemoryStore::new());
    /// # let id = jobs.create(NewProgress::new("import")).await?.id;
    /// let ended = jobs.run(id, async |tracker| {
    ///     for line in 1..=1_000_000 {
    ///         tracker.item_done_with(|| format!("line {line}"));
    ///     }
    ///     tracker.message("all lines read");
    ///     Ok(())
    /// }).await?;
    /// assert_eq!(ended.succeeded, 1_000_000);
    /// assert_eq!(ended.message.as_deref(), Some("all lines read"));
    /// # Ok::<(), progress_core::ProgressError>(())
    /// # }).unwrap();
    /// ```
    pub fn message_with<T: AsRef<str>>(&self, message: impl FnOnce() -> T) {
        if self.reports.take_message_request() {
            self.message(message());
        }
    }

    /// Counts one succeeded item and sets the current message.
    pub fn item_done(&self, message: impl AsRef<str>) {
        self.reports.item_done(message.as_ref());
    }

    /// Counts one succeeded item, and calls `message` for the current message as seldom as
    /// [`message_with`](Self::message_with) does. It costs about as much as [`inc`](Self::inc), a
    /// third of [`item_done`](Self::item_done).
    pub fn item_done_with<T: AsRef<str>>(&self, message: impl FnOnce() -> T) {
        if self.reports.count_and_take_request() {
            self.message(message());
        }
    }

    /// Counts one failed item and adds an entry with the item and the error to the job's log.
    /// Viewers read both.
    pub fn item_failed(&self, item: impl Into<String>, error: impl Into<String>) {
        self.reports.item_failed(NewEntry::error(error).with_item(item));
    }

    /// Adds an entry to the job's log.
    pub fn entry(&self, entry: NewEntry) {
        self.reports.push_entry(entry);
    }

    /// Sets the total number of items, once it is known.
    pub fn set_total(&self, total: u64) {
        self.reports.change_total(TotalChange::Set(total));
    }

    /// Adds to the total number of items, if there are more than announced.
    pub fn add_total(&self, items: u64) {
        self.reports.change_total(TotalChange::Add(items));
    }

    /// Begins a stage of a job that has [stages](crate::NewProgress::with_stages), and ends the one
    /// before. Returns whether there is work to do: false if an earlier attempt has finished this
    /// stage, so that a worker is written as one `if` per stage.
    ///
    /// A stage starts with an unknown total and without counts, message and cursor. Finish all
    /// items of a stage before you begin the next one, because items that are reported later count
    /// in that one. Beginning the current stage again changes nothing. Stages may be left out.
    ///
    /// ```
    /// # use progress_core::{Jobs, MemoryStore, NewProgress};
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
    /// # .block_on(async {
    /// # let jobs = Jobs::new(MemoryStore::new());
    /// let job = NewProgress::new("import").with_stages([("Check", 1), ("Import", 3)]);
    /// # let job = job.with_attempts(2);
    /// # let id = jobs.create(job).await?.id;
    /// let ended = jobs.run(id, async |tracker| {
    ///     let lines = ["a", "b", "c"];
    ///     if tracker.begin_stage("Check")? {
    ///         tracker.set_total(3);
    ///         tracker.inc(3);
    ///     }
    ///     if tracker.begin_stage("Import")? {
    ///         tracker.set_total(3);
    ///         for line in tracker.cursor()?.unwrap_or(0)..lines.len() {
    ///             tracker.inc(1);
    ///             tracker.save(&(line + 1))?;
    ///         }
    ///     }
    ///     Ok(())
    /// }).await?;
    /// assert_eq!(ended.succeeded, 3);
    /// # Ok::<(), progress_core::ProgressError>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`ProgressError::Invalid`] if the job has no stage with this name, or if this attempt has
    /// already begun a later one.
    pub fn begin_stage(&self, name: &str) -> Result<bool, ProgressError> {
        let stages = self.reports.start().and_then(|start| start.stages());
        let Some((stages, stage)) = stages.and_then(|all| Some((all, all.position(name)?))) else {
            return Err(ProgressError::invalid(format!(
                "the job has no stage {name:?}: name it in `NewProgress::with_stages`"
            )));
        };
        if stage < stages.current {
            return Ok(false);
        }
        if stage < self.reports.stage() {
            return Err(ProgressError::invalid(format!(
                "the stage {name:?} has ended, and a job does not go back"
            )));
        }
        self.reports.begin_stage(stage);
        Ok(true)
    }

    /// Returns the total number of items when this worker started, if it was known. In a job with
    /// stages, that is the total of the stage in which it started.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.reports.start().and_then(|start| start.total)
    }

    /// Returns how many items were processed when this worker started: those that earlier attempts
    /// have saved, or that other workers of a shared job have reported. In a job with stages, those
    /// of the stage in which it started.
    #[must_use]
    pub fn carried_over(&self) -> u64 {
        self.reports.start().map_or(0, |start| start.processed)
    }

    /// Returns the number of this attempt, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.reports.start().map_or(0, |start| start.attempt)
    }

    /// Returns what the last attempt saved, or `None` if nothing was saved. In a job with stages,
    /// that is what it saved in the current stage.
    ///
    /// # Errors
    ///
    /// [`ProgressError::Invalid`] if it is not a `T`, such as after a change of the type.
    pub fn cursor<T: DeserializeOwned>(&self) -> Result<Option<T>, ProgressError> {
        let checkpoint = self.reports.start().and_then(|start| start.checkpoint());
        let checkpoint = checkpoint.filter(|saved| saved.stage == self.reports.stage());
        let Some(cursor) = checkpoint.and_then(|checkpoint| checkpoint.cursor.as_ref()) else {
            return Ok(None);
        };
        T::deserialize(cursor).map(Some).map_err(|error| {
            ProgressError::invalid(format!("the saved cursor has another type: {error}"))
        })
    }

    /// Saves where the next attempt continues, with everything reported so far. The store gets
    /// cursor and counts in one write, with the next flush, so the two always agree. Items that are
    /// reported later may be processed again by the next attempt; they are not counted twice.
    ///
    /// Call it after each item, or less often if repeating items is cheap. Report the item first.
    ///
    /// # Errors
    ///
    /// [`ProgressError::Invalid`] if the job has no
    /// [attempts](crate::NewProgress::with_attempts), or if the cursor takes more than 16 KiB as
    /// JSON.
    pub fn save<T: Serialize + ?Sized>(&self, cursor: &T) -> Result<(), ProgressError> {
        self.save_cursor(cursor).map(drop)
    }

    /// Like [`save`](Self::save), and waits until the store has it. Use it before a step that must
    /// not be repeated.
    ///
    /// # Errors
    ///
    /// As [`save`](Self::save); also [`ProgressError::Unavailable`] if the job has ended meanwhile.
    pub async fn save_now<T: Serialize + ?Sized + Sync>(
        &self,
        cursor: &T,
    ) -> Result<(), ProgressError> {
        let save = self.save_cursor(cursor)?;
        if self.reports.stored(save).await {
            Ok(())
        } else {
            Err(ProgressError::unavailable("the job has ended, so the cursor was not saved"))
        }
    }

    /// Returns a helper that saves cursors for items of which several are in progress at the same
    /// time.
    #[must_use]
    pub fn save_in_order(&self) -> SaveInOrder {
        SaveInOrder::new(self.clone())
    }

    fn save_cursor<T: Serialize + ?Sized>(&self, cursor: &T) -> Result<u64, ProgressError> {
        Ok(self.reports.save(self.to_cursor(cursor)?, None))
    }

    /// Checks that the job can keep this cursor.
    pub(super) fn to_cursor<T: Serialize + ?Sized>(
        &self,
        cursor: &T,
    ) -> Result<Value, ProgressError> {
        if !self.reports.has_attempts() {
            return Err(ProgressError::invalid(
                "the job runs once, so there is nothing to continue: create it with \
                 `NewProgress::with_attempts`",
            ));
        }
        let cursor = serde_json::to_value(cursor)
            .map_err(|error| ProgressError::invalid(format!("the cursor is no JSON: {error}")))?;
        limits::json("cursor", &cursor)?;
        Ok(cursor)
    }

    /// Checks whether the job should stop; call it between items. Also yields to the runtime at
    /// least every 10 ms, so that a loop that never waits does not starve other tasks. Run items
    /// that block for longer in [`spawn_blocking`](tokio::task::spawn_blocking).
    ///
    /// The worker learns of a request to stop from the store's answers. The delay is up to a flush
    /// interval while the job reports, and up to a heartbeat interval while it does not.
    ///
    /// # Errors
    ///
    /// Returns [`Stopped`] with the reason, in this and every later call. An error of any type that
    /// the work returns after that counts as a stop, not as a failure.
    pub async fn checkpoint(&self) -> Result<(), Stopped> {
        if self.reports.is_time_to_yield() {
            tokio::task::yield_now().await;
        } else {
            tokio::task::coop::consume_budget().await;
        }
        self.stopped().map_or(Ok(()), Err)
    }

    /// Returns the reason to stop, if there is one, without yielding.
    #[must_use]
    pub fn stopped(&self) -> Option<Stopped> {
        self.reports.stopped()
    }

    /// Waits until there is a reason to stop; without one, it never returns. Use it in
    /// `tokio::select!` beside a long item.
    pub async fn until_stopped(&self) -> Stopped {
        self.reports.until_stopped().await
    }
}
