//! The conformance suite: what every store must do, ours and other people's (feature `testing`).
//!
//! ```
//! # use std::sync::Arc;
//! # use progress_core::{MemoryStore, testing::conformance};
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! conformance(Arc::new(MemoryStore::new()), 100).await;
//! # });
//! ```
//!
//! It makes random sequences of updates and compares the store with [`Record`](crate::Record) after
//! each. Named rules check what a single value cannot show: concurrency, stamps, pages, the log,
//! heartbeats, deletion. [`conformance_tests!`](crate::conformance_tests) makes a test of each.
//!
//! [`FaultyStore`] is the other half: a store that misbehaves on demand, for tests of what stands on one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test suite says what is wrong by panicking, in the process of a test"
)]

mod faulty;
mod random;
mod rules;
mod sequences;
mod suite;

use std::sync::Arc;

use chrono::{DateTime, Utc};

pub use self::faulty::{Fault, FaultyStore};
pub use self::suite::Suite;
use crate::flush::RunsOn;
use crate::{CachedStore, Jobs, Progress, ProgressStore};

/// Checks all rules and this many random sequences, on a store of its own: see [`Suite`].
///
/// # Panics
///
/// At the first rule that the store breaks.
pub async fn conformance(store: Arc<dyn ProgressStore>, sequences: u32) {
    let suite = Suite::new(store);
    suite.compare_sequences(sequences).await;
    for rule in Suite::rules() {
        suite.check(rule).await;
    }
}

/// Makes a suite and runs a test on it, in a runtime of its own.
///
/// # Panics
///
/// When the test does, or the runtime cannot be made.
pub fn run<T, U>(suite: impl FnOnce() -> T, test: impl FnOnce(Suite) -> U)
where
    T: Future<Output = Suite>,
    U: Future<Output = ()>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async { test(suite().await).await });
}

/// Jobs whose flush loop is a task of the current runtime and not a thread: it follows the paused time
/// of a test. A worker that blocks its thread stops the loop then, and a runtime that shuts down takes
/// it along.
#[must_use]
pub fn jobs(store: impl ProgressStore) -> Jobs {
    Jobs::on(CachedStore::new(Arc::new(store)), RunsOn::Task)
}

/// The record without what no model can foresee: the values of its times, and the pace
/// that follows from them. Which times there are stays.
#[must_use]
pub fn timeless(progress: &Progress) -> Progress {
    const NEVER: DateTime<Utc> = DateTime::UNIX_EPOCH;
    Progress {
        created_at: NEVER,
        started_at: progress.started_at.map(|_| NEVER),
        updated_at: NEVER,
        heartbeat_at: progress.heartbeat_at.map(|_| NEVER),
        finished_at: progress.finished_at.map(|_| NEVER),
        observed_at: NEVER,
        pace: 0,
        ..progress.clone()
    }
}
