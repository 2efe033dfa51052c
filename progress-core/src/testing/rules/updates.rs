//! Stamps, with one update at a time.

use super::{Suite, assert_refused, must, one, stamp};
use crate::{
    Checkpoint, Completion, Delta, NewProgress, ProgressId, ProgressUpdate, Status, TotalChange,
};

pub(super) async fn a_repeated_stamp_changes_nothing_even_after_the_end(suite: &Suite) {
    let id = suite.running().await.id;
    let counts = one().with_stamp(stamp(7, 1));
    let ending = ProgressUpdate::complete(Delta::new().with_succeeded(1), Completion::new())
        .with_stamp(stamp(7, 2));
    for update in [&counts, &counts, &ending, &ending, &counts] {
        suite.store.update(id, update).await.expect(must::REPEAT);
    }
    let progress = suite.read(id).await;
    assert_eq!(
        (progress.status, progress.succeeded, progress.version),
        (Status::Completed, 2, 4),
        "update: a repeated stamp must change nothing (status, succeeded and version compared)"
    );
}

pub(super) async fn a_refused_update_leaves_no_stamp(suite: &Suite) {
    let id = suite.pending().await.id;
    let update = one().with_stamp(stamp(8, 1));
    for rule in [
        "update: counts of a pending job must be refused",
        "update: a refused update must leave no stamp, so its repetition must be refused",
    ] {
        let refusal = suite.store.update(id, &update).await;
        assert_refused(&refusal, id, Status::Pending, rule);
    }
    suite.store.update(id, &ProgressUpdate::start()).await.expect(must::START);
    let counted = suite.store.update(id, &update).await.expect(must::COUNT);
    assert_eq!(
        counted.succeeded, 1,
        "update: a refused update must leave no stamp, so it must count once it is allowed"
    );
}

pub(super) async fn a_late_lower_stamp_changes_nothing(suite: &Suite) {
    let id = suite.running().await.id;
    let stamped = |(writer, seq)| one().with_stamp(stamp(writer, seq));
    // The second writer's updates come in between, as on a shared job.
    for update in [(11, 1), (11, 2), (12, 1), (11, 1), (11, 2), (12, 1), (11, 3), (12, 1)] {
        suite.store.update(id, &stamped(update)).await.expect(must::REPEAT);
    }
    assert_eq!(
        suite.read(id).await.succeeded,
        4,
        "update: a stamp must count unless its writer has sent this number or a higher one"
    );
    let batch: Vec<_> =
        [(11, 3), (12, 2), (11, 4), (12, 2)].map(|update| (id, stamped(update))).into();
    for outcome in suite.store.update_many(&batch).await {
        outcome.expect("update_many: a repeated stamp must return the record, not an error");
    }
    assert_eq!(
        suite.read(id).await.succeeded,
        6,
        "update_many: a stamp must count unless its writer has sent this number or a higher one"
    );
}

async fn with_attempts(suite: &Suite) -> ProgressId {
    let job = NewProgress::new("conformance").with_total(10).with_attempts(3);
    let id = suite.store.create(&job).await.expect(must::CREATE).id;
    suite.store.update(id, &ProgressUpdate::start()).await.expect(must::START);
    id
}

