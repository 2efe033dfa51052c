//! A button that starts a job, and a bar that follows it: open <http://127.0.0.1:3000>.
use axum::http::{HeaderMap, StatusCode, request::Parts};
use axum::{Router, extract::State, response::Html, routing};
use progress_axum::{Jobs, NewProgress, SameOrigin, Viewer};
use progress_sqlx::SqliteStore;

const PAGE: &str = r#"<!doctype html><html lang="en"><title>Invoices</title>
<script src="/progress/progress-polling.js"></script><div id="bar"></div>
<button onclick="fetch('/send', { method: 'POST' }).then(async reply => reply.ok
  ? new ProgressPolling('bar', await reply.text()) : alert('Not started'))">Send</button>"#;

fn user(headers: &HeaderMap) -> String {
    headers.get("x-user").and_then(|name| name.to_str().ok()).unwrap_or("demo").to_owned()
}

async fn send(_: SameOrigin, jobs: State<Jobs>, http: HeaderMap) -> Result<String, StatusCode> {
    let job = NewProgress::new("email").with_owner(user(&http)).with_total(50);
    let job = jobs.spawn(job, async |tracker| {
        for number in 1..=50 {
            tracker.checkpoint().await?; // an error once the user has asked to cancel
            tokio::time::sleep(std::time::Duration::from_millis(100)).await; // the work
            tracker.item_done(format!("invoice {number} sent"));
        }
        Ok(())
    });
    job.await.map(|job| job.id.to_string()).map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let jobs = Jobs::new(SqliteStore::connect("sqlite://progress.db").await?);
    tokio::spawn(jobs.janitor().run()); // ends the jobs of workers that died
    let viewer = |request: &Parts| Viewer::Owner(user(&request.headers));
    let progress = progress_axum::router_with("/progress", jobs.clone(), viewer);
    let app = Router::new().route("/", routing::get(async || Html(PAGE)));
    let app = app.route("/send", routing::post(send)).merge(progress).with_state(jobs);
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:3000".to_owned());
    println!("listening on http://{address}");
    Ok(axum::serve(tokio::net::TcpListener::bind(address).await?, app).await?)
}
