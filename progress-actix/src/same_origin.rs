use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::error::InternalError;
use actix_web::{FromRequest, HttpRequest};

use crate::scope::{authority, request_headers, response};

/// An extractor that refuses requests which a browser makes on behalf of another site, with 403.
/// Name it in a handler that starts a job, so that no other site can start jobs in a user's name.
///
/// Requests of programs that are not browsers pass. To trust further origins, call
/// [`refuse_cross_site`](crate::refuse_cross_site).
///
/// ```
/// use actix_web::{App, web};
/// use progress_actix::SameOrigin;
///
/// async fn start(_: SameOrigin) -> &'static str {
///     "started"
/// }
///
/// let app = App::new().route("/start", web::post().to(start));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct SameOrigin;

impl FromRequest for SameOrigin {
    type Error = InternalError<&'static str>;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let headers = request_headers(request.headers()).or_host(authority(request));
        ready(match progress_http::refuse_cross_site(&headers, &[]) {
            Some(refusal) => {
                Err(InternalError::from_response("a cross-site request", response(refusal)))
            }
            None => Ok(Self),
        })
    }
}
