//! No type identifies the viewer.

use progress_actix::{Jobs, MemoryStore};

fn main() {
    let jobs = Jobs::new(MemoryStore::new());
    let _app = actix_web::App::new().service(progress_actix::scope("/progress", jobs));
}
