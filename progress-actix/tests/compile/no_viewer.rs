//! Nobody has said who the viewers are.

use std::sync::Arc;

fn main() {
    let store = Arc::new(progress_actix::MemoryStore::new());
    let _app = actix_web::App::new().service(progress_actix::scope("/progress", store));
}
