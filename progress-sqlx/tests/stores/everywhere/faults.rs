//! Faults, and the recovery after them.

use std::time::Duration;

use progress_core::{Delta, NewEntry, NewProgress, ProgressError, ProgressUpdate, Stamp};
use uuid::Uuid;

use super::{on_every_database, running};
use crate::database::Database;
use crate::{one, spin};

on_every_database!(
    a_call_that_is_dropped_is_all_or_nothing_and_leaves_the_store_usable,
    a_refused_update_leaves_nothing_behind,
    a_missing_table_is_not_worth_another_try,
);

async fn a_call_that_is_dropped_is_all_or_nothing_and_leaves_the_store_usable(database: Database) {
    let store = database.store().await;
    let job = running(&store).await;
    let update = || {
        let delta = Delta::new().with_succeeded(1).with_entry(NewEntry::info("one"));
        ProgressUpdate::advance(delta).with_stamp(Stamp { writer: Uuid::new_v4(), seq: 1 })
    };
    let mut answered = 0;
    let mut dropped = 0;
    for round in 0..1_000_u64 {
        // Covers every length from "not begun" to "done" several times. Every tenth call has all
        // the time it needs, because on a busy machine none of the others may finish.
        let patience = match round % 10 {
            9 => Duration::from_secs(60),
            _ => Duration::from_micros(round * round % 20_000),
        };
        let update = update();
        let call = store.update(job.id, &update);
        tokio::select! {
            biased;
            outcome = call => { outcome.unwrap(); answered += 1; }
            () = spin(patience) => dropped += 1,
        }
    }
    assert!(answered > 0 && dropped > 0, "{answered} answered, {dropped} dropped");
    let seen = store.update(job.id, &one()).await.unwrap();
    assert!(seen.succeeded > answered, "{answered} answered, {} counted", seen.succeeded);
    assert_eq!(
        seen.succeeded - 1,
        seen.last_entry,
        "counts and entries of a call are written together"
    );
    // Each call has its own writer. All writers but the last are in `progress_writers`.
    let stamps = database.pool().await.integer("SELECT count(*) + 1 FROM progress_writers").await;
    assert_eq!(
        u64::try_from(stamps).unwrap(),
        seen.last_entry,
        "stamps are written with counts and entries"
    );
}

async fn a_refused_update_leaves_nothing_behind(database: Database) {
    let store = database.store().await;
    let job = store.create(&NewProgress::new("test")).await.unwrap();
    let stamped = one().with_stamp(Stamp { writer: Uuid::new_v4(), seq: 1 });
    let refused = store.update(job.id, &stamped).await;
    assert!(matches!(refused, Err(ProgressError::Refused { .. })), "{refused:?}");
    let together =
        store.update_many(&[(job.id, stamped.clone()), (job.id, ProgressUpdate::start())]).await;
    assert!(together[0].is_err() && together[1].is_ok(), "{together:?}");
    let seen = store.update(job.id, &stamped).await.unwrap();
    assert_eq!(seen.succeeded, 1, "a refused update leaves no stamp");

    let ending = ProgressUpdate::fail(Delta::new(), "over")
        .with_stamp(Stamp { writer: Uuid::new_v4(), seq: 7 });
    let ended = store.update(job.id, &ending).await.unwrap();
    for update in [&stamped, &ending] {
        let again = store.update(job.id, update).await.unwrap();
        assert_eq!(
            (again.version, again.succeeded),
            (ended.version, 1),
            "a repetition after the end changes nothing"
        );
    }
}

async fn a_missing_table_is_not_worth_another_try(database: Database) {
    let store = database.store().await;
    database.pool().await.execute("DROP TABLE progress_records").await;
    let missing = store.create(&NewProgress::new("test")).await;
    let Err(error @ ProgressError::Setup(_)) = missing else { panic!("{missing:?}") };
    assert!(error.to_string().contains("call `migrate()`"), "{error}");
    assert!(!error.is_transient());
}
