//! Metrics for the facade crate `metrics` (feature `metrics`). Without the feature these functions
//! do nothing. The table of names is in the documentation of the crate.

use std::sync::Arc;
use std::time::Duration;

use crate::{Progress, ProgressStore, ProgressUpdate};

pub(crate) use self::implementation::{
    ActiveJob, accepted, active, describe, ended, flushed, store_failed, watched,
};

#[cfg(not(feature = "metrics"))]
mod implementation {
    use super::{Arc, Duration, Progress, ProgressStore, ProgressUpdate};

    /// A job that this process runs.
    #[derive(Debug)]
    pub(crate) struct ActiveJob;

    pub(crate) const fn describe() {}
    pub(crate) const fn accepted(_: &ProgressUpdate, _: &Progress) {}
    pub(crate) const fn ended(_: &Progress) {}
    pub(crate) const fn flushed(_: Duration) {}
    pub(crate) const fn store_failed(_: &'static str) {}

    pub(crate) const fn active(_: &Progress) -> ActiveJob {
        ActiveJob
    }

    pub(crate) fn watched(store: Arc<dyn ProgressStore>) -> Arc<dyn ProgressStore> {
        store
    }
}

#[cfg(feature = "metrics")]
mod implementation {
    use async_trait::async_trait;
    use metrics::{
        Gauge, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge,
        histogram,
    };

    use super::{Arc, Duration, Progress, ProgressStore, ProgressUpdate};
    use crate::{
        Changes, EntryPage, Heartbeat, NewProgress, ProgressError, ProgressId, ProgressPage,
        ProgressQuery, Transition,
    };

    const STARTED: &str = "progress_jobs_started_total";
    const ENDED: &str = "progress_jobs_ended_total";
    const ATTEMPTS: &str = "progress_attempts_total";
    const ITEMS: &str = "progress_items_total";
    const LOST: &str = "progress_workers_lost_total";
    const ACTIVE: &str = "progress_jobs_active";
    const WAIT: &str = "progress_job_wait_seconds";
    const DURATION: &str = "progress_job_duration_seconds";
    const FLUSH: &str = "progress_flush_seconds";
    const STORE_FAILURES: &str = "progress_store_failures_total";

    /// Describes the metrics to the recorder, if there is one.
    pub(crate) fn describe() {
        describe_counter!(STARTED, Unit::Count, "Jobs whose first attempt this process started.");
        describe_counter!(ENDED, Unit::Count, "Jobs whose end this process wrote, by status.");
        describe_counter!(ATTEMPTS, Unit::Count, "Attempts that this process started.");
        describe_counter!(ITEMS, Unit::Count, "Items that this process reported, by outcome.");
        describe_counter!(LOST, Unit::Count, "Dead workers that this process's janitor found.");
        describe_gauge!(ACTIVE, Unit::Count, "Jobs that this process is running.");
        describe_histogram!(WAIT, Unit::Seconds, "From the creation of a job to its first start.");
        describe_histogram!(DURATION, Unit::Seconds, "From the first start of a job to its end.");
        describe_histogram!(FLUSH, Unit::Seconds, "One call that writes the reports of jobs.");
        describe_counter!(STORE_FAILURES, Unit::Count, "Failed calls of the store, by operation.");
    }

    /// Counts an update that the store has accepted.
    pub(crate) fn accepted(update: &ProgressUpdate, progress: &Progress) {
        let (succeeded, failed) = update.delta().items();
        for (outcome, items) in [("succeeded", succeeded), ("failed", failed)] {
            if items > 0 {
                let task_type = progress.task_type.clone();
                counter!(ITEMS, "task_type" => task_type, "outcome" => outcome).increment(items);
            }
        }
        match update.transition() {
            Transition::Start => {
                let task_type = || progress.task_type.clone();
                counter!(ATTEMPTS, "task_type" => task_type()).increment(1);
                if progress.attempt <= 1 {
                    counter!(STARTED, "task_type" => task_type()).increment(1);
                    if let Some(started_at) = progress.started_at {
                        let wait = (started_at - progress.created_at).to_std().unwrap_or_default();
                        histogram!(WAIT, "task_type" => task_type()).record(wait);
                    }
                }
            }
            Transition::Lose { .. } => {
                counter!(LOST, "task_type" => progress.task_type.clone()).increment(1);
            }
            _ => {}
        }
    }

