//! The pages and what they ask for. How far a job has come is not among it: those routes are the library's.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, LOCATION};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use progress_axum::{Jobs, NewProgress, Viewer, refuse_cross_site, request_headers};
use serde::Deserialize;
use serde_json::json;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::catcher::Catcher;
use crate::deliveries::{Deliveries, Delivery};
use crate::invoice::Invoice;
use crate::language::Language;
use crate::pages;
use crate::queue::{Order, Queue, TASK_TYPE};
use crate::request::{DEFAULT_COUNT, MAX_COUNT, SendRequest};

/// Whose jobs these are. The example has one office and no login.
const OWNER: &str = "billing office";

/// Nothing is fetched from elsewhere, nothing inline runs, nobody frames the page.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

/// What the handlers share.
#[derive(Debug, Clone)]
pub struct App {
    /// The jobs and their progress.
    pub jobs: Jobs,
    /// Where jobs wait for a worker.
    pub queue: Queue,
    /// What became of each invoice.
    pub deliveries: Deliveries,
    /// The mail catcher, unless a real server was named.
    pub catcher: Option<Arc<Catcher>>,
}

/// Everybody who reaches this program is the billing office: it listens on this machine only and has no login. A real
/// application looks at its session here, and rejects whoever has none.
struct Operator;

impl<S: Sync> FromRequestParts<S> for Operator {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self)
    }
}

impl From<Operator> for Viewer {
    fn from(_: Operator) -> Self {
        Self::Owner(OWNER.to_owned())
    }
}

/// The whole application.
pub fn router(app: App) -> Router {
    let header = |name: &'static str, value: &'static str| {
        SetResponseHeaderLayer::if_not_present(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    };
    Router::new()
        .merge(pages::router())
        .route("/invoices", get(invoices))
        .route("/invoices/send", post(send))
        .route("/outbox/messages", get(outbox))
        .route("/outbox/messages/{id}/attachment", get(attachment))
        .merge(progress_axum::router::<Operator, App>("/progress", app.jobs.clone()))
        .layer(header("content-security-policy", CONTENT_SECURITY_POLICY))
        .layer(header("x-content-type-options", "nosniff"))
        .layer(header("referrer-policy", "no-referrer"))
        .with_state(app)
}

fn problem(status: StatusCode, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or_default();
    let body = Json(
        json!({"type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail}),
    );
    (status, [(CONTENT_TYPE, "application/problem+json")], body).into_response()
}

/// Starts a job and answers at once: 202, and where to watch it.
async fn send(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Response {
    let language = Language::of(&headers);
    if refuse_cross_site(&request_headers(&headers), &[]).is_some() {
        return problem(StatusCode::FORBIDDEN, language.another_site());
    }
    let request = match SendRequest::read(&headers, &body) {
        Ok(request) => request,
        Err(mistake) => return problem(StatusCode::BAD_REQUEST, &mistake.describe(language)),
    };
    let mut job =
        NewProgress::new(TASK_TYPE).with_owner(OWNER).with_total(u64::from(request.count));
    if let Some(title) = request.title {
        job = job.with_title(title);
    }
    let order = Order { job: job.id(), count: request.count, language };
    match app.queue.submit(&app.jobs, job, order).await {
        Ok(()) => {
            let id = order.job.to_string();
            let location = format!("/progress/{id}");
            (
                StatusCode::ACCEPTED,
                [(LOCATION, location)],
                Json(json!({"success": true, "job_id": id})),
            )
                .into_response()
        }
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a job could not be created");
            problem(StatusCode::SERVICE_UNAVAILABLE, language.not_started())
        }
    }
}

#[derive(Debug, Deserialize)]
struct Rows {
    job: Option<String>,
    #[serde(default = "first")]
    from: u32,
    #[serde(default = "usual")]
    total: u32,
}

fn first() -> u32 {
    1
}

fn usual() -> u32 {
    DEFAULT_COUNT
}

/// The invoices, 200 at a time, with what became of each in a job.
async fn invoices(
    State(app): State<App>,
    headers: HeaderMap,
    Query(rows): Query<Rows>,
) -> Response {
    let total = rows.total.clamp(1, MAX_COUNT);
    let from = rows.from.clamp(1, total);
    let to = total.min(from + DEFAULT_COUNT - 1);
    // An id that is none is the id of no job.
    let known = match rows.job.and_then(|job| job.parse().ok()) {
        Some(job) => app.deliveries.of(job, from, to).await,
        None => Ok(std::collections::HashMap::new()),
    };
    let mut known = match known {
        Ok(known) => known,
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "what became of the invoices is not readable"
            );
            return problem(StatusCode::SERVICE_UNAVAILABLE, Language::of(&headers).not_readable());
        }
    };
    let waiting = || Delivery { outcome: "waiting".to_owned(), detail: String::new() };
    let invoices: Vec<_> = (from..=to)
        .map(|number| {
            let invoice = Invoice::sample(number);
            let delivery = known.remove(&number).unwrap_or_else(waiting);
            json!({
                "number": number, "reference": invoice.reference, "customer": invoice.customer,
                "email": invoice.email, "amount_cents": invoice.amount_cents,
                "outcome": delivery.outcome, "detail": delivery.detail,
            })
        })
        .collect();
    let next = (to < total).then_some(to + 1);
    let body = Json(json!({"total": total, "invoices": invoices, "next": next}));
    ([(CACHE_CONTROL, "no-store")], body).into_response()
}

/// What the built-in catcher caught; with a real server there is nothing to show.
async fn outbox(State(app): State<App>) -> Response {
    let body = match &app.catcher {
        Some(catcher) => {
            json!({
                "built_in": true, "smtp_url": catcher.url(),
                "total": catcher.total(), "messages": catcher.messages(),
            })
        }
        None => json!({"built_in": false, "smtp_url": null, "total": 0, "messages": []}),
    };
    ([(CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

async fn attachment(State(app): State<App>, headers: HeaderMap, Path(id): Path<u64>) -> Response {
    let mail = app.catcher.and_then(|catcher| catcher.message(id));
    let attachment =
        mail.and_then(|mail| Some((mail.attachment()?, mail.summary.attachment?.name)));
    let Some((bytes, name)) = attachment else {
        return problem(StatusCode::NOT_FOUND, Language::of(&headers).no_such_mail());
    };
    // Whoever sent the mail chose the name; only what cannot end the quotes or the header is kept of it.
    let name: String = name
        .chars()
        .filter(|character| character.is_ascii_alphanumeric() || " .-_".contains(*character))
        .collect();
    let headers = [
        (CONTENT_TYPE, "application/pdf".to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    (headers, bytes).into_response()
}
