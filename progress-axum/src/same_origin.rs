use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::Response;

use crate::router::{authority, request_headers, response};

/// An extractor that refuses requests which a browser makes on behalf of another site, with 403.
/// Name it in a handler that starts a job, so that no other site can start jobs in a user's name.
///
/// Requests of programs that are not browsers pass. To trust further origins, call
/// [`refuse_cross_site`](crate::refuse_cross_site).
///
/// ```
/// use axum::{Router, routing::post};
/// use progress_axum::SameOrigin;
///
/// async fn start(_: SameOrigin) -> &'static str {
///     "started"
/// }
///
/// let app: Router = Router::new().route("/start", post(start));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct SameOrigin;

impl<S: Sync> FromRequestParts<S> for SameOrigin {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let headers = request_headers(&parts.headers).or_host(authority(&parts.uri));
        match progress_http::refuse_cross_site(&headers, &[]) {
            Some(refusal) => Err(response(refusal)),
            None => Ok(Self),
        }
    }
}
