//! The invoices of a job: the table with the result of each, the file of errors, and the button
//! that sends the unsent ones again.

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use example_support::invoice::Invoice;
use example_support::language::Language;
use example_support::problem::problem;
use example_support::request::DEFAULT_COUNT;
use example_support::spreadsheet::defuse;
use futures_util::{StreamExt, TryStreamExt, stream};
use progress_axum::{BoxError, Progress, ProgressId, SameOrigin};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use crate::deliveries::{Deliveries, Delivery};
use crate::queue::{Batch, Order};
use crate::web::{App, start, viewer};

/// How many numbers are read at once, and how many rows a page has at least.
const PAGE: u32 = DEFAULT_COUNT;

/// A spreadsheet takes a file without this mark for one in the encoding of its country.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Returns the routes below `/invoices/{job}`.
pub(crate) fn router() -> Router<App> {
    Router::new()
        .route("/invoices/{job}", get(table))
        .route("/invoices/{job}/errors.csv", get(errors))
        .route("/invoices/{job}/again", post(again))
}

/// An invoice and its result.
#[derive(Debug, Serialize)]
struct Row {
    #[serde(flatten)]
    invoice: Invoice,
    #[serde(flatten)]
    delivery: Delivery,
}

#[derive(Debug, Deserialize)]
struct Rows {
    from: Option<u32>,
    #[serde(default)]
    errors: bool,
}

/// A response without the invoices.
struct Refusal(StatusCode, &'static str);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        problem(self.0, self.1)
    }
}

/// Returns some invoices of a job with the result of each, or only its errors.
async fn table(
    app: State<App>,
    Path(id): Path<String>,
    Query(rows): Query<Rows>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let language = Language::of(&headers);
    let (job, batch) = find(&app, &id, language).await?;
    let from = rows.from.unwrap_or(1);
    let page = page(&app.deliveries, job.id, &batch, from, rows.errors).await;
    let (invoices, next) = page.map_err(|error| not_readable(&*error, language))?;
    let body = Json(json!({"invoices": invoices, "next": next}));
    Ok(([(CACHE_CONTROL, "no-store")], body).into_response())
}

/// Sends all errors of a job as a CSV file. They are from the table of results, because a log keeps
/// only its newest entries.
async fn errors(
    app: State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let language = Language::of(&headers);
    let (job, batch) = find(&app, &id, language).await?;
    let head = csv_lines([language.error_columns().map(str::to_owned)]);
    let head = head.map(|head| Bytes::from([BYTE_ORDER_MARK.as_bytes(), &head[..]].concat()));
    // In pages, so that a slow client does not occupy a connection of the pool.
    let start = (app.deliveries.clone(), Some(1));
    let pages = stream::try_unfold(start, move |(deliveries, from)| {
        let batch = batch.clone();
        async move {
            let Some(from) = from else { return Ok(None) };
            let (rows, next) = page(&deliveries, job.id, &batch, from, true).await?;
            let lines = csv_lines(rows.into_iter().map(|Row { invoice, delivery }| {
                let cents = invoice.amount_cents;
                let amount = format!("{}.{:02}", cents / 100, cents % 100);
                let Invoice { reference, customer, email, .. } = invoice;
                [reference, customer, email, amount, delivery.detail]
            }))?;
            Ok::<_, BoxError>(Some((Bytes::from(lines), (deliveries, next))))
        }
    });
    // The connection is then closed before the end of the file, so that the browser reports it.
    let pages = pages.inspect_err(|error| {
        let error = &**error as &dyn std::error::Error;
        tracing::error!(error, "a file of errors is incomplete");
    });
    let headers = [
        (CACHE_CONTROL, "no-store"),
        (CONTENT_TYPE, "text/csv; charset=utf-8"),
        (CONTENT_DISPOSITION, "attachment; filename=\"invoice-errors.csv\""),
    ];
    Ok((headers, Body::from_stream(stream::iter([head]).chain(pages))).into_response())
}

fn csv_lines(lines: impl IntoIterator<Item = [String; 5]>) -> Result<Vec<u8>, BoxError> {
    let mut csv = csv::WriterBuilder::new();
    let mut csv = csv.terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    for line in lines {
        csv.write_record(line.map(defuse))?;
    }
    Ok(csv.into_inner()?)
}

/// Starts a job that sends what this one has not sent. A job is sent again once, however often and
/// in however many windows the button is pressed: the id of the second job follows from that of the
/// first, and there is one record of each id.
async fn again(
    _: SameOrigin,
    app: State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let language = Language::of(&headers);
    let (job, mut batch) = find(&app, &id, language).await?;
    if job.status.is_active() {
        return Err(Refusal(StatusCode::CONFLICT, language.not_ended()));
    }
    batch.again_of.push(job.id);
    let numbers = app.deliveries.numbers(&batch, 1, batch.count).await;
    let numbers = numbers.map_err(|error| not_readable(&*error, language))?;
    let count = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
    if count == 0 {
        return Err(Refusal(StatusCode::CONFLICT, language.all_sent()));
    }
    let id = ProgressId::from_uuid(Uuid::new_v5(job.id.as_uuid(), b"again"));
    Ok(start(&app, id, count, None, Order { batch, language }).await)
}

/// Finds a job of the viewer and its invoices. Unknown, malformed and foreign ids give the same
/// response, as everywhere.
async fn find(app: &App, id: &str, language: Language) -> Result<(Progress, Batch), Refusal> {
    let job = match id.parse() {
        Ok(id) => app.jobs.get(id).await.map_err(|error| not_readable(&error, language))?,
        Err(_) => None,
    };
    let job = job.filter(|job| viewer().may_see(job));
    let job = job.ok_or(Refusal(StatusCode::NOT_FOUND, language.no_such_job()))?;
    let batch = Batch::of(&job);
    Ok((job, batch))
}

fn not_readable(error: &(dyn std::error::Error + 'static), language: Language) -> Refusal {
    tracing::error!(error, "cannot read the invoices");
    Refusal(StatusCode::SERVICE_UNAVAILABLE, language.not_readable())
}

/// Reads the invoices of a job from a number on, with their results: at least [`PAGE`] of them, and
/// the number where the next page begins. With `only_errors` it ends where no result is known,
/// because mails are sent in the order of their numbers.
async fn page(
    deliveries: &Deliveries,
    job: ProgressId,
    batch: &Batch,
    from: u32,
    only_errors: bool,
) -> Result<(Vec<Row>, Option<u32>), BoxError> {
    let mut rows = Vec::new();
    let mut from = from.clamp(1, batch.count.max(1));
    while from <= batch.count {
        let to = batch.count.min(from.saturating_add(PAGE - 1));
        let numbers = deliveries.numbers(batch, from, to).await?;
        let mut known = deliveries.of(job, from, to).await?;
        if only_errors && known.is_empty() && !numbers.is_empty() {
            return Ok((rows, None));
        }
        for number in numbers {
            let delivery = known.remove(&number);
            if only_errors && delivery.as_ref().is_none_or(Delivery::is_sent) {
                continue;
            }
            let delivery = delivery.unwrap_or_else(|| Delivery::new("waiting", ""));
            rows.push(Row { invoice: Invoice::sample(number), delivery });
        }
        from = to.saturating_add(1);
        if rows.len() >= PAGE as usize {
            break;
        }
    }
    Ok((rows, (from <= batch.count).then_some(from)))
}
