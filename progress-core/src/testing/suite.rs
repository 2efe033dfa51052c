use std::fmt;
use std::future::Future;
use std::io::Write as _;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::rules::must;
use super::{rules, sequences};
use crate::{
    Delta, NewProgress, Progress, ProgressError, ProgressId, ProgressStore, ProgressUpdate, Status,
};

type PassTime = Box<dyn Fn(Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// The conformance suite for one store, with a second handle on it and a way to let time pass.
///
/// The rules about concurrent calls use several threads with a runtime each, because a store is
/// called from any runtime. They wait for the threads with
/// [`spawn_blocking`](tokio::task::spawn_blocking).
///
/// ```
/// # use std::sync::Arc;
/// # use progress_core::{MemoryStore, testing::Suite};
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let suite = Suite::new(Arc::new(MemoryStore::new()));
/// for rule in Suite::rules() {
///     suite.check(rule).await;
/// }
/// suite.compare_sequences(100).await;
/// # });
/// ```
pub struct Suite {
    pub(super) store: Arc<dyn ProgressStore>,
    pub(super) other: Option<Arc<dyn ProgressStore>>,
    clock: Option<PassTime>,
}

impl fmt::Debug for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Suite").field("store", &self.store).finish_non_exhaustive()
    }
}

impl Suite {
    /// Creates a suite for a store that nothing else uses, because the suite deletes finished jobs,
    /// whichever test created them. The store must keep the default number of log entries.
    #[must_use]
    pub fn new(store: Arc<dyn ProgressStore>) -> Self {
        Self { store, other: None, clock: None }
    }

    /// Sets a second handle on the same records, such as the connection of another process. Without
    /// it, the rule that needs two handles only prints that it was not run.
    #[must_use]
    pub fn with_other_handle(mut self, other: Arc<dyn ProgressStore>) -> Self {
        self.other = Some(other);
        self
    }

    /// Sets how to move the store's clock forward, if it can be moved. Without it, the suite
    /// sleeps, less than a second in total, and the rule that needs two months only prints that it
    /// was not run.
    #[must_use]
    pub fn with_clock<F>(mut self, pass: impl Fn(Duration) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.clock = Some(Box::new(move |time| Box::pin(pass(time))));
        self
    }

