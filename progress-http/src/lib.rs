//! The polling API of `progress-core`, without a web framework: routing, access control, caching
//! rules, and the files of the browser widget.
//!
//! An adapter (`progress-axum`, `progress-actix`, or your own in about 150 lines) turns its
//! framework's request into a [`Request`] and calls [`ProgressApi::route`]. If the reply depends on
//! the viewer, the adapter finds out the [`Viewer`]. Then it copies the [`Reply`] into its
//! framework's response. It decides nothing itself, so every framework sends the same bytes.
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
#![doc = include_str!("../API.md")]
//!
//! # What this is not
//!
//! - Authentication: the application identifies the viewer.
//! - A rate limiter: put one in front of all routes of the application.
//! - A server. Event streams last up to five minutes and waiting polls up to 25 s, so a server must
//!   call [`ProgressApi::close`] at a graceful shutdown.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod api;
mod events;
mod gzip;
mod html;
mod negotiate;
#[cfg(feature = "openapi")]
mod openapi;
mod origin;
mod page;
mod prepared;
mod query;
mod reply;
mod request;
mod route;
mod tag;
mod viewer;
mod wait;
mod waiters;
pub mod widget;
mod wire;

pub use crate::api::ProgressApi;
pub use crate::events::Events;
pub use crate::origin::refuse_cross_site;
pub use crate::reply::Reply;
pub use crate::request::{HEADERS, Request, RequestHeaders};
pub use crate::route::{Answer, Call, Route};
pub use crate::viewer::{IntoViewer, Viewer};