    /// Counts an ending that this process has written.
    pub(crate) fn ended(progress: &Progress) {
        let (task_type, status) = (progress.task_type.clone(), progress.status.as_str());
        counter!(ENDED, "task_type" => task_type.clone(), "status" => status).increment(1);
        if let Some(duration) = progress.duration() {
            histogram!(DURATION, "task_type" => task_type, "status" => status).record(duration);
        }
    }

    pub(crate) fn flushed(time: Duration) {
        histogram!(FLUSH).record(time);
    }

    pub(crate) fn store_failed(operation: &'static str) {
        counter!(STORE_FAILURES, "operation" => operation).increment(1);
    }

    /// A job that this process runs, until it is dropped.
    pub(crate) struct ActiveJob(Gauge);

    // The handle of a recorder says nothing.
    impl std::fmt::Debug for ActiveJob {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("ActiveJob")
        }
    }

    impl Drop for ActiveJob {
        fn drop(&mut self) {
            self.0.decrement(1.0);
        }
    }

    pub(crate) fn active(progress: &Progress) -> ActiveJob {
        let gauge = gauge!(ACTIVE, "task_type" => progress.task_type.clone());
        gauge.increment(1.0);
        ActiveJob(gauge)
    }

    /// Counts the failed calls of a store.
    pub(crate) fn watched(store: Arc<dyn ProgressStore>) -> Arc<dyn ProgressStore> {
        Arc::new(Watched(store))
    }

    #[derive(Debug)]
    struct Watched(Arc<dyn ProgressStore>);

    fn note<T>(operation: &'static str, outcome: &Result<T, ProgressError>) {
        if let Err(error) = outcome
            && error.is_of_store()
        {
            store_failed(operation);
        }
    }

    /// Forwards each method, and counts its failures under its name.
    macro_rules! watch {
        ($(fn $method:ident($($name:ident: $type:ty),*) -> $output:ty;)*) => {
            #[deny(clippy::missing_trait_methods, reason = "a default would hide the store's own")]
            #[async_trait]
            impl ProgressStore for Watched {
                $(
                    async fn $method(&self, $($name: $type),*) -> Result<$output, ProgressError> {
                        let outcome = self.0.$method($($name),*).await;
                        note(stringify!($method), &outcome);
                        outcome
                    }
                )*

                async fn update_many(
                    &self,
                    updates: &[(ProgressId, ProgressUpdate)],
                ) -> Vec<Result<Progress, ProgressError>> {
                    let outcomes = self.0.update_many(updates).await;
                    // One call, however many of its updates failed.
                    let is_of_store = |outcome: &&Result<Progress, ProgressError>| {
                        outcome.as_ref().is_err_and(ProgressError::is_of_store)
                    };
                    if let Some(failed) = outcomes.iter().find(is_of_store) {
                        note("update_many", failed);
                    }
                    outcomes
                }

                fn changes(&self) -> Option<Changes> {
                    self.0.changes()
                }
            }
        };
    }

    watch! {
        fn create(job: &NewProgress) -> Progress;
        fn get(id: ProgressId) -> Option<Progress>;
        fn update(id: ProgressId, update: &ProgressUpdate) -> Progress;
        fn list(query: &ProgressQuery) -> ProgressPage;
        fn entries(id: ProgressId, after: u64, limit: u32) -> EntryPage;
        fn delete(id: ProgressId) -> ();
        fn heartbeats() -> Vec<Heartbeat>;
        fn delete_finished(older_than: Duration, limit: u32) -> u64;
        fn unannounced(limit: u32) -> Vec<Progress>;
        fn delete_owned(owner: &str, limit: u32) -> u64;
        fn ping() -> ();
        fn get_many(ids: &[ProgressId]) -> Vec<Option<Progress>>;
    }
}
