//! Imports uploaded CSV files in the background: open <http://127.0.0.1:3000>. Kill the program at
//! any time and start it again: each import continues, and no line is imported twice.

mod csv_file;
mod import;
mod web;

use std::path::PathBuf;
use std::str::FromStr as _;
use std::time::Duration;

use example_support::startup;
use progress_axum::{BoxError, Jobs, ProgressApi};
use progress_sqlx::SqliteStore;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqliteSynchronous};

/// How long a file and its lines are kept after the end of the job, as its record is.
const RETENTION: Duration = Duration::from_secs(86_400);

/// What the handlers and the worker share.
#[derive(Debug, Clone)]
struct App {
    jobs: Jobs,
    pool: SqlitePool,
    uploads: PathBuf,
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or("127.0.0.1:3000".to_owned());
    let folder = PathBuf::from(arguments.next().unwrap_or("file-import-data".to_owned()));
    startup::log_to_stderr();
    let listener = tokio::net::TcpListener::bind(address).await?;
    // One database for the records of jobs and the lines of files. Several processes may open it.
    let uploads = folder.join("uploads");
    std::fs::create_dir_all(&uploads)?;
    let url = format!("sqlite://{}", folder.join("import.db").display());
    let jobs = Jobs::new(SqliteStore::connect(&url).await?);
    let options = SqliteConnectOptions::from_str(&url)?.synchronous(SqliteSynchronous::Normal);
    let options = options.busy_timeout(Duration::from_secs(30)); // while other processes write
    let pool = SqlitePool::connect_with(options).await?;
    sqlx::raw_sql(include_str!("tables.sql")).execute(&pool).await?;
    let app = App { jobs, pool, uploads };
    let janitor = app.jobs.janitor().with_retention(RETENTION);
    tokio::spawn(janitor.with_sweep_interval(Duration::from_secs(1)).run());
    tokio::spawn(import::work(app.clone()));
    let api = ProgressApi::new(app.jobs.clone());
    startup::announce(&format!("listening on http://{}", listener.local_addr()?));
    let server = axum::serve(listener, web::router(app, api.clone())).into_future();
    tokio::select! { served = server => served?, () = startup::asked_to_stop() => api.close() }
    tokio::time::sleep(Duration::from_millis(500)).await; // pages get the answers they waited for
    Ok(()) // the runtime drops the worker, so another process can continue its job at once
}
