//! A button that starts a job, and a bar that follows it: open <http://127.0.0.1:3000>.

use std::time::Duration;

use actix_web::{App, Error, HttpServer, error, rt, web, web::Html};
use progress_actix::{Anyone, Jobs, NewProgress};
use progress_sqlx::SqliteStore;

const PAGE: &str = r#"<!doctype html><html lang="en"><title>Invoices</title>
<meta name="viewport" content="width=device-width">
<script src="/progress/progress-polling.js"></script>
<button onclick="fetch('/send', {method: 'POST'}).then(async answer => answer.ok
  ? new ProgressPolling('bar', await answer.text()) : alert('The job could not be started.'))">Send</button>
<div id="bar"></div>"#;

async fn send(jobs: web::Data<Jobs>) -> Result<String, Error> {
    let job = NewProgress::new("email_sending").with_total(50).with_title("Sending invoices");
    let job = jobs.create(job).await.map_err(error::ErrorServiceUnavailable)?;
    rt::spawn(jobs.run(job.id, async |tracker| {
        for number in 1..=50 {
            tracker.checkpoint().await?; // an error once a viewer has asked to cancel
            tokio::time::sleep(Duration::from_millis(100)).await; // the work
            tracker.success(format!("invoice {number} sent"));
        }
        Ok(())
    }));
    Ok(job.id.to_string())
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let jobs = Jobs::new(SqliteStore::connect("sqlite://progress.db").await?);
    rt::spawn(jobs.janitor().run()); // fails jobs of dead workers, deletes records after 30 days
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::new(jobs.clone()))
            .route("/", web::get().to(async || Html::new(PAGE)))
            .route("/send", web::post().to(send))
            .service(progress_actix::scope::<Anyone>("/progress", jobs.clone()))
    });
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    // So that a page that is closed while it waits for a change is noticed at once.
    let server = server.h1_allow_half_closed(false).bind(address)?;
    println!("listening on http://{}", server.addrs()[0]);
    server.run().await?;
    Ok(())
}
