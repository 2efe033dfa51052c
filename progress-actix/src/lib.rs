//! A progress bar that never lies, for actix-web: ready-made routes over `progress-core`, and the widget that polls them.
//!
//! ```
//! use std::future::{Ready, ready};
//! use actix_web::{App, Error, FromRequest, HttpRequest, HttpServer, dev::Payload, error, web};
//! use progress_actix::{Jobs, MemoryStore, NewProgress, Viewer};
//!
//! /// Whose request it is; a real application looks at its session.
//! struct CurrentUser(String);
//!
//! impl FromRequest for CurrentUser {
//!     type Error = Error;
//!     type Future = Ready<Result<Self, Error>>;
//!     fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
//!         let user = request.headers().get("x-user").and_then(|user| user.to_str().ok());
//!         ready(user.map(|user| Self(user.to_owned())).ok_or_else(|| error::ErrorUnauthorized("who are you?")))
//!     }
//! }
//!
//! impl From<CurrentUser> for Viewer {
//!     fn from(user: CurrentUser) -> Self {
//!         Viewer::Owner(user.0)
//!     }
//! }
//!
//! async fn export(jobs: web::Data<Jobs>, user: CurrentUser) -> Result<web::Json<String>, Error> {
//!     let job = NewProgress::new("export").with_owner(user.0).with_total(100).with_title("Exporting");
//!     let job = jobs.create(job).await.map_err(error::ErrorServiceUnavailable)?;
//!     actix_web::rt::spawn(jobs.run(job.id, async |tracker| {
//!         for line in 1..=100 {
//!             tracker.checkpoint().await?;
//!             tracker.success(format!("line {line}"));
//!         }
//!         Ok(())
//!     }));
//!     Ok(web::Json(job.id.to_string()))
//! }
//!
//! // Made once and cloned, so that all workers of the server share it.
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
//! What the routes answer is told in [`progress_http`]; what a store and a tracker promise in [`progress_core`]. Both are
//! re-exported, so that an application names two crates: this one and a store.
//!
//! # What this is not
//!
//! A server: how long `HttpServer` waits for a slow client is its own setting (`client_request_timeout`, 5 s unless you
//! say otherwise, for the first request of a connection; put a proxy before it for the others). Give it
//! `h1_allow_half_closed(false)`, or a page that is closed while it waits for a change is noticed only when its time is up.

mod scope;
mod viewer;

pub use progress_core::*;
pub use progress_http::{ProgressApi, Viewer, refuse_cross_site, widget};
pub use {progress_core, progress_http};

pub use crate::scope::{request_headers, scope};
pub use crate::viewer::Anyone;
