//! A button that starts a job, and a bar that follows it: open <http://127.0.0.1:3000>.
use actix_web::http::header::HeaderMap;
use actix_web::{App, Error, HttpRequest, HttpServer, error, rt, web};
use progress_actix::{Jobs, NewProgress, SameOrigin, Viewer};
use progress_sqlx::SqliteStore;

const PAGE: &str = r#"<!doctype html><html lang="en"><title>Invoices</title>
<script src="/progress/progress-polling.js"></script><div id="bar"></div>
<button onclick="fetch('/send', { method: 'POST' }).then(async reply => reply.ok
  ? new ProgressPolling('bar', await reply.text()) : alert('Not started'))">Send</button>"#;

fn user(headers: &HeaderMap) -> String {
    headers.get("x-user").and_then(|name| name.to_str().ok()).unwrap_or("demo").to_owned()
}

async fn send(_: SameOrigin, jobs: web::Data<Jobs>, http: HttpRequest) -> Result<String, Error> {
    let job = NewProgress::new("email").with_owner(user(http.headers())).with_total(50);
    let job = jobs.spawn(job, async |tracker| {
        for number in 1..=50 {
            tracker.checkpoint().await?; // an error once the user has asked to cancel
            tokio::time::sleep(std::time::Duration::from_millis(100)).await; // the work
            tracker.item_done(format!("invoice {number} sent"));
        }
        Ok(())
    });
    let job = job.await.map_err(|_| error::ErrorServiceUnavailable("try again later"))?;
    Ok(job.id.to_string())
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let jobs = Jobs::new(SqliteStore::connect("sqlite://progress.db").await?);
    rt::spawn(jobs.janitor().run()); // ends the jobs of workers that died
    let viewer = |request: &HttpRequest| Viewer::Owner(user(request.headers()));
    let server = HttpServer::new(move || {
        let app = App::new().app_data(web::Data::new(jobs.clone()));
        let app = app.route("/", web::get().to(async || web::Html::new(PAGE)));
        let progress = progress_actix::scope_with("/progress", jobs.clone(), viewer);
        app.route("/send", web::post().to(send)).service(progress)
    });
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:3000".to_owned());
    println!("listening on http://{address}");
    // Without half-closed connections, a page that is closed while it waits is noticed at once.
    Ok(server.h1_allow_half_closed(false).bind(address)?.run().await?)
}
