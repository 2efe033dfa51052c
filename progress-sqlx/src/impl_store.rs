//! The public type of a store: its trait, and what all stores have in common.

/// Implements `ProgressStore` for a type that holds an `SqlStore`, whose methods do the work.
macro_rules! impl_progress_store {
    ($store:ident) => {
        // A scope, for short names in the signatures.
        const _: () = {
            use std::time::Duration;

            use progress_core::{
                EntryPage, Heartbeat, NewProgress, Progress, ProgressError, ProgressId,
                ProgressPage, ProgressQuery, ProgressStore, ProgressUpdate,
            };
            type Result<T> = std::result::Result<T, ProgressError>;

            #[async_trait::async_trait]
            impl ProgressStore for $store {
                async fn create(&self, job: &NewProgress) -> Result<Progress> {
                    let (store, job) = (self.store.clone(), job.clone());
                    self.store.at_home(async move { store.create(&job).await }).await
                }

                async fn get(&self, id: ProgressId) -> Result<Option<Progress>> {
                    let store = self.store.clone();
                    self.store.reading(async move { store.get(id).await }).await
                }

                async fn update(
                    &self,
                    id: ProgressId,
                    update: &ProgressUpdate,
                ) -> Result<Progress> {
                    let (store, update) = (self.store.clone(), update.clone());
                    self.store.at_home(async move { store.update(id, &update).await }).await
                }

                async fn list(&self, query: &ProgressQuery) -> Result<ProgressPage> {
                    let (store, query) = (self.store.clone(), query.clone());
                    self.store.reading(async move { store.list(&query).await }).await
                }

                async fn entries(
                    &self,
                    id: ProgressId,
                    after: u64,
                    limit: u32,
                ) -> Result<EntryPage> {
                    let store = self.store.clone();
                    self.store.reading(async move { store.entries(id, after, limit).await }).await
                }

                async fn delete(&self, id: ProgressId) -> Result<()> {
                    let store = self.store.clone();
                    self.store.at_home(async move { store.delete(id).await }).await
                }

                async fn heartbeats(&self) -> Result<Vec<Heartbeat>> {
                    let store = self.store.clone();
                    self.store.reading(async move { store.heartbeats().await }).await
                }

                async fn delete_finished(&self, older_than: Duration, limit: u32) -> Result<u64> {
                    let store = self.store.clone();
                    let call = async move { store.delete_finished(older_than, limit).await };
                    self.store.at_home(call).await
                }

                async fn get_many(&self, ids: &[ProgressId]) -> Result<Vec<Option<Progress>>> {
                    let (store, ids) = (self.store.clone(), ids.to_vec());
                    self.store.reading(async move { store.get_many(&ids).await }).await
                }

                async fn update_many(
                    &self,
                    updates: &[(ProgressId, ProgressUpdate)],
                ) -> Vec<Result<Progress>> {
                    let (store, count) = (self.store.clone(), updates.len());
                    let updates = updates.to_vec();
                    let call = async move { Ok(store.update_many(&updates).await) };
                    self.store.at_home(call).await.unwrap_or_else(|error| {
                        $crate::error::for_each(error, count).into_iter().map(Err).collect()
                    })
                }
            }
        };

        impl $store {
            /// Keeps this many of the newest entries of each log, instead of 1,000. A longer log
            /// shrinks when it is next written to.
            #[must_use]
            pub fn with_log_limit(mut self, entries: u32) -> Self {
                self.store.log_limit = entries;
                self
            }

            /// Limits how long a reading call and a writing call may take before it fails as
            /// [`Unavailable`](progress_core::ProgressError::Unavailable): 1 s and 5 s unless told
            /// otherwise, and 1 s and 9.5 s on SQLite. A write that ran out of time may have
            /// happened; its stamp makes repeating it harmless.
            #[must_use]
            pub fn with_deadlines(
                mut self,
                read: std::time::Duration,
                write: std::time::Duration,
            ) -> Self {
                self.store.deadlines = $crate::dialect::Deadlines { read, write };
                self
            }

            /// Returns what [`migrate`](Self::migrate) runs, for other migration tools: one script
            /// per version, each of which also records its version. A released script never
            /// changes.
            #[must_use]
            pub const fn migrations_sql() -> &'static [&'static str] {
                statements::STATEMENTS.migrations
            }
        }
    };
}
pub(crate) use impl_progress_store;
