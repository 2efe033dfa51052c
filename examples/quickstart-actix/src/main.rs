//! A button that starts a job, and a bar that follows it: open <http://127.0.0.1:3000>.

use std::{sync::Arc, time::Duration};

use actix_web::{App, Error, HttpServer, error, rt, web, web::Html};
use progress_actix::{Anyone, Janitor, NewProgress, ProgressApi, ProgressStore, Tracker};
use progress_sqlx::SqliteStore;

const PAGE: &str = r#"<!doctype html><html lang="en"><title>Invoices</title>
<meta name="viewport" content="width=device-width">
<script src="/progress/progress-polling.js"></script>
<button onclick="fetch('/send', {method: 'POST'}).then(async answer => answer.ok
  ? new ProgressPolling('bar', await answer.text()) : alert('The job could not be started.'))">Send</button>
<div id="bar"></div>"#;

async fn send(store: web::Data<dyn ProgressStore>) -> Result<String, Error> {
    let job = NewProgress::new("email_sending").with_total(50).with_title("Sending invoices");
    let job = store.create(&job).await.map_err(error::ErrorServiceUnavailable)?;
    rt::spawn(Tracker::run(store.into_inner(), job.id, async |tracker| {
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
    let store: Arc<dyn ProgressStore> =
        Arc::new(SqliteStore::connect("sqlite://progress.db").await?);
    rt::spawn(Janitor::new(store.clone()).run()); // fails the jobs of dead workers, deletes what ended 30 days ago
    let api = ProgressApi::new(store.clone()); // made once, shared by all workers of the server
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::from(store.clone()))
            .route("/", web::get().to(async || Html::new(PAGE)))
            .route("/send", web::post().to(send))
            .service(progress_actix::scope::<Anyone>("/progress", api.clone()))
    });
    // A page that is closed while it waits for a change is to be noticed, and a client that does not read.
    let server = server.h1_allow_half_closed(false).on_connect(|connection, _| {
        #[cfg(target_os = "linux")]
        if let Some(stream) = connection.downcast_ref::<rt::net::TcpStream>() {
            let _ =
                socket2::SockRef::from(stream).set_tcp_user_timeout(Some(Duration::from_secs(10)));
        }
    });
    let server = server.bind("127.0.0.1:3000")?;
    println!("listening on http://127.0.0.1:3000");
    server.run().await?;
    Ok(())
}
