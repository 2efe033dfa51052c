use std::borrow::Cow;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::uri::Authority;
use actix_web::web::{self, Bytes};
use actix_web::{Error, FromRequest, HttpRequest, HttpResponse, Scope};
use futures_core::Stream;
use progress_http::{Answer, Events, IntoViewer, ProgressApi, Reply, RequestHeaders, Route};

/// Returns the routes of [`progress_http`] under a path:
/// `.service(scope::<CurrentUser>("/progress", jobs.clone()))`, in the application or in one of its
/// scopes. Register it before any wildcard route, because actix-web takes the first route that
/// matches.
///
/// `api` is the application's [`Jobs`](crate::Jobs), or a [`ProgressApi`] with settings of its own.
/// Create it outside of `HttpServer::new`, so that all workers share one.
///
/// `V` is the application's extractor that identifies the viewer. It has no default, so that every
/// application decides who may see what. It gets the head of the request, never its body. Its error
/// (401, a redirect to the login page) is returned unchanged. Use [`Anyone`](crate::Anyone) if
/// knowing a job's id is enough. The widget's files need no viewer.
///
/// The result is an ordinary [`Scope`], to which middleware and guards can be added.
pub fn scope<V>(path: &str, api: impl Into<ProgressApi>) -> Scope
where
    V: FromRequest + IntoViewer + 'static,
{
    let api: ProgressApi = api.into();
    // A scope whose path ends in a slash matches only requests with two.
    web::scope(path.trim_end_matches('/'))
        .default_service(web::to(move |request: HttpRequest| answer::<V>(api.clone(), request)))
}

async fn answer<V>(api: ProgressApi, request: HttpRequest) -> Result<HttpResponse, Error>
where
    V: FromRequest + IntoViewer,
{
    let (mount, path) = split(&request);
    let route = api.route(&progress_http::Request {
        method: request.method().as_str(),
        mount,
        path,
        query: request.uri().query(),
        headers: request_headers(request.headers()).or_host(authority(&request)),
    });
    let call = match route {
        Route::Answered(reply) => return Ok(response(reply)),
        Route::Call(call) => call,
    };
    let viewer = V::extract(&request).await.map_err(Into::into)?.into_viewer();
    Ok(match call.answer(&viewer).await {
        Answer::Whole(reply) => response(reply),
        Answer::Events(head, events) => response(head).set_body(BoxBody::new(EventBody(events))),
    })
}

/// Returns the host of a request over HTTP/2, which has no `Host` header.
pub(crate) fn authority(request: &HttpRequest) -> Option<&str> {
    request.uri().authority().map(Authority::as_str)
}

/// Splits the raw path after the mount point.
///
/// actix-web matches the decoded path, and reports how much of the decoded path it used. It decodes
/// everything but the slash (and `%`, `+`), so the matched part has the same number of slashes in
/// the raw path.
fn split(request: &HttpRequest) -> (&str, &str) {
    let decoded = request.match_info();
    let matched = decoded.as_str().strip_suffix(decoded.unprocessed()).unwrap_or_default();
    let raw = request.uri().path();
    let slash = raw.match_indices('/').nth(matched.matches('/').count());
    raw.split_at(slash.map_or(raw.len(), |(start, _)| start))
}

/// Collects the headers that [`progress_http`] uses, for
/// [`refuse_cross_site`](crate::refuse_cross_site) in the application's own handlers.
///
/// ```
/// use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
/// use progress_actix::{refuse_cross_site, request_headers};
///
/// let mut headers = HeaderMap::new();
/// let name = HeaderName::from_static("sec-fetch-site");
/// headers.insert(name, HeaderValue::from_static("cross-site"));
/// assert!(refuse_cross_site(&request_headers(&headers), &[]).is_some());
/// ```
#[must_use]
pub fn request_headers(headers: &HeaderMap) -> RequestHeaders<'_> {
    RequestHeaders::collect(headers.iter().map(|(name, value)| (name.as_str(), value)))
}

pub(crate) fn response(reply: Reply) -> HttpResponse {
    let announced = reply.header("content-length").and_then(|length| length.parse().ok());
    let body = match (announced, reply.body) {
        (Some(length), _) => BoxBody::new(Announced(length)),
        (None, body) if body.is_empty() => BoxBody::new(actix_web::body::None::new()),
        (None, bytes) => BoxBody::new(bytes),
    };
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::with_body(status, body);
    for (name, value) in reply.headers {
        let value = match value {
            Cow::Borrowed(value) => Bytes::from_static(value.as_bytes()),
            Cow::Owned(value) => Bytes::from(value),
        };
        // Replies contain only visible ASCII. Any other value is left out instead of causing a
        // panic.
        if let Ok(value) = HeaderValue::from_maybe_shared(value) {
            response.headers_mut().append(header_name(name), value);
        }
    }
    response
}

/// Returns the name of a header. Those of polls are constants, which need no parsing.
fn header_name(name: &'static str) -> HeaderName {
    match name {
        "cache-control" => header::CACHE_CONTROL,
        "content-type" => header::CONTENT_TYPE,
        "etag" => header::ETAG,
        "retry-after" => header::RETRY_AFTER,
        "x-content-type-options" => header::X_CONTENT_TYPE_OPTIONS,
        _ => HeaderName::from_static(name),
    }
}

/// The body of a reply to `HEAD`, which has only a length, because actix-web sends the length of
/// the body and ignores a `Content-Length` header.
struct Announced(u64);

impl MessageBody for Announced {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.0)
    }

    fn poll_next(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(None)
    }
}

/// The body of an event stream.
struct EventBody(Events);

impl MessageBody for EventBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        let event = std::task::ready!(Pin::new(&mut self.0).poll_next(context));
        Poll::Ready(event.map(|event| Ok(Bytes::from(event))))
    }
}
