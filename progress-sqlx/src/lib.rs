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
//! Applications use `progress_core::Jobs`, which writes at most once per flush interval; the store is
//! what it writes to.
//!
//! # What a store does
//!
//! - An update is one short transaction: it locks the record, lets `progress_core::Record` decide,
//!   and writes back what changed. No SQL restates the state machine. A batch of any size takes
//!   five or six round trips.
//! - The stamp of an update is kept in the same transaction, so a repeated update changes nothing.
//! - A record that another session holds is reported as unavailable after at most half a second
//!   (one second on MySQL). The other records of its batch are written first.
//! - Every call has a deadline. Broken connections are replaced, and a call that met one is
//!   repeated unless it may have happened.
//! - On PostgreSQL and MySQL all calls run on one thread of the store with connections of its own.
//!   They work from any runtime, beside blocked threads, and after the application's runtime has
//!   ended.
//! - Times are the database's, in whole milliseconds UTC. Ids and JSON are text, so no feature of
//!   sqlx is turned on that would change the types of an application's own queries.
//! - The tables are `progress_records`, `progress_entries`, `progress_writers` and
//!   `progress_schema`. They may live in the application's own database; its `_sqlx_migrations` is
//!   never touched. Tables of version N serve programs of version N - 1, so a deployment can be
//!   rolled back by one version.
//!
//! # Features
//!
//! There is no default: name the database.
//!
//! | feature | what it adds |
//! |---|---|
//! | `sqlite` | `SqliteStore`, with SQLite compiled in |
//! | `sqlite-unbundled` | `SqliteStore`, with the system's SQLite library (3.38 or later); the build needs its headers and libclang |
//! | `postgres` | `PostgresStore`, for PostgreSQL 12 or later |
//! | `mysql` | `MySqlStore`, for MySQL 8.0 or MariaDB 10.6, or later |
//!
//! [`connect_any`] chooses among those that are turned on by the scheme of an address. Encrypted
//! connections are a feature of sqlx (`tls-…`), which the application turns on.
//!
//! # What this is not
//!
//! A connection to every database that sqlx can reach: the SQL is written for each database, and
//! there is no `Any`. It is tested on SQLite, PostgreSQL 15 and MariaDB 10.11; **no MySQL server
//! has run the tests yet**.

mod any;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod connect;
#[cfg(feature = "_sql")]
mod delete;
#[cfg(feature = "_sql")]
mod dialect;
#[cfg(feature = "_sql")]
mod error;
#[cfg(feature = "_sql")]
mod health;
#[cfg(feature = "_sql")]
mod home;
#[cfg(feature = "_sql")]
mod impl_store;
#[cfg(feature = "_sql")]
mod migrate;
#[cfg(feature = "mysql")]
mod mysql;
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
pub use crate::sqlite::SqliteStore;

/// The README's program compiles.
#[cfg(all(doctest, feature = "_sqlite"))]
#[doc = include_str!("../README.md")]
struct Readme;
