//! The whole flow of the progress crates: a button, real mail over SMTP, the bar, per-item errors, refresh, history.
//!
//! `cargo run -p invoice-mailer`, then open the address that it prints.

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use invoice_mailer::catcher::Catcher;
use invoice_mailer::deliveries::Deliveries;
use invoice_mailer::job::Sending;
use invoice_mailer::mailer::Mailer;
use invoice_mailer::settings::Settings;
use invoice_mailer::web::{self, App, TASK_TYPE};
use progress_axum::{Delta, Janitor, ProgressError, ProgressQuery, ProgressStore, ProgressUpdate, Status};
use progress_sqlx::SqliteStore;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

/// A setting that cannot be used: what it is and what is wrong with it, in one line.
struct Unusable(String);

impl Unusable {
    fn because(what: &str) -> impl FnOnce(Box<dyn std::error::Error + Send + Sync>) -> Self + use<'_> {
        move |error| Self(format!("{what}: {}", chain(&*error)))
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let settings = Settings::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // Stdout is for the address, which scripts read.
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr).init();
    match run(settings).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(Unusable(reason)) => {
            eprintln!("invoice-mailer: {reason}");
            ExitCode::from(2)
        }
    }
}

async fn run(settings: Settings) -> Result<(), Unusable> {
    let url = database_url(&settings)?;
    let store =
        SqliteStore::connect(&url).await.map_err(|error| Unusable::because("DATABASE_URL")(error.into()))?;
    let store: Arc<dyn ProgressStore> = Arc::new(store);
    let deliveries =
        Deliveries::open(&url).await.map_err(|error| Unusable::because("DATABASE_URL")(error.into()))?;

    let catcher = match settings.smtp_url {
        Some(_) => None,
        None => Some(
            Catcher::start().await.map_err(|error| Unusable::because("the mail catcher")(error.into()))?,
        ),
    };
    let smtp_url = match (&settings.smtp_url, &catcher) {
        (Some(url), _) => url.clone(),
        (None, Some(catcher)) => format!("smtp://{}", catcher.address()),
        (None, None) => String::new(),
    };
    let in_flight = usize::from(settings.in_flight);
    let mailer =
        Mailer::new(&smtp_url, in_flight).map_err(|error| Unusable::because("SMTP_URL")(error.into()))?;
    mailer.check().await.map_err(|error| Unusable::because("SMTP_URL")(error.into()))?;

    let listener = TcpListener::bind(&settings.listen).await;
    let listener = listener
        .map_err(|error| Unusable::because(&format!("--listen {}", settings.listen))(error.into()))?;
    let address = listener.local_addr().map_err(|error| Unusable::because("--listen")(error.into()))?;

    if let Err(error) = give_up_pending(&*store).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "jobs that never began could not be looked for"
        );
    }
    let janitor = tokio::spawn(Janitor::new(Arc::clone(&store)).run());
    let (stop, stopping) = watch::channel(false);
    let sending = Sending {
        mailer: Arc::new(mailer),
        deliveries,
        pause: Duration::from_millis(settings.delay_ms),
        in_flight,
        stopping,
    };
    let app = App { store, sending, catcher: catcher.map(Arc::new), jobs: Arc::default() };

    // Whoever started us may have closed our output since; that is no reason not to serve.
    let _ = writeln!(std::io::stdout(), "listening on http://{address}");
    let serving = axum::serve(listener, web::router(app.clone()));
    tokio::select! {
        outcome = serving => outcome.map_err(|error| Unusable::because("serving")(error.into()))?,
        () = asked_to_stop() => {}
    }
    tracing::info!("stopping: mails under way are finished first");
    stop.send_replace(true);
    web::finish(&app, Duration::from_secs(4)).await;
    janitor.abort();
    Ok(())
}

fn database_url(settings: &Settings) -> Result<String, Unusable> {
    match &settings.database_url {
        Some(url) if url.starts_with("sqlite:") => Ok(url.clone()),
        // Not the URL itself: it may hold a password.
        Some(_) => Err(Unusable(
            "DATABASE_URL: this program keeps its data in SQLite; give a sqlite: URL".to_owned(),
        )),
        None => {
            let folder = &settings.data_dir;
            std::fs::create_dir_all(folder)
                .map_err(|error| Unusable(format!("--data-dir {}: {error}", folder.display())))?;
            let path = folder.join("invoice-mailer.db");
            let path =
                path.to_str().ok_or_else(|| Unusable("--data-dir: the path must be UTF-8".to_owned()))?;
            Ok(format!("sqlite://{path}"))
        }
    }
}

/// The queue is this process's memory: a job that waited when the last process ended will never begin.
async fn give_up_pending(store: &dyn ProgressStore) -> Result<(), ProgressError> {
    let query = ProgressQuery::new().with_task_type(TASK_TYPE).with_status(Status::Pending).with_limit(100);
    loop {
        let page = store.list(&query).await?;
        for job in &page.items {
            let update = ProgressUpdate::fail(Delta::new(), "the program was stopped before the job began");
            store.update(job.id, &update).await?;
        }
        if page.next.is_none() {
            return Ok(());
        }
    }
}

async fn asked_to_stop() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signals) => {
                signals.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        outcome = interrupt => {
            if outcome.is_err() {
                std::future::pending::<()>().await;
            }
        }
        () = terminate => {}
    }
}

fn chain(error: &(dyn std::error::Error + 'static)) -> impl Display {
    let causes: Vec<_> =
        std::iter::successors(Some(error), |&error| error.source()).map(ToString::to_string).collect();
    causes.join(": ").replace(['\r', '\n'], " ")
}
