//! The store on a real server, one for each test.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests report failures by panicking")]

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use progress_core::testing::Suite;
use progress_core::{Delta, NewProgress, ProgressError, ProgressId, ProgressStore, ProgressUpdate};
use progress_redis::RedisStore;
use progress_test_support::RedisServer;

/// Returns a store that nothing else uses, and another handle on it.
async fn stores() -> [RedisStore; 2] {
    static SERVER: LazyLock<RedisServer> =
        LazyLock::new(|| RedisServer::or_say_so(&[]).expect("redis-server is needed"));
    let namespace = ProgressId::new().to_string();
    let first = RedisStore::connect(&SERVER.url()).await.unwrap().with_namespace(&namespace);
    let other = RedisStore::connect(&SERVER.url()).await.unwrap().with_namespace(&namespace);
    [first, other]
}

progress_core::conformance_tests!(conforms, 300, async || {
    let [store, other] = stores().await;
    Suite::new(Arc::new(store)).with_other_handle(Arc::new(other))
});
