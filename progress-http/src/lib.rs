//! The polling API of `progress-core`, without a web framework: routing, access control, caching
//! rules, and the files of the browser widget.
//!
//! An adapter (`progress-axum`, `progress-actix`, or your own in about a hundred lines) turns its
//! framework's request into a [`Request`] and calls [`ProgressApi::route`]. It identifies the
//! [`Viewer`] if the reply depends on it, and copies the [`Reply`]. It decides nothing, so every
//! framework sends the same bytes.
//!
//! ```
//! use progress_core::{Jobs, MemoryStore, NewProgress};
//! use progress_http::{Answer, ProgressApi, Request, Route, Viewer};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let jobs = Jobs::new(MemoryStore::new());
//! let id = jobs.create(NewProgress::new("import")).await?.id;
//! let api = ProgressApi::new(jobs);
//!
//! let request = Request { method: "GET", path: &format!("/{id}"), ..Request::default() };
//! let answer = match api.route(&request) {
//!     Route::Answered(reply) => Answer::Whole(reply),
//!     Route::Call(call) => call.answer(&Viewer::Anyone).await,
//! };
//! match answer {
//!     Answer::Whole(reply) => assert_eq!(reply.status, 200),
//!     Answer::Events(head, events) => unreachable!("only from /{{id}}/events"),
//! }
//! # Ok::<(), progress_core::ProgressError>(())
//! # }).unwrap();
//! ```
//!
//! # Routes
//!
//! Under a path of the application's choice:
//!
//! | route | reply |
//! |---|---|
//! | `GET /{id}` | the record: 200 with `ETag`, or 304; `Retry-After`, `poll_after_ms` and `stale_after_ms` while the job is active; with `Prefer: wait=N` when it changes, or after N seconds, at most 25 |
//! | `GET /?status=&task_type=&active=&limit=&cursor=` | the viewer's records, newest first; `Link: rel="next"` |
//! | `GET /?ids=a,b,c` | these jobs, at most 100, if the viewer may see them; all other filters are ignored |
//! | `GET /active` | the same as `?active=true` |
//! | `GET /{id}/log?after=&limit=` | the log, oldest first |
//! | `GET /{id}/events` | the record after each change, as server-sent events; 204 when resuming a finished job |
//! | `POST /{id}/cancel` | 202 requested; 200 cancelled; 409 already completed or failed |
//! | `DELETE /{id}` | 204; 409 while active |
//! | `GET /openapi.json` | a machine-readable description of these routes (OpenAPI 3.1), with the feature `openapi` |
//! | `GET /progress-polling.js`, `.mjs`, `.css` | the widget, compressed for clients that accept gzip; also under names that contain the hash: see [`widget::tags`] |
//!
//! A job in any state is returned with 200: the status code describes the request, the body the
//! job. Ids that are malformed, unknown, deleted or owned by another viewer all return the same
//! 404. A store that fails or is slow gives 503 with `Retry-After`. Errors are problem documents
//! (RFC 9457) and never contain the store's error messages.
//!
//! # What this is not
//!
//! - Authentication: the application identifies the viewer.
//! - A rate limiter: that belongs in front of all routes, not only these.
//! - A server: an event stream lasts as long as its job, and a waiting poll up to 25 s, so a
//!   graceful shutdown needs a deadline of its own.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod api;
mod events;
mod gzip;
mod negotiate;
#[cfg(feature = "openapi")]
mod openapi;
mod origin;
mod query;
mod reply;
mod request;
mod route;
mod tag;
mod viewer;
pub mod widget;
mod wire;

pub use crate::api::ProgressApi;
pub use crate::events::Events;
pub use crate::origin::refuse_cross_site;
pub use crate::reply::Reply;
pub use crate::request::{HEADERS, Request, RequestHeaders};
pub use crate::route::{Answer, Call, Route};
pub use crate::viewer::{IntoViewer, Viewer};
