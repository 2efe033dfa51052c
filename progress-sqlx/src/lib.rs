//! Progress records in an SQL database: the stores of `progress-core` that outlive the process.
//!
//! ```
//! use std::sync::Arc;
//! use progress_core::{Delta, NewProgress, ProgressStore, ProgressUpdate, Status};
//! # #[cfg(feature = "_sqlite")]
//! use progress_sqlx::SqliteStore;
//!
//! # #[cfg(feature = "_sqlite")]
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! // A file in real life: "sqlite://progress.db". It is made when it is missing.
//! let store: Arc<dyn ProgressStore> = Arc::new(SqliteStore::connect("sqlite::memory:").await?);
//!
//! let job = store.create(&NewProgress::new("import").with_total(100)).await?;
//! store.update(job.id, &ProgressUpdate::start()).await?;
//! store.update(job.id, &ProgressUpdate::advance(Delta::new().with_succeeded(40))).await?;
//!
//! let seen = store.get(job.id).await?.expect("created above");
//! assert_eq!((seen.status, seen.percentage()), (Status::Running, Some(40)));
//! # Ok::<(), progress_core::ProgressError>(())
//! # }).unwrap();
//! ```
//!
//! Jobs are usually driven by `progress_core::Tracker`, which writes at most once per flush interval; the store is what it
//! writes to.
//!
//! # What a store does
//!
//! - Every update is one short transaction whose guard is in its `WHERE` clause: nothing is read, changed in Rust and
//!   written back, so any number of tasks and processes may report on one job and no count is lost.
//! - The stamp of an update is kept in the same transaction, so a repeated update changes nothing.
//! - Times are the database's, in whole milliseconds UTC. Ids and JSON are text, so no feature of sqlx is turned on that
//!   would change the types of an application's own queries.
//! - The tables are `progress_records`, `progress_entries`, `progress_writers` and `progress_schema`. They may live in the
//!   application's own database; its `_sqlx_migrations` is never touched.
//!
//! # Features
//!
//! There is no default: name the database.
//!
//! | feature | what it adds |
//! |---|---|
//! | `sqlite` | `SqliteStore`, with SQLite compiled in |
//! | `sqlite-unbundled` | `SqliteStore`, with the system's SQLite library (3.38 or later) |
//!
//! # What this is not
//!
//! A connection to whatever sqlx can reach: the SQL is written for each database, tested on it, and there is no `Any`.

#[cfg(feature = "_sqlite")]
mod convert;
#[cfg(feature = "_sqlite")]
mod error;
#[cfg(feature = "_sqlite")]
mod sqlite;

#[cfg(feature = "_sqlite")]
pub use crate::sqlite::SqliteStore;

/// The README's program compiles.
#[cfg(all(doctest, feature = "_sqlite"))]
#[doc = include_str!("../README.md")]
struct Readme;
