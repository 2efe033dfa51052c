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
//! - Every call has a deadline. A pool that `connect` made, and that yields nothing but time-outs for 10 s, is replaced:
//!   what a network has dropped in silence never comes back by itself. So are connections that may only read, which may
//!   have been made before the database could be written again.
//! - Times are the database's, in whole milliseconds UTC. Ids and JSON are text, so no feature of sqlx is turned on that
//!   would change the types of an application's own queries.
//! - The tables are `progress_records`, `progress_entries`, `progress_writers` and `progress_schema`. They may live in the
//!   application's own database; its `_sqlx_migrations` is never touched.
//!
//! Make one `Arc<dyn ProgressStore>` of it and clone that: what a process gathers, the writes of its jobs and the reads of its
//! viewers, is gathered by that `Arc`. A second one around a clone of the store is correct, writes for itself, and hears of the
//! first one's news up to 250 ms later.
//!
//! # Features
//!
//! There is no default: name the database.
//!
//! | feature | what it adds |
//! |---|---|
//! | `sqlite` | `SqliteStore`, with SQLite compiled in |
//! | `sqlite-unbundled` | `SqliteStore`, with the system's SQLite library (3.38 or later); to build it takes its headers and libclang |
//! | `postgres` | `PostgresStore`, for PostgreSQL 12 or later |
//! | `mysql` | `MySqlStore`, for MySQL 8.0 or MariaDB 10.6, or later |
//!
//! [`connect_any`] chooses among those that are turned on by the scheme of an address. Encrypted connections are a feature
//! of sqlx (`tls-…`), which the application turns on.
//!
//! # What this is not
//!
//! A connection to whatever sqlx can reach: the SQL is written for each database, and there is no `Any`. It is tested on
//! SQLite, PostgreSQL 15 and MariaDB 10.11; **on MySQL itself nobody has run the tests yet**.

mod any;
#[cfg(feature = "_sql")]
mod convert;
#[cfg(feature = "_sql")]
mod dialect;
#[cfg(feature = "_sql")]
mod error;
#[cfg(feature = "_sql")]
mod facade;
#[cfg(feature = "_sql")]
mod health;
#[cfg(feature = "_sql")]
mod migrate;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "_sql")]
mod row;
#[cfg(feature = "_sqlite")]
mod sqlite;
#[cfg(feature = "_sql")]
mod statements;
#[cfg(feature = "_sql")]
mod store;
#[cfg(feature = "_sql")]
mod sweep;
#[cfg(feature = "_sql")]
mod update;

pub use crate::any::connect_any;
#[cfg(feature = "mysql")]
pub use crate::mysql::MySqlStore;
#[cfg(feature = "postgres")]
pub use crate::postgres::PostgresStore;
#[cfg(feature = "_sqlite")]
pub use crate::sqlite::SqliteStore;

/// The README's program compiles.
#[cfg(all(doctest, feature = "_sqlite"))]
#[doc = include_str!("../README.md")]
struct Readme;
