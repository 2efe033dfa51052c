//! Runs the conformance suite on the memory store, and checks that the suite detects a faulty
//! store.
#![allow(clippy::unwrap_used, reason = "a test reports failures by panicking")]

use std::sync::Arc;

use progress_core::testing::{Fault, FaultyStore, Suite, conformance};
use progress_core::{Jobs, MemoryStore, MockProgressStore, NewProgress, ProgressError};

progress_core::conformance_tests!(conforms, 10_000, async || {
    tokio::time::pause();
    Suite::new(Arc::new(MemoryStore::new())).with_clock(tokio::time::advance)
});

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_forgets_stamps_does_not_conform() {
    let store = FaultyStore::new(Arc::new(MemoryStore::new()));
    store.set(Fault::ForgetsStamps);
    let verdict = tokio::spawn(conformance(Arc::new(store), 1_000)).await;
    assert!(verdict.is_err_and(|error| error.is_panic()), "the sequences did not detect the fault");

    let store = FaultyStore::new(Arc::new(MemoryStore::new()));
    store.set(Fault::ForgetsStamps);
    let verdict = tokio::spawn(conformance(Arc::new(store), 0)).await;
    assert!(verdict.is_err_and(|error| error.is_panic()), "the rules did not detect the fault");
}

#[tokio::test]
async fn the_mock_stands_in_for_a_store() {
    let mut mock = MockProgressStore::new();
    mock.expect_update_many().times(1).returning(|updates| {
        updates.iter().map(|(id, _)| Err(ProgressError::NotFound(*id))).collect()
    });
    let job = NewProgress::new("mocked");
    let refused = Jobs::new(mock).tracker(job.id()).await;
    assert!(matches!(refused, Err(ProgressError::NotFound(_))));
}
