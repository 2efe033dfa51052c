use std::borrow::Cow;
use std::convert::Infallible;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, OriginalUri, Request};
use axum::handler::Handler;
use axum::http::uri::{Authority, Uri};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use futures_core::Stream;
use progress_http::{Answer, Events, IntoViewer, ProgressApi, Reply, RequestHeaders, Route};

/// Returns the routes of [`progress_http`] under a path, to be merged into the application's
/// routes: `.merge(router::<CurrentUser, _>("/progress", jobs))`.
///
/// Pass the path here, and not to `Router::nest`: a nested router never gets a request for
/// `/progress/`, and nesting normalises slashes that must be kept. The result may be nested
/// further. `api` is the application's [`Jobs`](crate::Jobs), or a [`ProgressApi`] with settings of
/// its own.
///
/// `V` is the application's extractor that identifies the viewer. It has no default, so that every
/// application decides who may see what. Its rejection (401, a redirect to the login page) is
/// returned unchanged. Use [`Anyone`](crate::Anyone) if knowing a job's id is enough. The widget's
/// files need no viewer.
///
/// # Panics
///
/// If axum cannot route the path. It must begin with a slash, and may contain parameters, such as
/// `/tenants/{tenant}/progress`. Extractors must read these by name, because the router adds a
/// wildcard parameter of its own.
pub fn router<V, S>(path: &str, api: impl Into<ProgressApi>) -> Router<S>
where
    V: FromRequestParts<S> + IntoViewer + Send + 'static,
    S: Clone + Send + Sync + 'static,
{
    let api: ProgressApi = api.into();
    let path = path.trim_end_matches('/');
    let depth = path.matches('/').count();
    let handler = any(ProgressHandler::<V> { api, depth, viewer: PhantomData });
    let routes = Router::new()
        .route(&format!("{path}/"), handler.clone())
        .route(&format!("{path}/{{*progress_rest}}"), handler.clone());
    if path.is_empty() { routes } else { routes.route(path, handler) }
}

/// The handler of all routes. Not a closure, whose arguments axum would extract first: a waiting
/// request would keep 264 bytes more, and the request would be copied twice more.
struct ProgressHandler<V> {
    api: ProgressApi,
    /// The number of segments up to the mount point.
    depth: usize,
    viewer: PhantomData<fn() -> V>,
}

// Not derived, because a derived `Clone` would require `V: Clone`.
impl<V> Clone for ProgressHandler<V> {
    fn clone(&self) -> Self {
        Self { api: self.api.clone(), ..*self }
    }
}

impl<V, S> Handler<(), S> for ProgressHandler<V>
where
    V: FromRequestParts<S> + IntoViewer + Send + 'static,
    S: Clone + Send + Sync + 'static,
{
    type Future = Pin<Box<dyn Future<Output = Response> + Send>>;

    fn call(self, request: Request, state: S) -> Self::Future {
        Box::pin(answer::<V, S>(&self.api, self.depth, state, request))
    }
}

/// Not an `async fn`, which would keep room for the request as well as for its parts.
fn answer<V, S>(
    api: &ProgressApi,
    depth: usize,
    state: S,
    request: Request,
) -> impl Future<Output = Response> + use<V, S>
where
    V: FromRequestParts<S> + IntoViewer,
    S: Send + Sync,
{
    let (mut parts, _) = request.into_parts();
    let (mount, path) = split(parts.uri.path(), depth);
    // `Router::nest` removes its prefix from the path, but not from this one.
    let original = parts.extensions.get::<OriginalUri>();
    let mount = original.and_then(|uri| uri.path().strip_suffix(path)).unwrap_or(mount);
    let route = api.route(&progress_http::Request {
        method: parts.method.as_str(),
        mount,
        path,
        query: parts.uri.query(),
        headers: request_headers(&parts.headers).or_host(authority(&parts.uri)),
    });
    async move {
        let call = match route {
            Route::Answered(reply) => return response(reply),
            Route::Call(call) => call,
        };
        let viewer = match V::from_request_parts(&mut parts, &state).await {
            Ok(viewer) => viewer.into_viewer(),
            Err(rejection) => return rejection.into_response(),
        };
        // A request may wait for a change. Its headers need not.
        drop((parts, state));
        match call.answer(&viewer).await {
            Answer::Whole(reply) => response(reply),
            Answer::Events(head, events) => {
                let mut response = response(head);
                *response.body_mut() = Body::new(EventBody(events));
                response
            }
        }
    }
}

/// Splits the raw path, neither decoded nor normalised, after its first `segments` segments.
fn split(path: &str, segments: usize) -> (&str, &str) {
    let start = path.match_indices('/').nth(segments).map_or(path.len(), |(start, _)| start);
    path.split_at(start)
}

/// Returns the host of a request over HTTP/2, which has no `Host` header.
pub(crate) fn authority(uri: &Uri) -> Option<&str> {
    uri.authority().map(Authority::as_str)
}

/// Collects the headers that [`progress_http`] uses, for
/// [`refuse_cross_site`](crate::refuse_cross_site) in the application's own handlers.
///
/// ```
/// use axum::http::HeaderMap;
/// use progress_axum::{refuse_cross_site, request_headers};
///
/// let mut headers = HeaderMap::new();
/// headers.insert("sec-fetch-site", "cross-site".parse()?);
/// assert!(refuse_cross_site(&request_headers(&headers), &[]).is_some());
/// # Ok::<(), axum::http::header::InvalidHeaderValue>(())
/// ```
#[must_use]
pub fn request_headers(headers: &HeaderMap) -> RequestHeaders<'_> {
    RequestHeaders::collect(headers.iter().map(|(name, value)| (name.as_str(), value)))
}

pub(crate) fn response(reply: Reply) -> Response {
    let is_announced = reply.header("content-length").is_some();
    let body = match reply.body {
        body if body.is_empty() && !is_announced => Body::new(EmptyBody),
        bytes => Body::from(bytes),
    };
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().reserve(reply.headers.len());
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

/// The body of a reply that has none. axum adds the length of every known body to the reply to
/// `HEAD`. "0" would be wrong in a 304, where the length is that of the full reply (RFC 9110,
/// section 8.6).
struct EmptyBody;

impl http_body::Body for EmptyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }
}

/// The body of an event stream.
struct EventBody(Events);

impl http_body::Body for EventBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        let event = std::task::ready!(Pin::new(&mut self.0).poll_next(context));
        Poll::Ready(event.map(|event| Ok(http_body::Frame::data(Bytes::from(event)))))
    }
}
