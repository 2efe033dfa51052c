use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use progress_http::Viewer;

/// The extractor for applications in which every visitor who knows a job's id may follow the job.
/// Every request comes from [`Viewer::Anyone`], which sees records without an owner and never a
/// list.
///
/// ```
/// use progress_axum::{Anyone, Jobs, MemoryStore, router};
///
/// let jobs = Jobs::new(MemoryStore::new());
/// let app: axum::Router = axum::Router::new().merge(router::<Anyone, _>("/progress", jobs));
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Anyone;

impl<S: Sync> FromRequestParts<S> for Anyone {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self)
    }
}

impl From<Anyone> for Viewer {
    fn from(_: Anyone) -> Self {
        Self::Anyone
    }
}
