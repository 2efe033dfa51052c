//! Rules that depend on time: heartbeats, lost workers, deletion.

use std::time::Duration;

use chrono::TimeDelta;

use super::{Suite, assert_refused, must, one, stamp};
use crate::{Delta, NewEntry, NewProgress, Progress, ProgressUpdate, Status, WORKER_LOST};

pub(super) async fn deletion_waits_for_the_end_and_leaves_nothing(suite: &Suite) {
    let job = NewProgress::new("conformance");
    let id = suite.store.create(&job).await.expect(must::CREATE).id;
    let rule = "delete: an active job must be refused";
    assert_refused(&suite.store.delete(id).await, id, Status::Pending, rule);
    let start = ProgressUpdate::start().with_stamp(stamp(9, 1));
    suite.store.update(id, &start).await.expect(must::START);
    assert_refused(&suite.store.delete(id).await, id, Status::Running, rule);
    let last = Delta::new().with_entry(NewEntry::info("last"));
    suite.store.update(id, &ProgressUpdate::cancel(last)).await.expect(must::END);
    suite.store.delete(id).await.expect(must::DELETE);
    suite.assert_gone(id, "delete: the record must be gone").await;
    suite.assert_nothing_left_of(&job, &start).await;
}

pub(super) async fn silence_grows_until_a_heartbeat(suite: &Suite) {
    let id = suite.running().await.id;
    suite.pass(Duration::from_millis(30)).await;
    let silent_for = |progress: crate::Progress| {
        progress.silent_for().expect("update: a started job must be running, with one worker")
    };
    let silence = silent_for(suite.read(id).await);
    assert!(
        silence >= Duration::from_millis(25),
        "get: observed_at must be the time of reading. 30 ms after the last heartbeat, it is only \
         {silence:?} later. A store with another clock than the system's needs `with_clock`."
    );
    let beat = suite.store.update(id, &ProgressUpdate::heartbeat()).await;
    let renewed = silent_for(beat.expect("update: a running job must accept a heartbeat"));
    assert!(
        renewed < silence,
        "update: a heartbeat must end the silence, which was {silence:?} and is {renewed:?}"
    );
}

pub(super) async fn only_the_silent_are_lost(suite: &Suite) {
    let job = suite.running().await;
    let seen = job.heartbeat_at.expect("update: a start must set heartbeat_at");
    let early = ProgressUpdate::lose(seen - TimeDelta::milliseconds(1));
    assert_refused(
        &suite.store.update(job.id, &early).await,
        job.id,
        Status::Running,
        "update: `lose` with another heartbeat than the last one must be refused",
    );
    let probed = suite.store.update(job.id, &ProgressUpdate::probe(seen)).await;
    let probed = probed.expect("update: `probe` with the last heartbeat must be accepted");
    assert_eq!(
        (probed.version, probed.heartbeat_at),
        (job.version, job.heartbeat_at),
        "update: `probe` must change neither the version nor the heartbeat"
    );
    let lost = suite.store.update(job.id, &ProgressUpdate::lose(seen)).await;
    let lost = lost.expect("update: `lose` with the last heartbeat must be accepted");
    assert_eq!(
        (lost.status, lost.error.as_deref()),
        (Status::Failed, Some(WORKER_LOST)),
        "update: a job whose worker is lost must have failed with this error"
    );
    assert_eq!(
        (lost.version, lost.finished_at),
        (3, Some(lost.updated_at)),
        "update: `lose` must be a change like others (version and finished_at compared)"
    );
    assert_refused(
        &suite.store.update(job.id, &one()).await,
        job.id,
        Status::Failed,
        "update: counts of the lost worker must be refused",
    );
}

pub(super) async fn only_the_old_are_deleted(suite: &Suite) {
    suite.clear().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(suite.finished().await.id);
        suite.pass(Duration::from_millis(20)).await;
    }
    let active = suite.running().await.id;
    for age in [Duration::MAX, Duration::from_secs(3_600)] {
        assert_eq!(
            suite.delete_finished(age, 10).await,
            0,
            "delete_finished: a job that ended just now is not older than {age:?}"
        );
    }
    assert_eq!(
        suite.delete_finished(Duration::from_millis(1), 2).await,
        2,
        "delete_finished: of 3 old jobs, at most as many as the limit must be deleted"
    );
    assert_eq!(
        suite.are_there(&ids).await,
        [false, false, true],
        "delete_finished: the jobs that ended first must be deleted first"
    );
    assert_eq!(
        suite.delete_finished(Duration::from_millis(1), 2).await,
        1,
        "delete_finished: the last old job must be deleted, and no active one"
    );
    assert_eq!(
        suite.read(active).await.status,
        Status::Running,
        "delete_finished: an active job must stay as it is"
    );
}

