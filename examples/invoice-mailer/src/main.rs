//! The whole flow of the progress crates: a button, real mail over SMTP, the bar, per-item errors, refresh, history.
//!
//! `cargo run -p invoice-mailer`, then open the address that it prints.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use invoice_mailer::catcher::Catcher;
use invoice_mailer::database::Database;
use invoice_mailer::deliveries::Deliveries;
use invoice_mailer::job::Sending;
use invoice_mailer::mailer::Mailer;
use invoice_mailer::queue::Queue;
use invoice_mailer::serve;
use invoice_mailer::settings::Settings;
use invoice_mailer::web::{self, App};
use invoice_mailer::worker::Worker;
use progress_axum::{Jobs, ProgressError, ProgressStore};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

/// How long the mails under way may take when the program is asked to end: whoever asks usually waits 10 s, or 5.
const TIME_TO_END: Duration = Duration::from_secs(4);

/// A setting that cannot be used: what it is and what is wrong with it, in one line.
struct Unusable(String);

impl Unusable {
    fn because(
        what: &str,
    ) -> impl FnOnce(Box<dyn std::error::Error + Send + Sync>) -> Self + use<'_> {
        move |error| Self(format!("{what}: {}", chain(&*error)))
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let settings = Settings::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // Stdout is for the address, which scripts read.
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colours)
        .with_writer(std::io::stderr)
        .init();
    match run(settings).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(Unusable(reason)) => {
            eprintln!("invoice-mailer: {reason}");
            ExitCode::from(2)
        }
    }
}

async fn run(settings: Settings) -> Result<(), Unusable> {
    let role = settings.role;
    // The database comes last: what else is wrong is found before a file is made.
    let listener = if role.serves() { Some(listen(&settings.listen).await?) } else { None };
    let catcher = match settings.smtp_url {
        None if role.serves() => Some(Arc::new(catch(&settings.catcher).await?)),
        _ => None,
    };
    let mailer =
        if role.works() { Some(mailer(&settings, catcher.as_deref()).await?) } else { None };
    let (store, database) = open(&settings).await?;
    let deliveries = Deliveries::new(database.clone());
    let jobs = Jobs::new(Arc::clone(&store));
    let app = App { jobs, queue: Queue::new(database), deliveries, catcher };

    tokio::spawn(app.jobs.janitor().run());
    let (stop, stopping) = watch::channel(false);
    let working = mailer.map(|mailer| {
        let worker = worker(&settings, &app, mailer, stopping);
        tokio::spawn(worker.run(settings.jobs))
    });
    // The jobs hear of it at once, and not when the last page has been answered.
    let stopped = async {
        asked_to_stop().await;
        stop.send_replace(true);
    };
    match listener {
        Some((listener, address)) => {
            tokio::spawn(look_after(app.queue.clone(), store));
            serve_pages(listener, address, app.clone(), stopped).await;
        }
        None => {
            say("working on what is queued");
            stopped.await;
        }
    }
    if let Some(working) = working {
        tracing::info!("stopping: mails under way are finished first");
        if tokio::time::timeout(TIME_TO_END, working).await.is_err() {
            tracing::warn!("a job did not end in time; it will be shown as lost");
        }
    }
    // With the mail catcher, which those mails need.
    drop(app);
    Ok(())
}

fn worker(
    settings: &Settings,
    app: &App,
    mailer: Mailer,
    stopping: watch::Receiver<bool>,
) -> Worker {
    let sending = Sending {
        mailer: Arc::new(mailer),
        deliveries: app.deliveries.clone(),
        pause: Duration::from_millis(settings.delay_ms),
        in_flight: usize::from(settings.in_flight),
        stopping: stopping.clone(),
    };
    Worker { jobs: app.jobs.clone(), queue: app.queue.clone(), sending, stopping }
}