    /// Returns the names of the rules.
    pub fn rules() -> impl Iterator<Item = &'static str> {
        rules::ALL.iter().map(|(name, _)| *name)
    }

    /// Checks one rule. If the suite lacks what the rule needs, this prints to standard error that
    /// the rule was not run.
    ///
    /// # Panics
    ///
    /// Panics if the store breaks the rule, or if no rule has this name. The message begins with
    /// the method of [`ProgressStore`] that broke it.
    pub async fn check(&self, rule: &str) {
        let known = rules::ALL.iter().find(|(name, _)| *name == rule);
        let (_, test) = known.unwrap_or_else(|| panic!("no rule has the name {rule:?}"));
        test(self).await;
    }

    /// Applies this many random sequences of updates and compares the store with
    /// [`Record`](crate::Record) after each update. 1,000 sequences are enough.
    ///
    /// # Panics
    ///
    /// Panics at the first difference. The message contains the seed, which reproduces the
    /// sequence.
    pub async fn compare_sequences(&self, count: u32) {
        for seed in 0..count {
            sequences::compare(&*self.store, u64::from(seed)).await;
        }
    }

    pub(super) const fn has_clock(&self) -> bool {
        self.clock.is_some()
    }

    /// Prints that a rule was not run, because the suite was created without this method.
    #[allow(clippy::unused_self, reason = "reads like the suite's other checks")]
    pub(super) fn report_not_run(&self, rule: &str, method: &str) {
        // Bypasses the capture of a test's output, which would hide that the rule was not run.
        let text = format!("not run: {rule}: give `{method}`\n");
        // There is no other place to report a closed standard error.
        let _ = std::io::stderr().write_all(text.as_bytes());
    }

    pub(super) async fn pass(&self, time: Duration) {
        match &self.clock {
            Some(pass) => pass(time).await,
            None => tokio::time::sleep(time).await,
        }
    }

    pub(super) async fn pending(&self) -> Progress {
        self.store.create(&NewProgress::new("conformance")).await.expect(must::CREATE)
    }

    pub(super) async fn running(&self) -> Progress {
        let job = self.pending().await;
        self.store.update(job.id, &ProgressUpdate::start()).await.expect(must::START)
    }

    pub(super) async fn finished(&self) -> Progress {
        let job = self.pending().await;
        let fail = ProgressUpdate::fail(Delta::new(), "over");
        self.store.update(job.id, &fail).await.expect("update: a pending job must be able to fail")
    }

    pub(super) async fn many_pending(&self, count: usize) -> Vec<ProgressId> {
        let mut ids = Vec::with_capacity(count);
        for _ in 0..count {
            ids.push(self.pending().await.id);
        }
        ids
    }

    pub(super) async fn many_running(&self, count: usize) -> Vec<ProgressId> {
        let ids = self.many_pending(count).await;
        self.update_all(&ids, &ProgressUpdate::start()).await;
        ids
    }

    /// Applies the same update to all jobs, which must accept it.
    pub(super) async fn update_all(
        &self,
        ids: &[ProgressId],
        update: &ProgressUpdate,
    ) -> Vec<Progress> {
        let outcomes = self.try_update_all(ids, update).await.into_iter();
        outcomes
            .map(|outcome| outcome.expect("update_many: each job must accept this update"))
            .collect()
    }

    async fn try_update_all(
        &self,
        ids: &[ProgressId],
        update: &ProgressUpdate,
    ) -> Vec<Result<Progress, ProgressError>> {
        let mut outcomes = Vec::with_capacity(ids.len());
        // A flush loop sends no more than this in one call.
        for ids in ids.chunks(128) {
            let updates: Vec<_> = ids.iter().map(|id| (*id, update.clone())).collect();
            outcomes.extend(self.store.update_many(&updates).await);
        }
        assert_eq!(outcomes.len(), ids.len(), "update_many: each update must have an outcome");
        outcomes
    }

    pub(super) async fn read(&self, id: ProgressId) -> Progress {
        let read = self.store.get(id).await.expect(must::READ);
        read.expect(must::FIND)
    }

    /// Returns for each id whether it has a record.
    pub(super) async fn are_there(&self, ids: &[ProgressId]) -> Vec<bool> {
        let found = self.store.get_many(ids).await.expect(must::READ_MANY);
        found.iter().map(Option::is_some).collect()
    }

    pub(super) async fn delete_finished(&self, older_than: Duration, limit: u32) -> u64 {
        let deleted = self.store.delete_finished(older_than, limit).await;
        deleted.expect("delete_finished: every age and limit must be accepted")
    }

    /// Deletes all finished jobs, so that the rule counts only its own.
    pub(super) async fn clear(&self) {
        self.pass(Duration::from_millis(20)).await;
        while self.delete_finished(Duration::ZERO, 500).await > 0 {}
    }

    /// Ends jobs and deletes them. A race does this at its end, because its threads do not follow
    /// paused time: the other rules would find jobs that end in the future.
    pub(super) async fn remove(&self, ids: &[ProgressId]) {
        let fail = ProgressUpdate::fail(Delta::new(), "over");
        // A job that has already ended refuses this.
        drop(self.try_update_all(ids, &fail).await);
        for id in ids {
            self.store.delete(*id).await.expect(must::DELETE);
        }
    }

    pub(super) async fn assert_gone(&self, id: ProgressId, rule: &str) {
        let read = self.store.get(id).await.expect(must::READ);
        assert_eq!(read, None, "{rule}");
    }

    /// Creates a deleted job again, and checks that its log and its stamps are empty. `start` is a
    /// stamped update that the deleted record had applied.
    pub(super) async fn assert_nothing_left_of(&self, job: &NewProgress, start: &ProgressUpdate) {
        let again = self.store.create(job).await;
        again.expect("create: the id of a deleted job must be free again");
        let log = self.store.entries(job.id(), 0, 10).await.expect(must::READ_LOG);
        assert_eq!(log.entries, [], "delete: the log must be deleted with its record");
        let started = self.store.update(job.id(), start).await.expect(must::START);
        assert_eq!(
            started.status,
            Status::Running,
            "delete: the stamps must be deleted with their record"
        );
    }
}

