//! No type identifies the viewer.

use progress_axum::{Jobs, MemoryStore};

fn main() {
    let jobs = Jobs::new(MemoryStore::new());
    let _app: axum::Router = axum::Router::new().merge(progress_axum::router("/progress", jobs));
}