async fn serve_pages(
    listener: TcpListener,
    address: SocketAddr,
    app: App,
    stopped: impl Future<Output = ()>,
) {
    say(&format!("listening on http://{address}"));
    serve::serve(listener, web::router(app), stopped).await;
}

/// To stdout, which is for scripts. Whoever started us may have closed it since; that is no reason not to work.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

async fn listen(address: &str) -> Result<(TcpListener, SocketAddr), Unusable> {
    let listener = TcpListener::bind(address).await;
    let listener =
        listener.and_then(|listener| listener.local_addr().map(|address| (listener, address)));
    listener.map_err(|error| Unusable::because(&format!("--listen {address}"))(error.into()))
}

/// The catcher belongs to the pages, which show what it caught.
async fn catch(address: &str) -> Result<Catcher, Unusable> {
    let catcher = Catcher::start_at(address).await;
    let catcher = catcher
        .map_err(|error| Unusable::because(&format!("--catcher {address}"))(error.into()))?;
    tracing::info!(
        "the mail catcher is SMTP_URL={} for workers that are processes of their own",
        catcher.url()
    );
    Ok(catcher)
}

async fn mailer(settings: &Settings, catcher: Option<&Catcher>) -> Result<Mailer, Unusable> {
    let Some(url) = settings.smtp_url.clone().or_else(|| catcher.map(Catcher::url)) else {
        return Err(Unusable(
            "SMTP_URL: a worker must be told the mail server; the process with --role web logs the address of its \
             mail catcher"
                .to_owned(),
        ));
    };
    let mailer = Mailer::new(&url, usize::from(settings.in_flight) * usize::from(settings.jobs));
    let what = "--smtp-url (SMTP_URL)";
    let mailer = mailer.map_err(|error| Unusable::because(what)(error.into()))?;
    mailer.check().await.map_err(|error| Unusable::because(what)(error.into()))?;
    Ok(mailer)
}

/// Gives up the jobs that a process made and, dying, did not queue. Longer than that takes is long enough.
///
/// It reads from the store itself, because the cache of [`Jobs`] may be a moment behind another process.
async fn look_after(queue: Queue, store: Arc<dyn ProgressStore>) {
    let mut turns = tokio::time::interval(Duration::from_secs(30));
    loop {
        turns.tick().await;
        // The janitor says already when the database is away.
        if let Ok(jobs @ 1..) = queue.give_up_forgotten(&*store, Duration::from_secs(60)).await {
            tracing::warn!(jobs, "jobs that were never queued are failed");
        }
    }
}

async fn open(settings: &Settings) -> Result<(Arc<dyn ProgressStore>, Database), Unusable> {
    let (what, url) = database_url(settings)?;
    let store = progress_sqlx::connect_any(&url).await.map_err(|error| match error {
        ProgressError::Setup(reason) => Unusable(format!("{what}: {reason}")),
        error => Unusable::because(&what)(error.into()),
    })?;
    let database = Database::open(&url).await;
    let database = database.map_err(|error| Unusable::because(&what)(error.into()))?;
    Ok((store, database))
}

/// The address of the database, after the setting that says it: an address itself may hold a password.
fn database_url(settings: &Settings) -> Result<(String, String), Unusable> {
    match &settings.database_url {
        Some(url) => Ok(("--database-url (DATABASE_URL)".to_owned(), url.clone())),
        None => {
            let folder = &settings.data_dir;
            let what = format!("--data-dir {}", folder.display());
            std::fs::create_dir_all(folder)
                .map_err(|error| Unusable(format!("{what}: {error}")))?;
            let path = folder.join("invoice-mailer.db");
            let path = path
                .to_str()
                .ok_or_else(|| Unusable("--data-dir: the path must be UTF-8".to_owned()))?;
            Ok((what, format!("sqlite://{path}")))
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

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |&cause| cause.source()) {
        let cause = cause.to_string();
        // Some errors tell their cause themselves.
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text.replace(['\r', '\n'], " ")
}