pub(super) async fn an_attempt_starts_from_the_last_checkpoint(suite: &Suite) {
    let (id, other) = (with_attempts(suite).await, with_attempts(suite).await);
    let checkpoint = Checkpoint {
        stage: 0,
        cursor: Some(serde_json::json!({"line": 3, "text": "ü \u{1F4A1}", "none": null})),
        succeeded: 2,
        failed: 1,
        total: Some(12),
    };
    let delta = || Delta::new().with_succeeded(4).with_failed(2);
    let saved = ProgressUpdate::advance(delta().with_checkpoint(checkpoint.clone()));
    let released =
        ProgressUpdate::release(delta(), "full", Some(std::time::Duration::from_secs(9)));
    // Alone, and together with another record.
    suite.store.update(id, &saved.clone().with_stamp(stamp(20, 1))).await.expect(must::COUNT);
    let outcomes = suite.store.update_many(&[(id, released), (other, saved)]).await;
    for outcome in outcomes {
        outcome.expect("update_many: a running job must accept counts and the end of its attempt");
    }
    let waiting = suite.read(id).await;
    assert_eq!(
        (waiting.status, waiting.attempt, waiting.succeeded, waiting.checkpoint.as_ref()),
        (Status::Pending, 1, 8, Some(&checkpoint)),
        "update: after an attempt the job must be pending with its counts and its checkpoint \
         (status, attempt, succeeded and checkpoint compared)"
    );
    assert_eq!(
        waiting.retry_at,
        Some(waiting.updated_at + std::time::Duration::from_secs(9)),
        "update: the time of the next attempt must be stored"
    );
    let log = suite.store.entries(id, 0, 10).await.expect(must::READ_LOG);
    assert_eq!(
        log.entries.iter().map(|entry| entry.message.as_str()).collect::<Vec<_>>(),
        ["attempt 1 of 3 ended: full"],
        "entries: the log must say why an attempt ended"
    );
    let again = suite.store.update(id, &ProgressUpdate::start()).await.expect(must::START);
    assert_eq!(
        (again.attempt, again.succeeded, again.failed, again.total, again.carried_over),
        (2, 2, 1, Some(12), 3),
        "update: an attempt must start from the counts of the checkpoint (attempt, succeeded, \
         failed, total and carried_over compared)"
    );
    suite.remove(&[id, other]).await;
}

pub(super) async fn a_stage_has_its_own_counts_and_the_next_attempt_returns_to_it(suite: &Suite) {
    let job = NewProgress::new("conformance").with_total(3).with_attempts(2);
    let job = job.with_stages([("Check", 1), ("Im\"port ü \u{1F4A1}", 3), ("Clean up", 1)]);
    let id = suite.store.create(&job).await.expect(must::CREATE).id;
    suite.store.update(id, &ProgressUpdate::start()).await.expect(must::START);
    let checked = Delta::new().with_succeeded(2).with_failed(1);
    let imported = checked.with_stage(1).with_total(TotalChange::Set(9)).with_failed(4);
    // Alone, and together with another record.
    suite.store.update(id, &ProgressUpdate::advance(imported)).await.expect(must::COUNT);
    let other = suite.running().await.id;
    let last = Delta::new().with_succeeded(1).with_stage(2).with_succeeded(7);
    let batch = [(id, ProgressUpdate::advance(last)), (other, one())];
    for outcome in suite.store.update_many(&batch).await {
        outcome.expect("update_many: a running job must accept counts and a change of the stage");
    }
    let released = ProgressUpdate::release(Delta::new(), "full", None);
    suite.store.update(id, &released).await.expect("update: an attempt must be able to end");
    let again = suite.store.update(id, &ProgressUpdate::start()).await.expect(must::START);
    let stages = again.stages.as_ref().expect("get: the stages must be stored");
    let ended = |stage: usize| {
        let stage = &stages.all[stage];
        (stage.name.as_str(), stage.weight, stage.total, stage.succeeded, stage.failed)
    };
    assert_eq!(
        (stages.current, ended(0), ended(1)),
        (2, ("Check", 1, Some(3), 2, 1), ("Im\"port ü \u{1F4A1}", 3, Some(9), 1, 4)),
        "update: a stage must end with its counts, and stay ended in the next attempt (current \
         stage; name, weight, total, succeeded and failed of the first two compared)"
    );
    assert_eq!(
        (again.succeeded, again.failed, again.total),
        (0, 0, None),
        "update: what was not saved of the last stage must not count in the next attempt \
         (succeeded, failed and total compared)"
    );
    suite.remove(&[id, other]).await;
}

pub(super) async fn an_update_of_another_attempt_is_refused(suite: &Suite) {
    let id = with_attempts(suite).await;
    let released = ProgressUpdate::release(Delta::new(), "full", None);
    suite.store.update(id, &released).await.expect("update: an attempt must be able to end");
    suite.store.update(id, &ProgressUpdate::start()).await.expect(must::START);
    let late = one().with_attempt(1).with_stamp(stamp(21, 1));
    let refusal = suite.store.update(id, &late).await;
    let rule = "update: counts of an earlier attempt must be refused";
    assert_refused(&refusal, id, Status::Running, rule);
    let counted = suite.store.update(id, &one().with_attempt(2)).await.expect(must::COUNT);
    assert_eq!(counted.succeeded, 1, "update: counts of the current attempt must be added");
    suite.remove(&[id]).await;
}
