//! The named rules. They check what comparing one record cannot show.

mod records;
mod time;
mod updates;

use std::future::Future;
use std::pin::Pin;

use super::Suite;
use crate::{Delta, ProgressUpdate};

/// A rule's test.
type Test = for<'a> fn(&'a Suite) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

macro_rules! rules {
    ($($module:ident::$rule:ident,)*) => {
        /// The rules and their tests.
        pub(super) const ALL: &[(&str, Test)] = &[
            $((stringify!($rule), |suite| Box::pin($module::$rule(suite))),)*
        ];
    };
}

rules! {
    records::a_job_is_created_once,
    records::unknown_ids_are_not_found,
    records::bad_data_is_refused_before_anything_is_written,
    records::pages_hold_every_record_once_and_only_the_owners,
    records::the_log_keeps_its_newest_entries_and_counts_the_rest,
    records::several_at_once_are_as_one_by_one,
    records::owners_are_compared_to_the_letter,
    records::task_types_are_compared_to_the_letter,
    updates::concurrent_counts_are_neither_lost_nor_doubled,
    updates::of_several_endings_one_wins,
    updates::a_repeated_stamp_changes_nothing_even_after_the_end,
    updates::a_refused_update_leaves_no_stamp,
    updates::a_late_lower_stamp_changes_nothing,
    updates::two_handles_are_one_store,
    time::deletion_waits_for_the_end_and_leaves_nothing,
    time::silence_grows_until_a_heartbeat,
    time::heartbeats_are_those_of_running_jobs,
    time::only_the_silent_are_lost,
    time::only_the_old_are_deleted,
    time::age_counts_from_the_end,
    time::an_update_and_a_deletion_do_not_meet_half_way,
}

fn one() -> ProgressUpdate {
    ProgressUpdate::advance(Delta::new().with_succeeded(1))
}
