//! A button that starts a job, and a bar that follows it: open <http://127.0.0.1:3000>.

use std::{sync::Arc, time::Duration};

use axum::{Router, extract::State, http::StatusCode, response::Html, routing};
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, rt::TokioTimer, service::TowerToHyperService};
use progress_axum::{Anyone, Janitor, NewProgress, ProgressError, ProgressStore, Tracker};
use progress_sqlx::SqliteStore;
use tokio_io_timeout::TimeoutWriter;

type Store = Arc<dyn ProgressStore>;

const PAGE: &str = r#"<!doctype html><html lang="en"><title>Invoices</title>
<meta name="viewport" content="width=device-width">
<script src="/progress/progress-polling.js"></script>
<button onclick="fetch('/send', {method: 'POST'}).then(async answer => answer.ok
  ? new ProgressPolling('bar', await answer.text()) : alert('The job could not be started.'))">Send</button>
<div id="bar"></div>"#;
const PATIENCE: Option<Duration> = Some(Duration::from_secs(10));

async fn send(State(store): State<Store>) -> Result<String, (StatusCode, String)> {
    let job = NewProgress::new("email_sending").with_total(50).with_title("Sending invoices");
    let unavailable = |error: ProgressError| (StatusCode::SERVICE_UNAVAILABLE, error.to_string());
    let job = store.create(&job).await.map_err(unavailable)?;
    tokio::spawn(Tracker::run(store, job.id, async |tracker| {
        for number in 1..=50 {
            tracker.checkpoint().await?; // an error once a viewer has asked to cancel
            tokio::time::sleep(Duration::from_millis(100)).await; // the work
            tracker.success(format!("invoice {number} sent"));
        }
        Ok(())
    }));
    Ok(job.id.to_string())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store: Store = Arc::new(SqliteStore::connect("sqlite://progress.db").await?);
    tokio::spawn(Janitor::new(store.clone()).run()); // fails the jobs of dead workers, deletes what ended 30 days ago
    let app = Router::new()
        .route("/", routing::get(async || Html(PAGE)))
        .route("/send", routing::post(send))
        .merge(progress_axum::router::<Anyone, _>("/progress", store.clone()))
        .with_state(store);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    let mut http = http1::Builder::new(); // `axum::serve` waits for slow clients for ever
    http.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    println!("listening on http://127.0.0.1:3000");
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await; // too many are open
            continue;
        };
        let mut stream = Box::pin(TimeoutWriter::new(stream));
        stream.as_mut().set_timeout_pinned(PATIENCE);
        tokio::spawn(
            http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app.clone())),
        );
    }
}
