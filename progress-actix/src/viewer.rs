use std::convert::Infallible;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use progress_http::Viewer;

/// The extractor for applications in which every visitor who knows a job's id may follow the job.
/// Every request comes from [`Viewer::Anyone`], which sees records without an owner and never a
/// list.
///
/// ```
/// use progress_actix::{Anyone, Jobs, MemoryStore, scope};
///
/// let jobs = Jobs::new(MemoryStore::new());
/// let app = actix_web::App::new().service(scope::<Anyone>("/progress", jobs));
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Anyone;

impl FromRequest for Anyone {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(_: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self))
    }
}

impl From<Anyone> for Viewer {
    fn from(_: Anyone) -> Self {
        Self::Anyone
    }
}
