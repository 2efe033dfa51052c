//! Conformance suite for every store, built-in or third-party (feature `testing`).
//!
//! ```
//! # use std::sync::Arc;
//! # use progress_core::{MemoryStore, testing::conformance};
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! conformance(Arc::new(MemoryStore::new()), 100).await;
//! # });
//! ```
//!
//! The suite applies random sequences of updates and compares the store with
//! [`Record`](crate::Record) after each update. Named rules check what comparing one record cannot
//! show: concurrency, stamps, pages, the log, heartbeats, deletion.
//! [`conformance_tests!`](crate::conformance_tests) generates a test for each rule and one for the
//! sequences.
//!
//! [`FaultyStore`] fails on demand. Use it to test code that depends on a store.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "the suite reports failures by panicking inside a test"
)]

mod faulty;
pub(crate) mod random;
mod rules;
mod sequences;
mod suite;
#[cfg(test)]
mod tests;
mod threads;

use std::sync::Arc;

use chrono::{DateTime, Utc};

pub use self::faulty::{Fault, FaultyStore};
pub use self::suite::Suite;
use crate::flush::RunsOn;
use crate::{CachedStore, Jobs, Progress, ProgressStore, metering};

/// Checks the rules and this many random sequences on a store that nothing else uses: see
/// [`Suite`]. The rules that need a second handle or a clock that can be moved are printed as not
/// run.
///
/// # Panics
///
/// Panics at the first rule that the store breaks.
pub async fn conformance(store: Arc<dyn ProgressStore>, sequences: u32) {
    let suite = Suite::new(store);
    suite.compare_sequences(sequences).await;
    for rule in Suite::rules() {
        suite.check(rule).await;
    }
}

/// Creates a suite and runs a test on it, in a new runtime.
///
/// # Panics
///
/// Panics if the test panics, or if the runtime cannot be created.
pub fn run<T, U>(suite: impl FnOnce() -> T, test: impl FnOnce(Suite) -> U)
where
    T: Future<Output = Suite>,
    U: Future<Output = ()>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async { test(suite().await).await });
}

/// Creates [`Jobs`] whose flush loop is a task of the current runtime instead of a thread, so that
/// it follows a test's paused time. A worker that blocks its thread blocks this loop too, and the
/// loop ends when the runtime shuts down.
#[must_use]
pub fn jobs(store: impl ProgressStore) -> Jobs {
    Jobs::on(CachedStore::new(metering::watched(Arc::new(store))), RunsOn::Task)
}

/// Replaces the values that a model cannot predict: sets all times to the Unix epoch, and the pace
/// that is derived from them to 0. A time that is `None` stays `None`.
#[must_use]
pub fn timeless(progress: &Progress) -> Progress {
    const NEVER: DateTime<Utc> = DateTime::UNIX_EPOCH;
    Progress {
        created_at: NEVER,
        started_at: progress.started_at.map(|_| NEVER),
        updated_at: NEVER,
        attempt_started_at: progress.attempt_started_at.map(|_| NEVER),
        retry_at: progress.retry_at.map(|_| NEVER),
        heartbeat_at: progress.heartbeat_at.map(|_| NEVER),
        finished_at: progress.finished_at.map(|_| NEVER),
        announce_at: progress.announce_at.map(|_| NEVER),
        observed_at: NEVER,
        pace: 0,
        stages: progress.stages.clone().map(|mut stages| {
            stages.began_at = stages.began_at.map(|_| NEVER);
            stages
        }),
        ..progress.clone()
    }
}
