//! A progress bar for axum that never lies: routes that serve the progress of jobs, and the browser
//! widget that polls them.
//!
//! ```
//! use axum::{Json, Router, routing::post};
//! use axum::extract::{FromRequestParts, State};
//! use axum::http::{StatusCode, request::Parts};
//! use progress_axum::{Jobs, MemoryStore, NewProgress, SameOrigin, Viewer};
//!
//! /// The user who sent the request; a real application reads it from the session.
//! struct CurrentUser(String);
//!
//! impl<S: Sync> FromRequestParts<S> for CurrentUser {
//!     type Rejection = StatusCode;
//!     async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
//!         let user = parts.headers.get("x-user").and_then(|user| user.to_str().ok());
//!         user.map(|user| Self(user.to_owned())).ok_or(StatusCode::UNAUTHORIZED)
//!     }
//! }
//!
//! impl From<CurrentUser> for Viewer {
//!     fn from(user: CurrentUser) -> Self {
//!         Viewer::Owner(user.0)
//!     }
//! }
//!
//! async fn export(
//!     _: SameOrigin, // refuses requests that pages of other sites make
//!     State(jobs): State<Jobs>,
//!     user: CurrentUser,
//! ) -> Result<Json<String>, StatusCode> {
//!     let job = NewProgress::new("export").with_owner(user.0);
//!     let job = jobs.spawn(job.with_total(100).with_title("Exporting"), async |tracker| {
//!         for line in 1..=100 {
//!             tracker.checkpoint().await?;
//!             tracker.item_done(format!("line {line}"));
//!         }
//!         Ok(())
//!     });
//!     let job = job.await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
//!     Ok(Json(job.id.to_string()))
//! }
//!
//! let jobs = Jobs::new(MemoryStore::new());
//! let app: Router = Router::new()
//!     .route("/export", post(export))
//!     .merge(progress_axum::router::<CurrentUser, _>("/progress", jobs.clone()))
//!     .with_state(jobs);
//! ```
//!
//! and in the page:
//!
//! ```html
//! <script src="/progress/progress-polling.js"></script>
//! <div id="bar"></div>
//! <script>new ProgressPolling('bar', jobId)</script>
//! ```
//!
//! [`progress_http`] documents the routes, and [`progress_core`] documents the guarantees. Both
//! crates are re-exported, so an application depends on two crates: this one and a store.
//!
//! # What this is not
//!
//! A server. `axum::serve` waits for ever for the headers of a slow client. Put a proxy in front of
//! it, or serve with hyper and its `header_read_timeout`, as in `serve.rs` of the example
//! `invoice-mailer`. A graceful shutdown waits for event streams and waiting polls, so call
//! [`ProgressApi::close`] when it begins.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod by_function;
mod router;
mod same_origin;
mod viewer;

pub use progress_core::{
    BoxError, CachedStore, Completion, Entry, EntryLevel, EntryPage, Failure, Janitor, Jobs,
    MemoryStore, NewEntry, NewProgress, Progress, ProgressError, ProgressId, ProgressPage,
    ProgressQuery, ProgressStore, Status, Stopped, TrackIterator, TrackStream, Tracker,
    TrackerHandle, TrackerOptions,
};
pub use progress_http::{IntoViewer, ProgressApi, Viewer, refuse_cross_site, widget};
pub use {progress_core, progress_http};

pub use crate::by_function::router_with;
pub use crate::router::{request_headers, router};
pub use crate::same_origin::SameOrigin;
pub use crate::viewer::Anyone;
