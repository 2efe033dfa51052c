//! What is extracted says nothing about who asks.

use std::sync::Arc;

fn main() {
    let store = Arc::new(progress_axum::MemoryStore::new());
    let _app: axum::Router = progress_axum::router::<axum::http::HeaderMap, _>("/progress", store);
}
