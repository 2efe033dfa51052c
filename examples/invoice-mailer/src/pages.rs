//! The files of the pages, compiled in.

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// What the two pages load, all of it from here.
const FILES: [(&str, &str, &str); 11] = [
    ("page.css", "text/css; charset=utf-8", include_str!("../page/page.css")),
    ("favicon.svg", "image/svg+xml", include_str!("../page/favicon.svg")),
    ("page.js", SCRIPT, include_str!("../page/page.js")),
    ("outbox.js", SCRIPT, include_str!("../page/outbox.js")),
    ("bars.js", SCRIPT, include_str!("../page/bars.js")),
    ("elements.js", SCRIPT, include_str!("../page/elements.js")),
    ("history.js", SCRIPT, include_str!("../page/history.js")),
    ("invoices.js", SCRIPT, include_str!("../page/invoices.js")),
    ("pacing.js", SCRIPT, include_str!("../page/pacing.js")),
    ("requests.js", SCRIPT, include_str!("../page/requests.js")),
    ("send-form.js", SCRIPT, include_str!("../page/send-form.js")),
];

/// `/`, `/outbox`, and what they load from `/page/…`.
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/", get(async || page(HTML, include_str!("../page/index.html"))))
        .route("/outbox", get(async || page(HTML, include_str!("../page/outbox.html"))))
        .route("/page/{name}", get(file))
}

async fn file(Path(name): Path<String>) -> Response {
    match FILES.iter().find(|(known, ..)| *known == name) {
        Some((_, content_type, content)) => page(content_type, content),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn page(content_type: &'static str, content: &'static str) -> Response {
    ([(CONTENT_TYPE, content_type), (CACHE_CONTROL, "no-cache")], content).into_response()
}
