//! The memory store is held to the same contract as every other, and the contract to its own promise: it notices.
#![allow(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use std::sync::Arc;

use progress_core::testing::{Fault, FaultyStore, conformance};
use progress_core::{
    MemoryStore, MockProgressStore, NewProgress, ProgressError, ProgressStore, Tracker,
};

#[tokio::test(flavor = "multi_thread")]
async fn conforms() {
    conformance(Arc::new(MemoryStore::new()), 10_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_forgets_stamps_does_not_conform() {
    let store = FaultyStore::new(Arc::new(MemoryStore::new()));
    store.set(Fault::ForgetsStamps);
    let verdict = tokio::spawn(conformance(Arc::new(store), 1_000)).await;
    assert!(verdict.is_err_and(|error| error.is_panic()), "the sequences did not notice");

    let store = FaultyStore::new(Arc::new(MemoryStore::new()));
    store.set(Fault::ForgetsStamps);
    let verdict = tokio::spawn(conformance(Arc::new(store), 0)).await;
    assert!(verdict.is_err_and(|error| error.is_panic()), "the rules did not notice");
}

#[tokio::test]
async fn the_mock_stands_in_for_a_store() {
    let mut mock = MockProgressStore::new();
    mock.expect_update().times(1).returning(|id, _| Err(ProgressError::NotFound(id)));
    let store: Arc<dyn ProgressStore> = Arc::new(mock);
    let job = NewProgress::new("mocked");
    assert!(matches!(Tracker::start(store, job.id()).await, Err(ProgressError::NotFound(_))));
}
