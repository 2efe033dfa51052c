//! A progress bar for actix-web that never lies: routes that serve the progress of jobs, and the
//! browser widget that polls them.
//!
//! ```
//! use std::future::{Ready, ready};
//! use actix_web::{App, Error, FromRequest, HttpRequest, HttpServer, dev::Payload, error, web};
//! use progress_actix::{Jobs, MemoryStore, NewProgress, SameOrigin, Viewer};
//!
//! /// The user who sent the request; a real application reads it from the session.
//! struct CurrentUser(String);
//!
//! impl FromRequest for CurrentUser {
//!     type Error = Error;
//!     type Future = Ready<Result<Self, Error>>;
//!     fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
//!         let user = request.headers().get("x-user").and_then(|user| user.to_str().ok());
//!         let user = user.map(|user| Self(user.to_owned()));
//!         ready(user.ok_or_else(|| error::ErrorUnauthorized("please sign in")))
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
//!     jobs: web::Data<Jobs>,
//!     user: CurrentUser,
//! ) -> Result<web::Json<String>, Error> {
//!     let job = NewProgress::new("export").with_owner(user.0);
//!     let job = jobs.spawn(job.with_total(100).with_title("Exporting"), async |tracker| {
//!         for line in 1..=100 {
//!             tracker.checkpoint().await?;
//!             tracker.item_done(format!("line {line}"));
//!         }
//!         Ok(())
//!     });
//!     let job = job.await.map_err(|_| error::ErrorServiceUnavailable("try again later"))?;
//!     Ok(web::Json(job.id.to_string()))
//! }
//!
//! // Created once and cloned, so that all workers of the server share it.
//! let jobs = Jobs::new(MemoryStore::new());
//! let server = HttpServer::new(move || {
//!     App::new()
//!         .app_data(web::Data::new(jobs.clone()))
//!         .route("/export", web::post().to(export))
//!         .service(progress_actix::scope::<CurrentUser>("/progress", jobs.clone()))
//! });
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
//! A server. `HttpServer` limits how long it waits for a slow client (`client_request_timeout`, 5 s
//! by default), but only for the first request of a connection. Put a proxy in front of the server
//! to limit the others. Also set `h1_allow_half_closed(false)`. Otherwise the server notices only
//! at the end of a waiting poll that its page was closed. A graceful shutdown waits for event
//! streams and waiting polls, so call [`ProgressApi::close`] when it begins.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod by_function;
mod same_origin;
mod scope;
mod viewer;

pub use progress_core::{
    BoxError, CachedStore, Completion, Entry, EntryLevel, EntryPage, Failure, Janitor, Jobs,
    MemoryStore, NewEntry, NewProgress, Progress, ProgressError, ProgressId, ProgressPage,
    ProgressQuery, ProgressStore, Status, Stopped, TrackIterator, TrackStream, Tracker,
    TrackerHandle, TrackerOptions,
};
pub use progress_http::{IntoViewer, ProgressApi, Viewer, refuse_cross_site, widget};
pub use {progress_core, progress_http};

pub use crate::by_function::scope_with;
pub use crate::same_origin::SameOrigin;
pub use crate::scope::{request_headers, scope};
pub use crate::viewer::Anyone;
