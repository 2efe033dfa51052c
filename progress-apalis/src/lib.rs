//! Progress of the tasks of an [apalis](https://docs.rs/apalis) queue.
//!
//! Three parts connect a queue with [`Jobs`]:
//!
//! - [`submit`] creates the record of a job and pushes its task, which carries the record's id in
//!   its metadata;
//! - [`ProgressLayer`] is a layer of the worker. It starts the record, and ends it or leaves it to
//!   the next attempt, by what the handler returns;
//! - [`TaskProgress`] is an argument of the handler, with which it reports.
//!
//! ```no_run
//! # #[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
//! # struct Import { lines: u64 }
//! # async fn example(
//! #     jobs: progress_core::Jobs,
//! #     mut queue: apalis_sqlite::SqliteStorage<Import>,
//! # ) -> Result<(), Box<dyn std::error::Error>> {
//! use apalis::prelude::*;
//! use progress_apalis::{ProgressLayer, TaskProgress, submit};
//! use progress_core::{Failure, NewProgress};
//!
//! async fn import(task: Import, progress: TaskProgress) -> Result<(), BoxDynError> {
//!     let tracker = progress.tracker();
//!     for line in tracker.cursor::<u64>()?.unwrap_or(0)..task.lines {
//!         tracker.checkpoint().await?;
//!         tracker.inc(1);
//!         tracker.save(&(line + 1))?;
//!     }
//!     Ok(())
//! }
//!
//! let job = NewProgress::new("import").with_total(1_000).with_attempts(5);
//! let id = submit(&jobs, &mut queue, job, Import { lines: 1_000 }).await?.id;
//!
//! let worker = WorkerBuilder::new("importer")
//!     .backend(queue)
//!     .layer(ProgressLayer::new(jobs.clone()))
//!     .build(import);
//! worker.run().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Who decides
//!
//! The record decides whether a job runs again: [`NewProgress::with_attempts`]. The limit of the
//! queue's task is higher, so that the queue never gives up a job that the record waits for.
//!
//! | the handler | the record is | the task is |
//! |---|---|---|
//! | returns `Ok` | completed | done |
//! | returns an error, and attempts are left | pending, with the reason | failed, and delivered again |
//! | returns an error in the last attempt | failed | killed |
//! | returns a [permanent](Failure::permanent) failure or `AbortError` | failed | killed |
//! | returns an error after a cancel request | cancelled | killed |
//! | panics | as after an error: "the worker stopped before finishing" | as after an error |
//! | is dropped at a shutdown | pending, "the worker was restarted" | delivered again |
//! | is killed with its process | pending once a janitor has found it silent | delivered again |
//!
//! A delivery whose record has ended, was cancelled while it waited, or was deleted kills the task,
//! and the handler does not run. A delivery while another worker runs the job is returned to the
//! queue.
//!
//! A delay of [`Failure::retry_after`] or `RetryAfterError` is kept by the worker that gets the
//! next delivery: the task waits there, because not every queue of apalis can wait. When that worker
//! shuts down, the task goes back to the queue.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod layer;
mod submit;
mod task;

pub use crate::layer::{ProgressLayer, ProgressService};
pub use crate::submit::{SubmitError, submit, task};
pub use crate::task::{NoProgress, TaskProgress};

#[allow(unused_imports, reason = "for the links of the documentation")]
use progress_core::{Failure, Jobs, NewProgress};
