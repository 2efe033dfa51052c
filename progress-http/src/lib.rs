//! The polling API of `progress-core`, without a web framework: which request means what, who may see what, what is cached
//! how, and the files of the browser widget.
//!
//! An adapter (`progress-axum`, `progress-actix`, or your own in about a hundred lines) turns its framework's request into a
//! [`Request`], asks [`ProgressApi::route`], finds out who the [`Viewer`] is when the answer depends on it, and copies the
//! [`Reply`]. It decides nothing, so every framework gives the same bytes.
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
//!     Answer::Events(head, events) => unreachable!("only of /{{id}}/events"),
//! }
//! # Ok::<(), progress_core::ProgressError>(())
//! # }).unwrap();
//! ```
//!
//! # Routes
//!
//! Under a path of the application's choice:
//!
//! | route | answer |
//! |---|---|
//! | `GET /{id}` | the record: 200 with `ETag`, or 304; `Retry-After`, `poll_after_ms` and `stale_after_ms` while the job is active; with `Prefer: wait=N` not before it changes, or after N seconds, at most 25 |
//! | `GET /?status=&task_type=&active=&limit=&cursor=` | the viewer's records, newest first; `Link: rel="next"` |
//! | `GET /?ids=a,b,c` | these, at most 100, as far as the viewer may see them; the other parameters do not matter then |
//! | `GET /active` | the same as `?active=true` |
//! | `GET /{id}/log?after=&limit=` | the log, oldest first |
//! | `GET /{id}/events` | the record each time that it changes, as server-sent events; 204 on resuming a finished one |
//! | `POST /{id}/cancel` | 202 asked, 200 cancelled, 409 finished otherwise |
//! | `DELETE /{id}` | 204; 409 while active |
//! | `GET /openapi.json` | this table for programs (OpenAPI 3.1), with the feature `openapi` |
//! | `GET /progress-polling.js`, `.mjs`, `.css` | the widget, compressed for those who read gzip; also under names that hold the hash: see [`widget::tags`] |
//!
//! Every state of a job is 200: the status line speaks of the request, the body of the job. An id that is malformed,
//! unknown, deleted or somebody else's gives one and the same 404. A store that fails or is slow gives 503 with
//! `Retry-After`. Errors are problem documents (RFC 9457) and hold nothing of what the store said.
//!
//! # What this is not
//!
//! Authentication: the application says who the viewer is. Nor a limiter of requests: that belongs before all routes, not
//! these alone. Nor the end of a server: event streams end with their job, and polls that wait after 25 s, so a graceful
//! shutdown needs a deadline of its own.

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
pub use crate::viewer::Viewer;
