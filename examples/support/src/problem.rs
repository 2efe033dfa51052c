//! Error responses as problem details (RFC 9457), like those of the library's routes.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Returns a response of `application/problem+json` with a sentence for the reader.
pub fn problem(status: StatusCode, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or_default();
    let body = Json(
        json!({"type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail}),
    );
    (status, [(CONTENT_TYPE, "application/problem+json")], body).into_response()
}
