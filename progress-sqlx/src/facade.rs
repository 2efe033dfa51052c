//! The public face of a store: its trait, and what all of them can be told.

/// Makes a store of a type that has a body: every method is the body's. What is said first is what a pool of the
/// application's own needs.
macro_rules! store {
    ($(#[$advice:meta])* $store:ident($pool:ty)) => {
        #[async_trait::async_trait]
        impl progress_core::ProgressStore for $store {
            async fn create(
                &self,
                job: &progress_core::NewProgress,
            ) -> Result<progress_core::Progress, progress_core::ProgressError> {
                self.body.create(job).await
            }

            async fn get(
                &self,
                id: progress_core::ProgressId,
            ) -> Result<Option<progress_core::Progress>, progress_core::ProgressError> {
                self.body.get(id).await
            }

            async fn update(
                &self,
                id: progress_core::ProgressId,
                update: &progress_core::ProgressUpdate,
            ) -> Result<progress_core::Progress, progress_core::ProgressError> {
                self.body.update(id, update).await
            }

            async fn list(
                &self,
                query: &progress_core::ProgressQuery,
            ) -> Result<progress_core::ProgressPage, progress_core::ProgressError> {
                self.body.list(query).await
            }

            async fn entries(
                &self,
                id: progress_core::ProgressId,
                after: u64,
                limit: u32,
            ) -> Result<progress_core::EntryPage, progress_core::ProgressError> {
                self.body.entries(id, after, limit).await
            }

            async fn delete(
                &self,
                id: progress_core::ProgressId,
            ) -> Result<(), progress_core::ProgressError> {
                self.body.delete(id).await
            }

            async fn fail_stale(
                &self,
                silent_for: std::time::Duration,
            ) -> Result<u64, progress_core::ProgressError> {
                self.body.fail_stale(silent_for).await
            }

            async fn delete_finished(
                &self,
                older_than: std::time::Duration,
                limit: u32,
            ) -> Result<u64, progress_core::ProgressError> {
                self.body.delete_finished(older_than, limit).await
            }

            async fn get_many(
                &self,
                ids: &[progress_core::ProgressId],
            ) -> Result<Vec<Option<progress_core::Progress>>, progress_core::ProgressError> {
                self.body.get_many(ids).await
            }

            async fn update_many(
                &self,
                updates: &[(progress_core::ProgressId, progress_core::ProgressUpdate)],
            ) -> Vec<Result<progress_core::Progress, progress_core::ProgressError>> {
                self.body.update_many(updates).await
            }
        }

        impl $store {
            /// A store in a database that the application has opened. The pool is used as it is, and nothing is created:
            /// call [`migrate`](Self::migrate).
            ///
            $(#[$advice])*
            #[must_use]
            pub fn new(pool: $pool) -> Self {
                Self { body: $crate::store::Body::new(pool) }
            }

            /// Keeps this many of the newest entries of each log, instead of 1,000. A log that is longer shrinks when it
            /// is next written to.
            #[must_use]
            pub fn with_log_limit(mut self, entries: u32) -> Self {
                self.body.log_limit = entries;
                self
            }

            /// How long a reading call may take, and a writing one, before it is given up as
            /// [`Unavailable`](progress_core::ProgressError::Unavailable): 1 s and 5 s unless told otherwise, and 6 s and
            /// 36 s on SQLite, where what a call waits for ends by itself before that. A write that was given up may have
            /// happened; its stamp makes repeating it harmless.
            #[must_use]
            pub fn with_deadlines(mut self, read: std::time::Duration, write: std::time::Duration) -> Self {
                self.body.deadlines = $crate::store::Deadlines { read, write };
                self
            }

            /// What [`migrate`](Self::migrate) runs, for those who have a migration tool of their own: one script per
            /// version, each of which also records its version. A script that was released never changes.
            #[must_use]
            pub const fn migrations_sql() -> &'static [&'static str] {
                statements::STATEMENTS.migrations
            }
        }
    };
}
pub(crate) use store;
