use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::{rules, sequences};
use crate::{Delta, NewProgress, Progress, ProgressId, ProgressStore, ProgressUpdate};

type PassTime = Box<dyn Fn(Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// The conformance suite for one store, with a second handle on it and a way to let time pass.
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
    pub(super) other: Arc<dyn ProgressStore>,
    pass: PassTime,
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
        let pass: PassTime = Box::new(|time| Box::pin(tokio::time::sleep(time)));
        Self { other: Arc::clone(&store), store, pass }
    }

    /// Sets a second handle on the same records, such as the connection of another process.
    #[must_use]
    pub fn with_other_handle(mut self, other: Arc<dyn ProgressStore>) -> Self {
        self.other = other;
        self
    }

    /// Sets how to let the store's time pass, if its clock can be moved. By default the suite
    /// sleeps, less than a second in total.
    #[must_use]
    pub fn with_clock<F>(mut self, pass: impl Fn(Duration) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.pass = Box::new(move |time| Box::pin(pass(time)));
        self
    }

    /// Returns the names of the rules.
    pub fn rules() -> impl Iterator<Item = &'static str> {
        rules::ALL.iter().map(|(name, _)| *name)
    }

    /// Checks one rule.
    ///
    /// # Panics
    ///
    /// Panics if the store breaks the rule, or if no rule has this name.
    pub async fn check(&self, rule: &str) {
        let (_, test) = rules::ALL.iter().find(|(name, _)| *name == rule).expect("a known rule");
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

    pub(super) async fn pass(&self, time: Duration) {
        (self.pass)(time).await;
    }

    pub(super) async fn pending(&self) -> Progress {
        self.store.create(&NewProgress::new("conformance")).await.expect("created")
    }

    pub(super) async fn running(&self) -> Progress {
        let job = self.pending().await;
        self.store.update(job.id, &ProgressUpdate::start()).await.expect("started")
    }

    pub(super) async fn finished(&self) -> Progress {
        let job = self.pending().await;
        let fail = ProgressUpdate::fail(Delta::new(), "over");
        self.store.update(job.id, &fail).await.expect("failed")
    }

    pub(super) async fn read(&self, id: ProgressId) -> Progress {
        self.store.get(id).await.expect("read").expect("the record exists")
    }

    /// Deletes all finished jobs, so that the rule counts only its own.
    pub(super) async fn clear(&self) {
        self.pass(Duration::from_millis(20)).await;
        while self.store.delete_finished(Duration::ZERO, 500).await.expect("deleted") > 0 {}
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
            concurrent_counts_are_neither_lost_nor_doubled,
            of_several_endings_one_wins,
            a_repeated_stamp_changes_nothing_even_after_the_end,
            a_refused_update_leaves_no_stamp,
            a_late_lower_stamp_changes_nothing,
            two_handles_are_one_store,
            deletion_waits_for_the_end_and_leaves_nothing,
            silence_grows_until_a_heartbeat,
            heartbeats_are_those_of_running_jobs,
            only_the_silent_are_lost,
            only_the_old_are_deleted,
            age_counts_from_the_end,
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
