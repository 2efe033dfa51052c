use std::any::Any;
use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

use crate::{
    EntryPage, NewProgress, Progress, ProgressError, ProgressId, ProgressPage, ProgressQuery,
    ProgressUpdate,
};

/// Where records live.
///
/// The contract, in one sentence: a store does what [`Progress::apply`] does, atomically and durably, for any number of
/// concurrent callers and processes. `progress_core::testing` (feature `testing`) holds a store to it.
///
/// - **Clock.** Times are the store's own (the database's where there is one): machines disagree about the time, and a
///   lease compared with a foreign clock kills live workers or keeps dead ones. A store that has only the clocks of its
///   callers watches heartbeats change instead.
/// - **Errors.** [`Unavailable`](ProgressError::Unavailable) when the same call may succeed later,
///   [`Store`](ProgressError::Store) when it will not. A refusal changes nothing.
/// - **Reading never writes.**
///
/// A store is used as `Arc<dyn ProgressStore>`. [`MemoryStore`](crate::MemoryStore) is a complete small one to start
/// from: it locks a map, calls `apply`, and keeps stamps and log beside the record.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait ProgressStore: Any + Debug + Send + Sync {
    /// Makes the record of a new job, pending, and returns it as stored. The record's times come from the store's
    /// clock, which is why a store is given a [`NewProgress`] and not a finished record.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](ProgressError::AlreadyExists) when there is a record with this id, which is left alone;
    /// [`Invalid`](ProgressError::Invalid) when the data cannot be taken.
    async fn create(&self, job: &NewProgress) -> Result<Progress, ProgressError>;

    /// Reads one record; `None` when there is none. [`observed_at`](Progress::observed_at) is the store's time of this
    /// read.
    ///
    /// # Errors
    ///
    /// Only those of the store itself.
    async fn get(&self, id: ProgressId) -> Result<Option<Progress>, ProgressError>;

    /// Applies an update and returns the record as it then is, so that a worker learns of a request to cancel from its
    /// own next write.
    ///
    /// Must be atomic: concurrent callers lose no count, and of several endings one wins. An update whose
    /// [`Stamp`](crate::Stamp) the store has already applied (its writer's highest number is at least as high) changes
    /// nothing and returns the record, whatever its status: so a flush can be retried when its acknowledgement was
    /// lost. Stamp and record change in one transaction; a refused update leaves no stamp.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ProgressError::NotFound); [`Refused`](ProgressError::Refused) as [`Progress::apply`] refuses.
    async fn update(
        &self,
        id: ProgressId,
        update: &ProgressUpdate,
    ) -> Result<Progress, ProgressError>;

    /// Lists records: those that [`ProgressQuery::matches`], newest first, then by id, downwards.
    ///
    /// # Errors
    ///
    /// Only those of the store itself.
    async fn list(&self, query: &ProgressQuery) -> Result<ProgressPage, ProgressError>;

    /// Reads a job's log: at most `limit` entries numbered above `after`, oldest first. A store keeps the newest
    /// entries of each log (1,000 unless told otherwise) and says how many are gone.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ProgressError::NotFound) when there is no such record.
    async fn entries(
        &self,
        id: ProgressId,
        after: u64,
        limit: u32,
    ) -> Result<EntryPage, ProgressError>;

    /// Deletes a finished record with its log and its stamps.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ProgressError::NotFound); [`Refused`](ProgressError::Refused) while the job is active.
    async fn delete(&self, id: ProgressId) -> Result<(), ProgressError>;

    /// Fails every running job whose worker gave no sign of life for longer than `silent_for`, with the public error
    /// [`WORKER_LOST`](crate::WORKER_LOST), and returns how many. Any number of processes may call it at once: each job
    /// is failed once, and never one whose heartbeat arrives first. A store that has to watch for itself may count a
    /// silence from its opening only.
    ///
    /// # Errors
    ///
    /// Only those of the store itself.
    async fn fail_stale(&self, silent_for: Duration) -> Result<u64, ProgressError>;

    /// Deletes at most `limit` records that ended longer than `older_than` ago, with their logs and stamps, oldest
    /// endings first, and returns how many. "Ago" is by the store's clock: one that jumps ahead makes all records older.
    ///
    /// # Errors
    ///
    /// Only those of the store itself.
    async fn delete_finished(&self, older_than: Duration, limit: u32)
    -> Result<u64, ProgressError>;

    /// Reads several records, each as [`get`](Self::get) would, in the order asked for.
    ///
    /// # Errors
    ///
    /// Only those of the store itself; then nothing is returned.
    async fn get_many(&self, ids: &[ProgressId]) -> Result<Vec<Option<Progress>>, ProgressError> {
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            found.push(self.get(*id).await?);
        }
        Ok(found)
    }

    /// Applies several updates, each as [`update`](Self::update) would: one outcome for each, in order, none depending
    /// on another.
    async fn update_many(
        &self,
        updates: &[(ProgressId, ProgressUpdate)],
    ) -> Vec<Result<Progress, ProgressError>> {
        let mut outcomes = Vec::with_capacity(updates.len());
        for (id, update) in updates {
            outcomes.push(self.update(*id, update).await);
        }
        outcomes
    }
}
