use std::fmt::Debug;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;

use crate::{
    Changes, EntryPage, Heartbeat, NewProgress, Progress, ProgressError, ProgressId, ProgressPage,
    ProgressQuery, ProgressUpdate,
};

/// The contract between a store and its callers, to be implemented by stores. Applications use
/// [`Jobs`](crate::Jobs).
///
/// A store makes [`Record::update`](crate::Record::update) atomic and durable, with any number of
/// concurrent callers and processes. `progress_core::testing` (feature `testing`) tests a store
/// against this contract.
///
/// - **Clock.** Times are by the store's own clock (the database's if there is one), because the
///   clocks of machines differ.
/// - **Errors.** [`Unavailable`](ProgressError::Unavailable) if the same call may succeed later,
///   [`Store`](ProgressError::Store) if it will not. A refused update changes nothing.
/// - **Reading never writes.**
/// - **Any runtime, any thread.** Calls come from the flush thread of [`Jobs`](crate::Jobs) as well
///   as from the application's runtimes, and a call may be dropped before it has ended. A store
///   whose connections belong to one runtime runs its calls on a
///   [`StoreThread`](crate::StoreThread).
///
/// # Writing a store
///
/// Load the record, update it, and write it back unless it has changed meanwhile. This store keeps
/// JSON documents and compares revisions, as one would in a document database:
///
/// ```
/// use std::collections::HashMap;
/// use std::sync::Mutex;
/// use std::time::Duration;
///
/// use async_trait::async_trait;
/// use chrono::{DateTime, TimeDelta, Utc};
/// use progress_core::{
///     DEFAULT_LOG_LIMIT, Entry, EntryPage, Heartbeat, NewProgress, Progress, ProgressError,
///     ProgressId, ProgressPage, ProgressQuery, ProgressStore, ProgressUpdate, Record, Status,
/// };
///
/// /// A revision, a document, and the log.
/// type Stored = (u64, String, Vec<Entry>);
///
/// #[derive(Debug, Default)]
/// struct DocumentStore(Mutex<HashMap<ProgressId, Stored>>);
///
/// fn record(document: &str) -> Result<Record, ProgressError> {
///     serde_json::from_str(document).map_err(ProgressError::store)
/// }
///
/// impl DocumentStore {
///     fn documents(&self) -> std::sync::MutexGuard<'_, HashMap<ProgressId, Stored>> {
///         self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
///     }
///
///     fn load(&self, id: ProgressId) -> Result<Stored, ProgressError> {
///         self.documents().get(&id).cloned().ok_or(ProgressError::NotFound(id))
///     }
///
///     fn all(&self) -> Result<Vec<Progress>, ProgressError> {
///         let now = Utc::now();
///         self.documents().values().map(|stored| Ok(record(&stored.1)?.snapshot(now))).collect()
///     }
/// }
///
/// #[async_trait]
/// impl ProgressStore for DocumentStore {
///     async fn create(&self, job: &NewProgress) -> Result<Progress, ProgressError> {
///         let record = Record::new(job, Utc::now())?;
///         let document = serde_json::to_string(&record).map_err(ProgressError::store)?;
///         match self.documents().entry(job.id()) {
///             std::collections::hash_map::Entry::Occupied(_) => {
///                 return Err(ProgressError::AlreadyExists(job.id()));
///             }
///             free => free.or_insert((0, document, Vec::new())),
///         };
///         Ok(record.progress)
///     }
///
///     async fn get(&self, id: ProgressId) -> Result<Option<Progress>, ProgressError> {
///         match self.load(id) {
///             Ok((_, document, _)) => Ok(Some(record(&document)?.snapshot(Utc::now()))),
///             Err(ProgressError::NotFound(_)) => Ok(None),
///             Err(error) => Err(error),
///         }
///     }
///
///     async fn update(
///         &self,
///         id: ProgressId,
///         update: &ProgressUpdate,
///     ) -> Result<Progress, ProgressError> {
///         loop {
///             let (revision, document, mut log) = self.load(id)?;
///             let mut record = record(&document)?;
///             log.extend(record.update(update, Utc::now())?.entries);
///             log.drain(..log.len().saturating_sub(DEFAULT_LOG_LIMIT as usize));
///             let document = serde_json::to_string(&record).map_err(ProgressError::store)?;
///             // A database would do this compare-and-set.
///             match self.documents().get_mut(&id) {
///                 Some(stored) if stored.0 == revision => *stored = (revision + 1, document, log),
///                 _ => continue,
///             }
///             return Ok(record.progress);
///         }
///     }
///
///     async fn list(&self, query: &ProgressQuery) -> Result<ProgressPage, ProgressError> {
///         let mut found = self.all()?;
///         found.retain(|progress| query.matches(progress));
///         found.sort_by_key(|progress| std::cmp::Reverse((progress.created_at, progress.id)));
///         Ok(ProgressPage::from_one_more(found, query.limit()))
///     }
///
///     async fn entries(
///         &self,
///         id: ProgressId,
///         after: u64,
///         limit: u32,
///     ) -> Result<EntryPage, ProgressError> {
///         let (_, document, log) = self.load(id)?;
///         let newest = record(&document)?.progress.last_entry;
///         Ok(EntryPage::from_log(log.iter(), newest, after, limit))
///     }
///
///     async fn delete(&self, id: ProgressId) -> Result<(), ProgressError> {
///         let mut documents = self.documents();
///         let stored = documents.get(&id).ok_or(ProgressError::NotFound(id))?;
///         let status = record(&stored.1)?.progress.status;
///         if status.is_active() {
///             return Err(ProgressError::Refused { id, status });
///         }
///         documents.remove(&id);
///         Ok(())
///     }
///
///     async fn heartbeats(&self) -> Result<Vec<Heartbeat>, ProgressError> {
///         Ok(self.all()?.iter().filter_map(Heartbeat::of).collect())
///     }
///
///     async fn delete_finished(
///         &self,
///         older_than: Duration,
///         limit: u32,
///     ) -> Result<u64, ProgressError> {
///         let age = TimeDelta::from_std(older_than).unwrap_or(TimeDelta::MAX);
///         let before = Utc::now().checked_sub_signed(age).unwrap_or(DateTime::<Utc>::MIN_UTC);
///         let mut old: Vec<_> = self.all()?;
///         old.retain(|progress| progress.retention_begins_at().is_some_and(|at| at < before));
///         old.sort_by_key(|progress| (progress.finished_at, progress.id));
///         old.truncate(limit as usize);
///         old.iter().for_each(|progress| drop(self.documents().remove(&progress.id)));
///         Ok(old.len() as u64)
///     }
///
///     async fn unannounced(&self, limit: u32) -> Result<Vec<Progress>, ProgressError> {
///         let (now, mut due) = (Utc::now(), self.all()?);
///         due.retain(|progress| progress.finished_at.is_some());
///         due.retain(|progress| progress.announce_at.is_some_and(|at| at < now));
///         due.sort_by_key(|progress| progress.announce_at);
///         due.truncate(limit as usize);
///         Ok(due)
///     }
///
///     async fn delete_owned(&self, owner: &str, limit: u32) -> Result<u64, ProgressError> {
///         let mut owned = self.all()?;
///         owned.retain(|progress| progress.owner.as_deref() == Some(owner));
///         owned.retain(|progress| progress.status.is_finished());
///         owned.truncate(limit as usize);
///         owned.iter().for_each(|progress| drop(self.documents().remove(&progress.id)));
///         Ok(owned.len() as u64)
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let jobs = progress_core::Jobs::new(DocumentStore::default());
/// let job = jobs.create(NewProgress::new("import")).await?;
/// let ended = jobs.run(job.id, async |_| Ok(())).await?;
/// assert_eq!(ended.status, Status::Completed);
/// # progress_core::testing::conformance(std::sync::Arc::new(DocumentStore::default()), 100).await;
/// # Ok::<(), progress_core::ProgressError>(())
/// # }).unwrap();
/// ```
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait ProgressStore: Debug + Send + Sync + 'static {
    /// Creates the pending record of a new job and returns it as stored. The argument is a
    /// [`NewProgress`] and not a complete record, because the record's times come from the store's
    /// clock.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](ProgressError::AlreadyExists) if there is a record with this id, which
    /// stays unchanged; [`Invalid`](ProgressError::Invalid) if the data is invalid.
    async fn create(&self, job: &NewProgress) -> Result<Progress, ProgressError>;

    /// Reads one record; `None` if there is none. [`observed_at`](Progress::observed_at) is the
    /// store's time of this read.
    ///
    /// # Errors
    ///
    /// Only those of the store itself.
    async fn get(&self, id: ProgressId) -> Result<Option<Progress>, ProgressError>;

    /// Applies an update and returns the resulting record, so that a worker learns of a cancel
    /// request from its own next write.
    ///
    /// Must be atomic: concurrent callers lose no count, and if several try to end the job, the
    /// first write wins.
    ///
    /// An update is a repetition if the store has already applied its [`Stamp`](crate::Stamp): the
    /// writer's stored number is at least as high. It changes nothing and returns the record,
    /// whatever the status. So a flush can be retried after its acknowledgement was lost. Stamp and
    /// record change in one transaction; a refused update leaves no stamp.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ProgressError::NotFound); [`Refused`](ProgressError::Refused) as in
    /// [`Progress::apply`].
    async fn update(
        &self,
        id: ProgressId,
        update: &ProgressUpdate,
    ) -> Result<Progress, ProgressError>;

    /// Lists the records that [`ProgressQuery::matches`] selects, newest first. Records created at
    /// the same time are ordered by descending id.
    ///
    /// # Errors
    ///
    /// Only those of the store itself.
    async fn list(&self, query: &ProgressQuery) -> Result<ProgressPage, ProgressError>;

    /// Reads a job's log: at most `limit` entries numbered above `after`, oldest first. A store
    /// keeps the newest entries of each log (1,000 by default) and returns how many are gone.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ProgressError::NotFound) if there is no such record.
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
    /// [`NotFound`](ProgressError::NotFound); [`Refused`](ProgressError::Refused) while the job is
    /// active.
    async fn delete(&self, id: ProgressId) -> Result<(), ProgressError>;

    /// Lists the last heartbeat of every running job. If one stays the same, a janitor declares the
    /// worker lost by [`ProgressUpdate::lose`](crate::ProgressUpdate::lose).
    ///
    /// # Errors
    ///
    /// Only those of the store itself.
    async fn heartbeats(&self) -> Result<Vec<Heartbeat>, ProgressError>;

    /// Deletes at most `limit` records whose retention began longer than `older_than` ago, with
    /// their logs and stamps, and returns how many. It begins at the end of the job, or a day later
    /// if the end was not announced (see [`Progress::retention_begins_at`]). Of records without an
    /// announcement, those that ended first are deleted first. "Ago" is by the store's clock: if it
    /// jumps ahead, all records become older.
    ///
    /// # Errors
    ///
    /// Only those of the store itself.
    async fn delete_finished(&self, older_than: Duration, limit: u32)
    -> Result<u64, ProgressError>;

    /// Reads at most `limit` records of finished jobs whose [`announce_at`](Progress::announce_at)
    /// has passed by the store's clock, the earliest first.
    ///
    /// # Errors
    ///
    /// Only those of the store itself.
    async fn unannounced(&self, limit: u32) -> Result<Vec<Progress>, ProgressError>;

    /// Deletes at most `limit` finished records of this owner, with their logs and stamps, and
    /// returns how many. Fewer than `limit` means that none is left. Active records stay.
    ///
    /// The owner is compared to the letter. A record that another call has locked is waited for and
    /// not skipped, because a record that is left behind would never be deleted. A large number is
    /// deleted in several transactions, so that other writers do not wait for long.
    ///
    /// # Errors
    ///
    /// Only those of the store itself. Some records may then have been deleted.
    async fn delete_owned(&self, owner: &str, limit: u32) -> Result<u64, ProgressError>;

    /// Checks that the store answers. The default reads a record that does not exist, which is one
    /// short call for most stores and also finds missing tables. It checks no write.
    ///
    /// # Errors
    ///
    /// Only those of the store itself.
    async fn ping(&self) -> Result<(), ProgressError> {
        self.get(ProgressId::from_uuid(uuid::Uuid::nil())).await.map(drop)
    }

    /// Reads several records, each as [`get`](Self::get) would, in the order of `ids`. The default
    /// calls `get` for all of them at the same time. A store that reads them by one statement makes
    /// many pages cheap, because [`CachedStore`](crate::CachedStore) gathers their reads.
    ///
    /// # Errors
    ///
    /// Only those of the store itself; then nothing is returned.
    async fn get_many(&self, ids: &[ProgressId]) -> Result<Vec<Option<Progress>>, ProgressError> {
        let mut reads: Vec<_> = ids.iter().map(|id| (self.get(*id), None)).collect();
        std::future::poll_fn(|context| {
            let mut is_done = true;
            for (read, outcome) in &mut reads {
                if outcome.is_none() {
                    match read.as_mut().poll(context) {
                        Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                        Poll::Ready(Ok(found)) => *outcome = Some(found),
                        Poll::Pending => is_done = false,
                    }
                }
            }
            if is_done { Poll::Ready(Ok(())) } else { Poll::Pending }
        })
        .await?;
        Ok(reads.into_iter().map(|(_, outcome)| outcome.flatten()).collect())
    }

    /// Applies several updates, each as [`update`](Self::update) would, and returns one outcome for
    /// each, in order. No update depends on the outcome of another.
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

    /// Subscribes to hints about changes, which other processes may have made. So a watcher learns
    /// of them at once, and reads less while nothing changes. `None`, the default, if the store has
    /// no hints: then a watched record is read four times a second.
    ///
    /// A store with hints sends one for every creation, update and deletion by any process while
    /// [`Changes::is_live`], and otherwise says that it is not live. Each call opens a
    /// subscription, which ends when the returned value is dropped.
    fn changes(&self) -> Option<Changes> {
        None
    }
}