/// Generates a module with a test for each rule of the suite and one for random sequences, each on
/// its own store.
///
/// The arguments are the module's name, the number of sequences, and an async closure that creates
/// a [`Suite`].
///
/// ```
/// use std::sync::Arc;
/// use progress_core::{MemoryStore, testing::Suite};
///
/// progress_core::conformance_tests!(conforms, 1_000, async || {
///     Suite::new(Arc::new(MemoryStore::new()))
/// });
/// ```
#[macro_export]
macro_rules! conformance_tests {
    ($module:ident, $sequences:expr, $suite:expr) => {
        $crate::conformance_tests! {
            @tests $module, $sequences, $suite;
            a_job_is_created_once,
            unknown_ids_are_not_found,
            bad_data_is_refused_before_anything_is_written,
            pages_hold_every_record_once_and_only_the_owners,
            the_log_keeps_its_newest_entries_and_counts_the_rest,
            several_at_once_are_as_one_by_one,
            owners_are_compared_to_the_letter,
            task_types_are_compared_to_the_letter,
            of_several_creations_one_wins,
            of_several_starts_one_wins,
            concurrent_counts_are_neither_lost_nor_doubled,
            of_several_endings_one_wins,
            the_last_worker_ends_a_shared_job,
            a_stamp_sent_by_several_at_once_counts_once,
            a_repeated_stamp_changes_nothing_even_after_the_end,
            a_refused_update_leaves_no_stamp,
            a_late_lower_stamp_changes_nothing,
            an_attempt_starts_from_the_last_checkpoint,
            an_update_of_another_attempt_is_refused,
            a_stage_has_its_own_counts_and_the_next_attempt_returns_to_it,
            two_handles_are_one_store,
            deletion_waits_for_the_end_and_leaves_nothing,
            hints_tell_of_every_change,
            silence_grows_until_a_heartbeat,
            heartbeats_are_those_of_running_jobs,
            only_the_silent_are_lost,
            only_the_old_are_deleted,
            one_call_deletes_as_many_as_its_limit,
            of_an_owner_all_finished_records_are_deleted_and_no_others,
            age_counts_from_the_end,
            ages_of_months_are_counted,
            the_end_is_announced_once_at_a_time_until_it_is_noted,
            a_record_is_kept_for_its_announcement,
            an_update_and_a_deletion_do_not_meet_half_way,
        }
    };
    (@tests $module:ident, $sequences:expr, $suite:expr; $($rule:ident,)*) => {
        mod $module {
            #[allow(unused_imports, reason = "the closure is defined outside this module")]
            use super::*;

            $(
                #[test]
                fn $rule() {
                    $crate::testing::run($suite, async |suite: $crate::testing::Suite| {
                        suite.check(stringify!($rule)).await;
                    });
                }
            )*

            #[test]
            fn random_sequences_agree_with_the_record() {
                $crate::testing::run($suite, async |suite: $crate::testing::Suite| {
                    suite.compare_sequences($sequences).await;
                });
            }

            #[test]
            fn every_rule_has_a_test() {
                let tests = [$(stringify!($rule)),*];
                assert!($crate::testing::Suite::rules().eq(tests));
            }
        }
    };
}
