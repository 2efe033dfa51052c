//! What is extracted says nothing about who asks.

use std::sync::Arc;

fn main() {
    let store = Arc::new(progress_actix::MemoryStore::new());
    let _app = actix_web::App::new().service(progress_actix::scope::<actix_web::HttpRequest>("/progress", store));
}