/// Implements the store contract for a pointer to a store.
macro_rules! forward {
    ($pointer:ident) => {
        #[deny(clippy::missing_trait_methods, reason = "a default would hide the store's own")]
        #[async_trait]
        impl<T: ProgressStore + ?Sized> ProgressStore for $pointer<T> {
            async fn create(&self, job: &NewProgress) -> Result<Progress, ProgressError> {
                (**self).create(job).await
            }

            async fn get(&self, id: ProgressId) -> Result<Option<Progress>, ProgressError> {
                (**self).get(id).await
            }

            async fn update(
                &self,
                id: ProgressId,
                update: &ProgressUpdate,
            ) -> Result<Progress, ProgressError> {
                (**self).update(id, update).await
            }

            async fn list(&self, query: &ProgressQuery) -> Result<ProgressPage, ProgressError> {
                (**self).list(query).await
            }

            async fn entries(
                &self,
                id: ProgressId,
                after: u64,
                limit: u32,
            ) -> Result<EntryPage, ProgressError> {
                (**self).entries(id, after, limit).await
            }

            async fn delete(&self, id: ProgressId) -> Result<(), ProgressError> {
                (**self).delete(id).await
            }

            async fn heartbeats(&self) -> Result<Vec<Heartbeat>, ProgressError> {
                (**self).heartbeats().await
            }

            async fn delete_finished(
                &self,
                older_than: Duration,
                limit: u32,
            ) -> Result<u64, ProgressError> {
                (**self).delete_finished(older_than, limit).await
            }

            async fn unannounced(&self, limit: u32) -> Result<Vec<Progress>, ProgressError> {
                (**self).unannounced(limit).await
            }

            async fn delete_owned(&self, owner: &str, limit: u32) -> Result<u64, ProgressError> {
                (**self).delete_owned(owner, limit).await
            }

            async fn ping(&self) -> Result<(), ProgressError> {
                (**self).ping().await
            }

            async fn get_many(
                &self,
                ids: &[ProgressId],
            ) -> Result<Vec<Option<Progress>>, ProgressError> {
                (**self).get_many(ids).await
            }

            async fn update_many(
                &self,
                updates: &[(ProgressId, ProgressUpdate)],
            ) -> Vec<Result<Progress, ProgressError>> {
                (**self).update_many(updates).await
            }

            fn changes(&self) -> Option<Changes> {
                (**self).changes()
            }
        }
    };
}

forward!(Arc);
forward!(Box);
