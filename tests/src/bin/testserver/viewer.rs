//! The viewer of a request, in both frameworks: the one that the header `x-viewer` names.

use std::future::{Ready, ready};

use actix_web::FromRequest;
use axum::extract::FromRequestParts;
use progress_http::Viewer;

pub(crate) struct Named(Viewer);

const HEADER: &str = "x-viewer";
const UNKNOWN: &str = "x-viewer must be `owner:ID` or `admin`; omit it for an anonymous viewer";

impl Named {
    fn from_header(value: Option<&[u8]>) -> Option<Self> {
        let Some(value) = value else { return Some(Self(Viewer::Anyone)) };
        match std::str::from_utf8(value).ok()? {
            "admin" => Some(Self(Viewer::Admin)),
            value => {
                value.strip_prefix("owner:").map(|owner| Self(Viewer::Owner(owner.to_owned())))
            }
        }
    }
}

impl From<Named> for Viewer {
    fn from(named: Named) -> Self {
        named.0
    }
}

impl<S: Sync> FromRequestParts<S> for Named {
    type Rejection = (axum::http::StatusCode, &'static str);

    async fn from_request_parts(
        parts: &mut axum::http::request::Parts,
        _: &S,
    ) -> Result<Self, Self::Rejection> {
        let value = parts.headers.get(HEADER).map(axum::http::HeaderValue::as_bytes);
        Self::from_header(value).ok_or((axum::http::StatusCode::BAD_REQUEST, UNKNOWN))
    }
}

impl FromRequest for Named {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(
        request: &actix_web::HttpRequest,
        _: &mut actix_web::dev::Payload,
    ) -> Self::Future {
        let value =
            request.headers().get(HEADER).map(actix_web::http::header::HeaderValue::as_bytes);
        ready(Self::from_header(value).ok_or_else(|| actix_web::error::ErrorBadRequest(UNKNOWN)))
    }
}
