//! A button that starts a job, and a bar that follows it: open <http://127.0.0.1:3000>.

use std::time::Duration;

use axum::{Router, extract::State, http::StatusCode, response::Html, routing};
use progress_axum::{Anyone, Jobs, NewProgress, ProgressError};
use progress_sqlx::SqliteStore;

const PAGE: &str = r#"<!doctype html><html lang="en"><title>Invoices</title>
<meta name="viewport" content="width=device-width">
<script src="/progress/progress-polling.js"></script>
<button onclick="fetch('/send', {method: 'POST'}).then(async answer => answer.ok
  ? new ProgressPolling('bar', await answer.text()) : alert('The job could not be started.'))">Send</button>
<div id="bar"></div>"#;

async fn send(State(jobs): State<Jobs>) -> Result<String, (StatusCode, String)> {
    let job = NewProgress::new("email_sending").with_total(50).with_title("Sending invoices");
    let unavailable = |error: ProgressError| (StatusCode::SERVICE_UNAVAILABLE, error.to_string());
    let job = jobs.create(job).await.map_err(unavailable)?;
    tokio::spawn(jobs.run(job.id, async |tracker| {
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
    let jobs = Jobs::new(SqliteStore::connect("sqlite://progress.db").await?);
    tokio::spawn(jobs.janitor().run()); // fails jobs of dead workers, deletes records after 30 days
    let app = Router::new()
        .route("/", routing::get(async || Html(PAGE)))
        .route("/send", routing::post(send))
        .merge(progress_axum::router::<Anyone, _>("/progress", jobs.clone()))
        .with_state(jobs);
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}
