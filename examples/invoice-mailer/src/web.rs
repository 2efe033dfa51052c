//! The routes of the application: the pages, the button that starts a job, and the library's
//! routes, which return the progress of jobs.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use example_support::catcher::Catcher;
use example_support::language::Language;
use example_support::problem::problem;
use example_support::request::SendRequest;
use example_support::{outbox, pages};
use progress_apalis::SubmitError;
use progress_axum::{
    Jobs, NewProgress, ProgressApi, ProgressError, ProgressId, SameOrigin, Viewer,
};
use serde_json::json;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::deliveries::Deliveries;
use crate::invoices;
use crate::pages::{FILES, PAGES};
use crate::queue::{Batch, Order, Queue, TASK_TYPE};

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
    let header = |name, value| {
        let value = HeaderValue::from_static(value);
        SetResponseHeaderLayer::if_not_present(HeaderName::from_static(name), value)
    };
    Router::new()
        .route("/invoices/send", post(send))
        .merge(invoices::router())
        .merge(progress_axum::router_with("/progress", api, |_: &_| viewer()))
        .merge(pages::router(PAGES, FILES))
        .merge(outbox::router(catcher))
        .layer(header("content-security-policy", CONTENT_SECURITY_POLICY))
        .layer(header("x-content-type-options", "nosniff"))
        .layer(header("referrer-policy", "no-referrer"))
        .with_state(app)
}

/// The visitor, who sees the jobs of the office.
pub(crate) fn viewer() -> Viewer {
    Viewer::Owner(OWNER.to_owned())
}

/// Creates a job that sends invoices.
async fn send(_: SameOrigin, app: State<App>, headers: HeaderMap, body: Bytes) -> Response {
    let language = Language::of(&headers);
    let SendRequest { count, title } = match SendRequest::parse(&headers, &body) {
        Ok(request) => request,
        Err(mistake) => return problem(StatusCode::BAD_REQUEST, &mistake.describe(language)),
    };
    let batch = Batch { count, again_of: Vec::new() };
    start(&app, ProgressId::new(), count, title, Order { batch, language }).await
}

/// Creates a job and responds at once: 202, with the address of its progress. If there is a job
/// with this id, responds 200 with that one.
pub(crate) async fn start(
    app: &App,
    id: ProgressId,
    count: u32,
    title: Option<String>,
    order: Order,
) -> Response {
    let Order { batch, language } = &order;
    let (language, is_again) = (*language, !batch.again_of.is_empty());
    let title = title.unwrap_or_else(|| language.job_title(count, is_again));
    let job = NewProgress::new(TASK_TYPE).with_id(id).with_owner(OWNER).with_title(title);
    let job = job.with_total(u64::from(count)).with_metadata(json!(batch));
    let job = job.with_attempts(ATTEMPTS).with_lease(app.lease);
    let status = match app.queue.submit(&app.jobs, job, order).await {
        Ok(_) => StatusCode::ACCEPTED,
        Err(SubmitError::Progress(ProgressError::AlreadyExists(_))) => StatusCode::OK,
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a job was not created");
            return problem(StatusCode::SERVICE_UNAVAILABLE, language.not_started());
        }
    };
    let is_new = status == StatusCode::ACCEPTED;
    let body = json!({"success": true, "job_id": id.to_string(), "new": is_new});
    // Relative, so that it holds behind a proxy under any path.
    let root = if is_again { "../.." } else { ".." };
    let location = format!("{root}/progress/{id}");
    (status, [(LOCATION, location)], Json(body)).into_response()
}
