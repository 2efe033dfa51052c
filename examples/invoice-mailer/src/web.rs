//! The routes of the application: the pages, the button, the table of invoices, and the library's
//! routes, which return the progress of jobs.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::header::{CACHE_CONTROL, LOCATION};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use example_support::catcher::Catcher;
use example_support::invoice::Invoice;
use example_support::language::Language;
use example_support::problem::problem;
use example_support::request::{DEFAULT_COUNT, MAX_COUNT, SendRequest};
use example_support::{outbox, pages};
use progress_axum::{Jobs, NewProgress, ProgressApi, SameOrigin, Viewer};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::deliveries::{Deliveries, Delivery};
use crate::pages::{FILES, PAGES};
use crate::queue::{Order, Queue, TASK_TYPE};

/// The owner of all jobs. There is no login: every visitor is the billing office. A real
/// application uses the id of the logged-in user.
const OWNER: &str = "billing office";

/// How often a job may be started. Each restart of a worker takes one start of its jobs.
const ATTEMPTS: u32 = 5;

/// Allows scripts, styles and requests of this origin only, and no frames.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; \
     frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// The state of the handlers.
#[derive(Clone)]
pub struct App {
    /// The jobs and their progress.
    pub jobs: Jobs,
    /// The jobs that wait for a worker.
    pub queue: Queue,
    /// The result of each mail.
    pub deliveries: Deliveries,
    /// How long a worker may be silent before another one continues its jobs.
    pub lease: Duration,
}

/// Returns the routes of the application. The catcher is what the outbox shows, if there is one.
pub fn router(app: App, api: ProgressApi, catcher: Option<Arc<Catcher>>) -> Router {
    let viewer = |_: &_| Viewer::Owner(OWNER.to_owned());
    let header = |name, value| {
        let value = HeaderValue::from_static(value);
        SetResponseHeaderLayer::if_not_present(HeaderName::from_static(name), value)
    };
    Router::new()
        .route("/invoices/send", post(send))
        .route("/invoices", get(invoices))
        .merge(progress_axum::router_with("/progress", api, viewer))
        .merge(pages::router(PAGES, FILES))
        .merge(outbox::router(catcher))
        .layer(header("content-security-policy", CONTENT_SECURITY_POLICY))
        .layer(header("x-content-type-options", "nosniff"))
        .layer(header("referrer-policy", "no-referrer"))
        .with_state(app)
}

/// Creates a job and responds at once: 202, with the address of its progress.
async fn send(_: SameOrigin, app: State<App>, headers: HeaderMap, body: Bytes) -> Response {
    let language = Language::of(&headers);
    let SendRequest { count, title } = match SendRequest::parse(&headers, &body) {
        Ok(request) => request,
        Err(mistake) => return problem(StatusCode::BAD_REQUEST, &mistake.describe(language)),
    };
    let mut job = NewProgress::new(TASK_TYPE).with_owner(OWNER).with_total(u64::from(count));
    job = job.with_attempts(ATTEMPTS).with_lease(app.lease);
    if let Some(title) = title {
        job = job.with_title(title);
    }
    match app.queue.submit(&app.jobs, job, Order { count, language }).await {
        Ok(job) => {
            let body = json!({"success": true, "job_id": job.id.to_string()});
            // Relative, so that it holds behind a proxy under any path.
            let location = format!("../progress/{}", job.id);
            (StatusCode::ACCEPTED, [(LOCATION, location)], Json(body)).into_response()
        }
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a job was not created");
            problem(StatusCode::SERVICE_UNAVAILABLE, language.not_started())
        }
    }
}

#[derive(Debug, Deserialize)]
struct Rows {
    job: Option<String>,
    from: Option<u32>,
    total: Option<u32>,
}

/// An invoice and its result.
#[derive(Debug, Serialize)]
struct Row {
    #[serde(flatten)]
    invoice: Invoice,
    #[serde(flatten)]
    delivery: Delivery,
}

/// Returns up to 200 invoices, with the result of each in a job.
async fn invoices(app: State<App>, headers: HeaderMap, Query(rows): Query<Rows>) -> Response {
    let total = rows.total.unwrap_or(DEFAULT_COUNT).clamp(1, MAX_COUNT);
    let from = rows.from.unwrap_or(1).clamp(1, total);
    let to = total.min(from + DEFAULT_COUNT - 1);
    // A malformed id is treated like an unknown one.
    let known = match rows.job.and_then(|job| job.parse().ok()) {
        Some(job) => app.deliveries.of(job, from, to).await,
        None => Ok(HashMap::new()),
    };
    let mut known = match known {
        Ok(known) => known,
        Err(error) => {
            tracing::error!(error = &*error as &dyn std::error::Error, "cannot read the invoices");
            return problem(StatusCode::SERVICE_UNAVAILABLE, Language::of(&headers).not_readable());
        }
    };
    let invoices: Vec<_> = (from..=to)
        .map(|number| {
            let delivery = known.remove(&number);
            let delivery = delivery.unwrap_or_else(|| Delivery::new("waiting", ""));
            Row { invoice: Invoice::sample(number), delivery }
        })
        .collect();
    let next = (to < total).then_some(to + 1);
    let body = Json(json!({"total": total, "invoices": invoices, "next": next}));
    ([(CACHE_CONTROL, "no-store")], body).into_response()
}
