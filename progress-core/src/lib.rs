//! How far a long job has come: its record, its state machine, the contract of a store, and the worker's tracker.
//!
//! A web application starts a job and answers at once with an id; a worker reports; a page polls. This crate is the middle
//! of that: what is true about the job, and who may change it. It knows no web framework and no database.
//!
//! ```
//! use progress_core::{Jobs, MemoryStore, NewProgress, Status};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let jobs = Jobs::new(MemoryStore::new());
//! tokio::spawn(jobs.janitor().run()); // fails the jobs of workers that die
//!
//! // In the request: the record exists before the work is queued.
//! let job = jobs.create(NewProgress::new("import").with_total(100).with_title("Importing")).await?;
//!
//! // In the worker.
//! let ended = jobs.run(job.id, async |tracker| {
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
//! [`Jobs`] is the application's handle on all of it. A *progress* is the record of one job
//! ([`Progress`]); an *update* ([`ProgressUpdate`]) is a change to it, of which
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

use std::time::Duration;

mod apply;
mod cached;
mod delta;
mod entry;
mod error;
mod flush;
mod heartbeat;
mod id;
mod janitor;
mod jobs;
pub mod limits;
mod memory;
mod new_progress;
mod pace;
mod progress;
mod query;
mod record;
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
pub use crate::heartbeat::{Heartbeat, HeartbeatWatch, Silent};
pub use crate::id::ProgressId;
pub use crate::janitor::{Janitor, Sweep};
pub use crate::jobs::Jobs;
pub use crate::memory::MemoryStore;
pub use crate::new_progress::NewProgress;
pub use crate::progress::Progress;
pub use crate::query::{Cursor, MAX_PAGE, ProgressPage, ProgressQuery};
pub use crate::record::{Applied, Record};
pub use crate::status::Status;
#[cfg(feature = "mock")]
pub use crate::store::MockProgressStore;
pub use crate::store::ProgressStore;
pub use crate::tracker::{
    Failure, Stopped, TrackIterator, TrackStream, Tracked, Tracker, TrackerHandle, TrackerOptions,
};
pub use crate::update::{Completion, ProgressUpdate, Stamp, Transition};

/// For how long a worker may be silent before it is lost, unless the job says otherwise.
pub const DEFAULT_LEASE: Duration = Duration::from_secs(45);

/// What viewers read of a job whose worker died.
pub const WORKER_LOST: &str = "worker lost";

/// What viewers read of a job whose tracker was dropped without an ending: a panic, an aborted task.
pub const WORKER_STOPPED: &str = "the worker stopped before finishing";

/// What viewers read of a shared job that its workers have left before all items were processed.
pub const ITEMS_MISSING: &str = "the workers left before all items were processed";

/// How many of the newest entries of each log a store keeps unless told otherwise.
pub const DEFAULT_LOG_LIMIT: u32 = 1_000;
