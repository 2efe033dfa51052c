//! How far a long job has come: its record, its state machine, the contract of a store, and the worker's tracker.
//!
//! A web application starts a job and answers at once with an id; a worker reports; a page polls. This crate is the middle
//! of that: what is true about the job, and who may change it. It knows no web framework and no database.
//!
//! ```
//! use std::sync::Arc;
//! use progress_core::{MemoryStore, NewProgress, ProgressStore, Status, Tracker};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let store: Arc<dyn ProgressStore> = Arc::new(MemoryStore::new());
//! // In the request: the record exists before the work is queued.
//! let job = store.create(&NewProgress::new("import").with_total(100).with_title("Importing")).await?;
//!
//! // In the worker.
//! let ended = Tracker::run(Arc::clone(&store), job.id, async |tracker| {
//!     for line in 0..100 {
//!         tracker.success(format!("line {line}"));
//!         tracker.checkpoint().await?; // an error when a viewer asked to cancel
//!     }
//!     Ok(())
//! }).await?;
//!
//! assert_eq!((ended.status, ended.succeeded), (Status::Completed, 100));
//! # Ok::<(), progress_core::ProgressError>(())
//! # }).unwrap();
//! ```
//!
//! # Words
//!
//! A *progress* is the record of one job ([`Progress`]); an *update* ([`ProgressUpdate`]) is a change to it, of which
//! *start*, *complete*, *fail* and *cancel* are *transitions*; an *entry* ([`Entry`]) is a line of its log; a *store*
//! ([`ProgressStore`]) keeps records; a *tracker* ([`Tracker`]) is the worker's side. A running job is *stale* when its
//! worker has been silent for longer than its heartbeat allows.
//!
//! # What holds
//!
//! - A count reported is stored once: flushes are retried with the same [`Stamp`] until the store has them.
//! - A job ends once. Counters only grow. What was shown was true.
//! - Reporting never fails, slows or blocks the job: [`TrackerHandle::inc`] is one atomic addition, and however many items
//!   pass, a job is written at most once per flush interval (250 ms).
//! - What a killed process reported in its last flush interval is lost with it. Nothing else is.
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `testing` | `testing`, the conformance suite for stores; no dependencies |
//! | `mock` | `MockProgressStore`, made by mockall |
//!
//! # What this is not
//!
//! A queue, a scheduler, a retrier of jobs: it shows how far a job has come, whoever runs it.

mod apply;
mod cached;
mod delta;
mod entry;
mod error;
mod id;
mod janitor;
pub mod limits;
mod memory;
mod new_progress;
mod progress;
mod query;
mod status;
mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod tracker;
mod update;

pub use crate::cached::{CachedStore, Watch};
pub use crate::delta::{Delta, TotalChange};
pub use crate::entry::{Entry, EntryLevel, EntryPage, NewEntry};
pub use crate::error::{BoxError, ProgressError};
pub use crate::id::ProgressId;
pub use crate::janitor::{Janitor, Sweep};
pub use crate::memory::MemoryStore;
pub use crate::new_progress::NewProgress;
pub use crate::progress::Progress;
pub use crate::query::{Cursor, MAX_PAGE, ProgressPage, ProgressQuery};
pub use crate::status::Status;
#[cfg(feature = "mock")]
pub use crate::store::MockProgressStore;
pub use crate::store::ProgressStore;
pub use crate::tracker::{
    Failure, Stopped, TrackIterator, TrackStream, Tracked, Tracker, TrackerHandle, TrackerOptions,
    WORKER_LOST, WORKER_STOPPED,
};
pub use crate::update::{Completion, ProgressUpdate, Stamp, Transition};

/// How many of the newest entries of each log a store keeps unless told otherwise.
pub const DEFAULT_LOG_LIMIT: u32 = 1_000;
