//! The trait implementation and the methods that all public store types share.

/// Implements `ProgressStore` for a type that holds an `SqlStore`, whose methods do the work.
macro_rules! impl_progress_store {
    ($store:ident) => {
        // This scope allows short names in the signatures.
        const _: () = {
            use std::time::Duration;

            use progress_core::{
                Changes, EntryPage, Heartbeat, NewProgress, Progress, ProgressError, ProgressId,
                ProgressPage, ProgressQuery, ProgressStore, ProgressUpdate,
            };
            type Result<T> = std::result::Result<T, ProgressError>;

            #[async_trait::async_trait]
            impl ProgressStore for $store {
                async fn create(&self, job: &NewProgress) -> Result<Progress> {
                    let (store, job) = (self.store.clone(), job.clone());
                    self.store.on_store_thread(async move { store.create(&job).await }).await
                }

                async fn get(&self, id: ProgressId) -> Result<Option<Progress>> {
                    let store = self.store.clone();
                    self.store.run_read(async move { store.get(id).await }).await
                }

                async fn update(
                    &self,
                    id: ProgressId,
                    update: &ProgressUpdate,
                ) -> Result<Progress> {
                    let (store, update) = (self.store.clone(), update.clone());
                    self.store.on_store_thread(async move { store.update(id, &update).await }).await
                }

                async fn list(&self, query: &ProgressQuery) -> Result<ProgressPage> {
                    let (store, query) = (self.store.clone(), query.clone());
                    self.store.run_read(async move { store.list(&query).await }).await
                }

                async fn entries(
                    &self,
                    id: ProgressId,
                    after: u64,
                    limit: u32,
                ) -> Result<EntryPage> {
                    let store = self.store.clone();
                    self.store.run_read(async move { store.entries(id, after, limit).await }).await
                }

                async fn delete(&self, id: ProgressId) -> Result<()> {
                    let store = self.store.clone();
                    self.store.on_store_thread(async move { store.delete(id).await }).await
                }

                async fn heartbeats(&self) -> Result<Vec<Heartbeat>> {
                    let store = self.store.clone();
                    self.store.run_read(async move { store.heartbeats().await }).await
                }

                async fn delete_finished(&self, older_than: Duration, limit: u32) -> Result<u64> {
                    let store = self.store.clone();
                    let call = async move { store.delete_finished(older_than, limit).await };
                    self.store.on_store_thread(call).await
                }

                async fn unannounced(&self, limit: u32) -> Result<Vec<Progress>> {
                    let store = self.store.clone();
                    self.store.run_read(async move { store.unannounced(limit).await }).await
                }

                async fn delete_owned(&self, owner: &str, limit: u32) -> Result<u64> {
                    let (store, owner) = (self.store.clone(), owner.to_owned());
                    let call = async move { store.delete_owned(&owner, limit).await };
                    self.store.on_store_thread(call).await
                }

                async fn get_many(&self, ids: &[ProgressId]) -> Result<Vec<Option<Progress>>> {
                    let (store, ids) = (self.store.clone(), ids.to_vec());
                    self.store.run_read(async move { store.get_many(&ids).await }).await
                }

                async fn update_many(
                    &self,
                    updates: &[(ProgressId, ProgressUpdate)],
                ) -> Vec<Result<Progress>> {
                    let (store, count) = (self.store.clone(), updates.len());
                    let updates = updates.to_vec();
                    let call = async move { Ok(store.update_many(&updates).await) };
                    self.store.on_store_thread(call).await.unwrap_or_else(|error| {
                        $crate::error::error_per_update(error, count).into_iter().map(Err).collect()
                    })
                }

                fn changes(&self) -> Option<Changes> {
                    $crate::dialect::Dialect::changes(&self.store)
                }
            }
        };

        impl $store {
            /// Sets how many of the newest entries each log keeps (default: 1,000). A longer log
            /// shrinks when it is next written to.
            #[must_use]
            pub fn with_log_limit(mut self, entries: u32) -> Self {
                self.store.log_limit = entries;
                self
            }

            /// Sets how long a read and a write may take before the call fails as
            /// [`Unavailable`](progress_core::ProgressError::Unavailable). The defaults are 1 s and
            /// 5 s, on SQLite 1 s and 9.5 s. A write that timed out may have taken effect; its
            /// stamp makes repeating it harmless.
            #[must_use]
            pub fn with_deadlines(
                mut self,
                read: std::time::Duration,
                write: std::time::Duration,
            ) -> Self {
                self.store.deadlines = $crate::dialect::Deadlines { read, write };
                self
            }

            /// Returns the scripts that [`migrate`](Self::migrate) runs, so that other migration
            /// tools can run them. There is one script per version, and each also records its
            /// version. A released script never changes.
            #[must_use]
            pub const fn migrations_sql() -> &'static [&'static str] {
                statements::STATEMENTS.migrations
            }
        }
    };
}
pub(crate) use impl_progress_store;