/// The longest moment that the next rule tries.
const SLOWEST: Duration = Duration::from_secs(1);

pub(super) async fn age_counts_from_the_end(suite: &Suite) {
    let mut moment = Duration::from_millis(100);
    let (short, long) = loop {
        suite.clear().await;
        let long = suite.running().await.id;
        suite.pass(3 * moment).await;
        let short = suite.finished().await;
        suite.pass(moment).await;
        suite.store.update(long, &ProgressUpdate::cancel(Delta::new())).await.expect(must::END);
        let deleted = suite.delete_finished(2 * moment, 10).await;
        // On a busy machine, these calls may take so long that the short job has become old.
        let now = suite.pending().await.created_at;
        let age = (now - short.finished_at.unwrap_or(now)).to_std().unwrap_or_default();
        if deleted > 0 && age >= 2 * moment && moment < SLOWEST {
            moment *= 4;
            continue;
        }
        assert_eq!(
            deleted, 0,
            "delete_finished: the age must count from the end of a job, not from its creation"
        );
        break (short.id, long);
    };
    suite.pass(Duration::from_millis(10)).await;
    assert_eq!(
        suite.delete_finished(Duration::ZERO, 1).await,
        1,
        "delete_finished: a job that has ended is older than 0 s"
    );
    assert_eq!(
        suite.are_there(&[short, long]).await,
        [false, true],
        "delete_finished: the job that ended first must be deleted first, not the one that was \
         created first"
    );
}

/// 60 days are more milliseconds than 32 bits can count.
pub(super) async fn ages_of_months_are_counted(suite: &Suite) {
    if !suite.has_clock() {
        return suite.report_not_run("ages_of_months_are_counted", "with_clock");
    }
    let days = |days: u64| Duration::from_secs(days * 86_400);
    suite.clear().await;
    let (running, finished) = (suite.running().await.id, suite.finished().await.id);
    suite.pass(days(59)).await;
    let silence = suite.read(running).await.silent_for();
    assert!(
        silence.is_some_and(|silence| silence >= days(59)),
        "get: heartbeat_at and observed_at must be 59 days apart, but the silence is {silence:?}"
    );
    assert_eq!(
        suite.delete_finished(days(60), 10).await,
        0,
        "delete_finished: a job that ended 59 days ago is not older than 60 days"
    );
    suite.pass(days(2)).await;
    assert_eq!(
        suite.delete_finished(days(60), 10).await,
        1,
        "delete_finished: a job that ended 61 days ago is older than 60 days"
    );
    assert_eq!(
        suite.are_there(&[running, finished]).await,
        [true, false],
        "delete_finished: a job that has run for 61 days has not ended"
    );
}

async fn end_with_announcement(suite: &Suite) -> Progress {
    let job = NewProgress::new("conformance").with_announcement();
    let id = suite.store.create(&job).await.expect(must::CREATE).id;
    suite.store.update(id, &ProgressUpdate::start()).await.expect(must::START);
    suite.store.update(id, &ProgressUpdate::cancel(Delta::new())).await.expect(must::END)
}

pub(super) async fn a_record_is_kept_for_its_announcement(suite: &Suite) {
    suite.clear().await;
    let id = end_with_announcement(suite).await.id;
    suite.pass(Duration::from_millis(20)).await;
    assert_eq!(
        suite.delete_finished(Duration::ZERO, 10).await,
        0,
        "delete_finished: the retention of a record must not begin before its announcement"
    );
    suite.store.update(id, &ProgressUpdate::announced()).await.expect("update: a note");
    assert_eq!(
        suite.delete_finished(Duration::ZERO, 10).await,
        1,
        "delete_finished: the retention of a record must begin at its end once it is announced"
    );
    if !suite.has_clock() {
        return suite.report_not_run("a_record_is_kept_for_a_day", "with_clock");
    }
    let id = end_with_announcement(suite).await.id;
    suite.pass(Duration::from_secs(86_400 - 1)).await;
    assert_eq!(suite.delete_finished(Duration::ZERO, 10).await, 0, "delete_finished: for a day");
    suite.pass(Duration::from_secs(2)).await;
    assert_eq!(
        suite.delete_finished(Duration::ZERO, 10).await,
        1,
        "delete_finished: a record must not be kept longer than a day for its announcement"
    );
    suite.assert_gone(id, "delete_finished: a deleted record must be gone").await;
}
