//! Single records: creation, unknown ids, exact comparison of text.

use super::{Suite, assert_not_found, must, one, stamp};
use crate::testing::timeless;
use crate::{NewProgress, ProgressError, ProgressId, ProgressQuery, Status};

pub(super) async fn a_job_is_created_once(suite: &Suite) {
    let job = NewProgress::new("conformance").with_total(7).with_title("first");
    let created = suite.store.create(&job).await.expect(must::CREATE);
    assert_eq!(
        (created.status, created.version, created.total),
        (Status::Pending, 1, Some(7)),
        "create: the new record must be pending, with version 1 and the total of the job"
    );
    assert_eq!(
        created.observed_at, created.created_at,
        "create: observed_at must be the time of creation"
    );
    assert_eq!(
        timeless(&suite.read(job.id()).await),
        timeless(&created),
        "get: the record must be the one that create returned"
    );

    let again = NewProgress::new("other").with_id(job.id());
    let refusal = suite.store.create(&again).await;
    assert!(
        matches!(refusal, Err(ProgressError::AlreadyExists(id)) if id == job.id()),
        "create: an existing id must be refused with `AlreadyExists` and the id, but got \
         {refusal:?}"
    );
    assert_eq!(
        suite.read(job.id()).await.title.as_deref(),
        Some("first"),
        "create: an existing record must not be overwritten"
    );
}

pub(super) async fn unknown_ids_are_not_found(suite: &Suite) {
    let id = ProgressId::new();
    suite.assert_gone(id, "get: an unknown id must be `None`").await;
    let counted = suite.store.update(id, &one()).await;
    assert_not_found(&counted, id, "update: an unknown id must be refused");
    let counted = suite.store.update(id, &one().with_stamp(stamp(3, 1))).await;
    assert_not_found(&counted, id, "update: an unknown id must be refused, also with a stamp,");
    let log = suite.store.entries(id, 0, 10).await;
    assert_not_found(&log, id, "entries: an unknown id must be refused");
    let deleted = suite.store.delete(id).await;
    assert_not_found(&deleted, id, "delete: an unknown id must be refused");
}

pub(super) async fn bad_data_is_refused_before_anything_is_written(suite: &Suite) {
    let large = serde_json::json!("x".repeat(crate::limits::MAX_JSON));
    for (data, job) in [
        ("an empty owner", NewProgress::new("t").with_owner("")),
        ("an owner of 201 characters", NewProgress::new("t").with_owner("x".repeat(201))),
        ("an owner with a NUL", NewProgress::new("t").with_owner("a\0b")),
        ("metadata over 16 KiB", NewProgress::new("t").with_metadata(large)),
    ] {
        let refusal = suite.store.create(&job).await;
        assert!(
            matches!(refusal, Err(ProgressError::Invalid(_))),
            "create: {data} must be refused with `Invalid`, but got {refusal:?}"
        );
        suite.assert_gone(job.id(), "create: a refused job must leave no record").await;
    }
}

pub(super) async fn owners_are_compared_to_the_letter(suite: &Suite) {
    let unique = ProgressId::new();
    let owners = ["Ann", "ann", "Ann ", " Ann", "Ànn", "Ann\u{301}"];
    let owners = owners.map(|owner| format!("{owner}{unique}{owner}"));
    for owner in &owners {
        let job = NewProgress::new("conformance").with_owner(owner);
        suite.store.create(&job).await.expect(must::CREATE);
    }
    for owner in &owners {
        let query = ProgressQuery::new().with_owner(owner);
        let page = suite.store.list(&query).await.expect(must::LIST);
        let found: Vec<_> = page.items.iter().map(|item| item.owner.as_deref()).collect();
        assert_eq!(
            found,
            [Some(owner.as_str())],
            "list: owners that differ in case, accents or spaces must be different owners"
        );
    }
}

pub(super) async fn task_types_are_compared_to_the_letter(suite: &Suite) {
    let unique = ProgressId::new();
    let task_types =
        ["Import", "import", "import "].map(|task_type| format!("{unique}{task_type}"));
    for task_type in &task_types {
        suite.store.create(&NewProgress::new(task_type)).await.expect(must::CREATE);
    }
    for task_type in &task_types {
        let query = ProgressQuery::new().with_task_type(task_type);
        let page = suite.store.list(&query).await.expect(must::LIST);
        let found: Vec<_> = page.items.iter().map(|item| item.task_type.as_str()).collect();
        assert_eq!(
            found,
            [task_type.as_str()],
            "list: task types that differ in case or spaces must be different types"
        );
    }
}
