//! Nobody has said who the viewers are.

use std::sync::Arc;

fn main() {
    let store = Arc::new(progress_axum::MemoryStore::new());
    let _app: axum::Router = axum::Router::new().merge(progress_axum::router("/progress", store));
}
