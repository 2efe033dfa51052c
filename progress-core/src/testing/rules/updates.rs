//! Stamps, with one update at a time.

use super::{Suite, assert_refused, must, one, stamp};
use crate::{Completion, Delta, ProgressUpdate, Status};

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
