//! The routes: the page, the upload, the rejected lines, and the progress of the jobs.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse};
use axum::{Router, routing};
use example_support::spreadsheet::defuse;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use progress_axum::{Anyone, BoxError, NewProgress, ProgressApi, ProgressId, SameOrigin};
use tokio::fs;
use tokio::io::AsyncWriteExt as _;

use crate::{App, RETENTION, import::STAGES};

const MAX_BYTES: usize = 256 * 1024 * 1024;
const MAX_LINES: u64 = 1_000_000;
const STALLED: Duration = Duration::from_secs(30);
const POLICY: &str = "default-src 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Returns the routes. `Anyone` who knows the id of a job may see it; name your login instead.
pub(crate) fn router(app: App, api: ProgressApi) -> Router {
    let page = ([(header::CONTENT_SECURITY_POLICY, POLICY)], Html(include_str!("index.html")));
    let script = ([(header::CONTENT_TYPE, "text/javascript")], include_str!("page.js"));
    Router::new()
        .route("/", routing::get(page))
        .route("/page.js", routing::get(script))
        .route("/imports", routing::post(upload))
        .route("/imports/{job}/rejected.csv", routing::get(rejected))
        .merge(progress_axum::router::<Anyone, _>("/progress", api))
        .with_state(app)
}

/// Answers with the id of the job, or with a text for the user.
async fn upload(_: SameOrigin, app: State<App>, body: Body) -> (StatusCode, String) {
    match create_job(&app, body).await {
        Ok(Some(job)) => (StatusCode::ACCEPTED, job.to_string()),
        Ok(None) => (StatusCode::PAYLOAD_TOO_LARGE, "Over 1,000,000 lines or 256 MiB.".to_owned()),
        Err(error) => {
            tracing::warn!(error, "an upload failed");
            (StatusCode::SERVICE_UNAVAILABLE, "The file could not be stored.".to_owned())
        }
    }
}

/// Stores the file and then creates its job, so a file that did not arrive completely has no job.
async fn create_job(app: &App, body: Body) -> Result<Option<ProgressId>, BoxError> {
    delete_old(app).await?;
    let id = ProgressId::new();
    let path = tempfile::TempPath::try_from_path(app.uploads.join(id.to_string()))?;
    let mut file = fs::File::create(&path).await?;
    let (mut parts, mut bytes, mut breaks, mut last) = (body.into_data_stream(), 0, 0, b'\n');
    while let Some(part) = tokio::time::timeout(STALLED, parts.try_next()).await?? {
        bytes += part.len();
        breaks += part.iter().filter(|byte| **byte == b'\n').count() as u64;
        last = part.last().copied().unwrap_or(last);
        if bytes > MAX_BYTES || breaks > MAX_LINES + 1 {
            return Ok(None);
        }
        file.write_all(&part).await?;
    }
    file.flush().await?;
    file.sync_all().await?; // before its record, also after a power cut
    path.keep()?; // without this it is deleted here, also when the client has disconnected
    let lines = (breaks + u64::from(last != b'\n')).saturating_sub(1); // without the header
    let job = NewProgress::new("import").with_id(id).with_title("Importing customers");
    let job = job.with_stages(STAGES).with_total(lines);
    // The lease is how long the job of a worker that was killed waits for another one.
    app.jobs.create(job.with_attempts(10).with_lease(Duration::from_secs(5))).await?;
    Ok(Some(id))
}

/// Deletes the files whose jobs have no record any more, and their lines.
async fn delete_old(app: &App) -> Result<(), BoxError> {
    let mut files = fs::read_dir(&app.uploads).await?;
    while let Some(file) = files.next_entry().await? {
        let Ok(job) = file.file_name().to_string_lossy().parse() else { continue };
        let Ok(metadata) = file.metadata().await else { continue }; // it was deleted meanwhile
        // A file that is still being uploaded has no record either.
        let is_new = metadata.modified()?.elapsed().is_ok_and(|age| age < RETENTION);
        if !is_new && app.jobs.get(job).await?.is_none() {
            let lines = sqlx::query("DELETE FROM lines WHERE job = ?").bind(job.to_string());
            lines.execute(&app.pool).await?;
            let _ = fs::remove_file(file.path()).await; // or by the next upload
        }
    }
    Ok(())
}

/// Sends the rejected lines of a job as a CSV file.
async fn rejected(app: State<App>, id: Path<ProgressId>) -> Result<impl IntoResponse, StatusCode> {
    let record = app.jobs.get(*id).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    let job = record.ok_or(StatusCode::NOT_FOUND)?.id.to_string();
    let names = stream::iter([Ok(Bytes::from_static(b"line,reason,name,email,amount\n"))]);
    // In pages, so that a slow client does not occupy a connection of the pool.
    let pages = stream::try_unfold((app.0, job, 0), async |(app, job, last)| {
        let lines = "SELECT line, error, fields FROM lines \
             WHERE job = ? AND line > ? AND error IS NOT NULL ORDER BY line LIMIT 1000";
        let lines = sqlx::query_as(lines).bind(&job).bind(last).fetch_all(&app.pool);
        let lines: Vec<(i64, String, String)> = lines.await?;
        let Some(&(last, ..)) = lines.last() else { return Ok(None) };
        let mut csv = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
        for (line, reason, fields) in lines {
            let fields: Vec<String> = serde_json::from_str(&fields)?;
            let fields = fields.into_iter().map(defuse);
            csv.write_record([line.to_string(), reason].into_iter().chain(fields))?;
        }
        Ok::<_, BoxError>(Some((csv.into_inner()?.into(), (app, job, last))))
    });
    let csv = [(header::CONTENT_TYPE, "text/csv; charset=utf-8")];
    Ok((csv, Body::from_stream(names.chain(pages))))
}
