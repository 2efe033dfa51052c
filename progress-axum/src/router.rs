use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use progress_http::{ProgressApi, Reply, RequestHeaders, Route, Viewer};

/// The routes of [`progress_http`], to be nested under a path: `.nest("/progress", router::<CurrentUser, _>(store))`.
///
/// A store will do for `api`; make a [`ProgressApi`] of it first to change its settings.
///
/// `V` is the application's extractor that says who asks, and there is no default: a router cannot be had without the
/// decision. Its rejection (401, a redirect to the login page) is answered as it is. Name [`Anyone`](crate::Anyone) when
/// knowing a job's id is all it takes. The widget's files need no viewer.
pub fn router<V, S>(api: impl Into<ProgressApi>) -> Router<S>
where
    V: FromRequestParts<S> + Into<Viewer> + Send + 'static,
    S: Clone + Send + Sync + 'static,
{
    let api: ProgressApi = api.into();
    let handler = move |State(state): State<S>, request: Request| answer::<V, S>(api, state, request);
    // Routes, and not a fallback alone, which a wildcard route of the application would hide. The fallback is for the mount
    // point with a slash behind it, which no nested route matches.
    Router::new().route("/", any(handler.clone())).route("/{*rest}", any(handler.clone())).fallback(handler)
}

async fn answer<V, S>(api: ProgressApi, state: S, request: Request) -> Response
where
    V: FromRequestParts<S> + Into<Viewer>,
    S: Send + Sync,
{
    let (mut parts, _) = request.into_parts();
    let route = api.route(&progress_http::Request {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query(),
        headers: request_headers(&parts.headers),
    });
    let call = match route {
        Route::Answered(reply) => return response(reply),
        Route::Call(call) => call,
    };
    let viewer: Viewer = match V::from_request_parts(&mut parts, &state).await {
        Ok(viewer) => viewer.into(),
        Err(rejection) => return rejection.into_response(),
    };
    response(call.answer(&viewer).await)
}

/// The headers that [`progress_http`] looks at, for [`refuse_cross_site`](crate::refuse_cross_site) in a handler of the
/// application's own.
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
pub fn request_headers(headers: &HeaderMap) -> RequestHeaders {
    RequestHeaders::collect(|name| headers.get_all(name).iter().map(HeaderValue::as_bytes))
}

fn response(reply: Reply) -> Response {
    let mut response = Response::new(match reply.body {
        std::borrow::Cow::Borrowed(bytes) => Body::from(bytes),
        std::borrow::Cow::Owned(bytes) => Body::from(bytes),
    });
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in reply.headers {
        // Replies hold visible ASCII only; a value that were not would be left out rather than take the process down.
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().append(HeaderName::from_static(name), value);
        }
    }
    response
}
