//! The named rules. They check what comparing one record cannot show.

mod many;
mod races;
mod records;
mod time;
mod updates;

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;

use uuid::Uuid;

use super::Suite;
use crate::{Delta, ProgressError, ProgressId, ProgressUpdate, Stamp, Status};

/// A rule's test.
type Test = for<'a> fn(&'a Suite) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

macro_rules! rules {
    ($($module:ident::$rule:ident,)*) => {
        /// The rules and their tests.
        pub(in crate::testing) const ALL: &[(&str, Test)] = &[
            $((stringify!($rule), |suite| Box::pin($module::$rule(suite))),)*
        ];
    };
}

rules! {
    records::a_job_is_created_once,
    records::unknown_ids_are_not_found,
    records::bad_data_is_refused_before_anything_is_written,
    many::pages_hold_every_record_once_and_only_the_owners,
    many::the_log_keeps_its_newest_entries_and_counts_the_rest,
    many::several_at_once_are_as_one_by_one,
    records::owners_are_compared_to_the_letter,
    records::task_types_are_compared_to_the_letter,
    races::of_several_creations_one_wins,
    races::of_several_starts_one_wins,
    races::concurrent_counts_are_neither_lost_nor_doubled,
    races::of_several_endings_one_wins,
    races::the_last_worker_ends_a_shared_job,
    races::a_stamp_sent_by_several_at_once_counts_once,
    updates::a_repeated_stamp_changes_nothing_even_after_the_end,
    updates::a_refused_update_leaves_no_stamp,
    updates::a_late_lower_stamp_changes_nothing,
    updates::an_attempt_starts_from_the_last_checkpoint,
    updates::an_update_of_another_attempt_is_refused,
    updates::a_stage_has_its_own_counts_and_the_next_attempt_returns_to_it,
    races::two_handles_are_one_store,
    time::deletion_waits_for_the_end_and_leaves_nothing,
    many::hints_tell_of_every_change,
    time::silence_grows_until_a_heartbeat,
    many::heartbeats_are_those_of_running_jobs,
    time::only_the_silent_are_lost,
    time::only_the_old_are_deleted,
    many::one_call_deletes_as_many_as_its_limit,
    many::of_an_owner_all_finished_records_are_deleted_and_no_others,
    time::age_counts_from_the_end,
    time::ages_of_months_are_counted,
    many::the_end_is_announced_once_at_a_time_until_it_is_noted,
    time::a_record_is_kept_for_its_announcement,
    races::an_update_and_a_deletion_do_not_meet_half_way,
}

/// Rules that several parts of the suite rely on, as the messages of `expect`.
pub(super) mod must {
    pub(in crate::testing) const CREATE: &str = "create: a valid job must be stored";
    pub(in crate::testing) const START: &str = "update: a pending job must start";
    pub(in crate::testing) const COUNT: &str = "update: a running job must accept counts";
    pub(in crate::testing) const REPEAT: &str =
        "update: a repeated stamp must return the record, not an error";
    pub(in crate::testing) const END: &str = "update: a running job must accept its end";
    pub(in crate::testing) const READ: &str = "get: every id must be readable";
    pub(in crate::testing) const FIND: &str = "get: a stored record must be found";
    pub(in crate::testing) const LIST: &str = "list: a valid query must be answered";
    pub(in crate::testing) const READ_LOG: &str =
        "entries: the log of an existing job must be readable";
    pub(in crate::testing) const READ_MANY: &str =
        "get_many: existing and unknown ids must be readable";
    pub(in crate::testing) const HEARTBEATS: &str = "heartbeats: the running jobs must be listed";
    pub(in crate::testing) const DELETE: &str = "delete: a finished job must be deleted";
}

fn one() -> ProgressUpdate {
    ProgressUpdate::advance(Delta::new().with_succeeded(1))
}

fn stamp(writer: u128, seq: u64) -> Stamp {
    Stamp { writer: Uuid::from_u128(writer), seq }
}

#[track_caller]
fn assert_refused<T: Debug>(
    outcome: &Result<T, ProgressError>,
    job: ProgressId,
    current: Status,
    rule: &str,
) {
    let is_refused = matches!(
        outcome,
        Err(ProgressError::Refused { id, status }) if (*id, *status) == (job, current)
    );
    assert!(is_refused, "{rule} with `Refused` and the status {current}, but got {outcome:?}");
}

#[track_caller]
fn assert_not_found<T: Debug>(outcome: &Result<T, ProgressError>, job: ProgressId, rule: &str) {
    let is_not_found = matches!(outcome, Err(ProgressError::NotFound(id)) if *id == job);
    assert!(is_not_found, "{rule} with `NotFound` and the id, but got {outcome:?}");
}
