//! SQL stores for `progress-core`: progress records that outlive the process.
//!
//! ```
//! use std::sync::Arc;
//! use progress_core::{Delta, NewProgress, ProgressStore, ProgressUpdate, Status};
//! # #[cfg(feature = "_sqlite")]
//! use progress_sqlx::SqliteStore;
//!
//! # #[cfg(feature = "_sqlite")]
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! // Usually a file: "sqlite://progress.db". It is created if it is missing.
//! let store = Arc::new(SqliteStore::connect("sqlite::memory:").await?);
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
//! Applications do not call a store: they pass it to `progress_core::Jobs`, which writes each job
//! at most once per flush interval (250 ms).
//!
//! # What a store does
//!
//! - An update is one short transaction: it locks the record, applies the update with
//!   `progress_core::Record`, and writes back what has changed. The SQL does not repeat the state
//!   machine. A batch of any size takes five or six round trips.
//! - A single update that only counts takes two: it reads the record, and writes it back if nothing
//!   has changed since. Otherwise a transaction follows.
//! - The stamp of an update is saved with the record, so a repeated update changes nothing.
//! - If another session has locked a record, its update fails as `Unavailable` after at most half a
//!   second (one second on MySQL). The other records of the batch are written first.
//! - Every call has a deadline. The store replaces broken connections, and repeats a call that
//!   failed because of one, unless the call may already have taken effect.
//! - On PostgreSQL and MySQL, all calls run on the store's own thread, with its own connections. So
//!   they work from any runtime, while other threads are blocked, and after the application's
//!   runtime has ended.
//! - Times come from the database, in whole milliseconds UTC. Ids and JSON are text, so the crate
//!   enables no feature of sqlx that would change the types of an application's own queries.
//! - The tables are `progress_records`, `progress_entries`, `progress_writers` and
//!   `progress_schema`. They may be in the application's own database, whose table
//!   `_sqlx_migrations` is never changed. Programs of version N - 1 can use tables of version N, so
//!   a deployment can be rolled back by one version.
//!
//! # Features
//!
//! No feature is enabled by default: choose the database.
//!
//! | feature | what it adds |
//! |---|---|
//! | `sqlite` | `SqliteStore`, with SQLite compiled in |
//! | `sqlite-unbundled` | `SqliteStore`, with the system's SQLite library (3.38 or later) |
//! | `postgres` | `PostgresStore`: PostgreSQL 12 or later |
//! | `mysql` | `MySqlStore`: MySQL 8.0 or MariaDB 10.6, or later |
//!
//! With `sqlite-unbundled`, the application must also enable `sqlx/sqlite-unbundled`, whose build
//! needs libclang and the headers of SQLite. [`connect_any`] chooses the store by the scheme of an
//! address; its feature must be enabled. For encrypted connections, the application enables a TLS
//! feature of sqlx (`tls-…`).
//!
//! # Supported databases
//!
//! SQLite, PostgreSQL, MySQL and MariaDB, each with its own SQL. The `Any` driver of sqlx is not
//! supported. The crate is tested on SQLite, PostgreSQL 15 and MariaDB 10.11; **the tests have not
//! run on a MySQL server yet**.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod any;
#[cfg(feature = "_sql")]
mod compare_and_set;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod connect;
#[cfg(feature = "_sql")]
mod delete;
#[cfg(feature = "_sql")]
mod dialect;
#[cfg(feature = "_sql")]
mod error;
#[cfg(feature = "_sql")]
mod impl_store;
#[cfg(feature = "_sql")]
mod loaded_record;
#[cfg(feature = "_sql")]
mod migrate;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(all(test, feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod plans;
#[cfg(feature = "_sql")]
mod pools;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "_sql")]
mod read;
#[cfg(feature = "_sql")]
mod row;
#[cfg(feature = "_sql")]
mod rows;
#[cfg(feature = "_sqlite")]
mod sqlite;
#[cfg(feature = "_sql")]
mod statements;
#[cfg(feature = "_sql")]
mod store;
#[cfg(feature = "_sql")]
mod transaction;
#[cfg(feature = "_sql")]
mod update;
#[cfg(feature = "_sql")]
mod value;

pub use crate::any::connect_any;
#[cfg(feature = "mysql")]
pub use crate::mysql::MySqlStore;
#[cfg(feature = "postgres")]
pub use crate::postgres::PostgresStore;
#[cfg(feature = "_sqlite")]
#[cfg_attr(docsrs, doc(cfg(any(feature = "sqlite", feature = "sqlite-unbundled"))))]
pub use crate::sqlite::SqliteStore;

/// Compiles the program in the README.
#[cfg(all(doctest, feature = "_sqlite"))]
#[doc = include_str!("../README.md")]
struct Readme;
