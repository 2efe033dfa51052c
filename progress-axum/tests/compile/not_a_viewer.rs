//! The extractor does not identify the viewer.

use progress_axum::{Jobs, MemoryStore};

fn main() {
    let jobs = Jobs::new(MemoryStore::new());
    let _app: axum::Router = progress_axum::router::<axum::http::HeaderMap, _>("/progress", jobs);
}
