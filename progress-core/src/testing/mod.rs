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
//! Its heart makes random sequences of updates and compares the store with [`Progress::apply`] after each; around it
//! stand named rules for what a single value cannot show: concurrency, stamps, pages, the log, leases.
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

use std::sync::Arc;

use chrono::{DateTime, Utc};

pub use self::faulty::{Fault, FaultyStore};
use crate::{Progress, ProgressStore};

/// Runs the whole suite on a store of its own (it fails stale jobs and deletes finished ones, whoever made them), with
/// this many generated sequences; 1,000 find what there is to find. The store must keep the
/// default number of log entries.
///
/// # Panics
///
/// At the first difference, with the rule's name or the sequence's seed, from which the same sequence is made again.
pub async fn conformance(store: Arc<dyn ProgressStore>, sequences: u32) {
    for seed in 0..sequences {
        sequences::compare(&*store, u64::from(seed)).await;
    }
    rules::all(&store).await;
}

/// The record without what no model can foresee: the values of its times. Which times there are stays.
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
        ..progress.clone()
    }
}
