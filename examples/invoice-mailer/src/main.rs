//! Sends invoices by mail and shows the progress of each job: a button, real mail over SMTP, a list
//! of jobs, the errors of each. Run `cargo run -p invoice-mailer`, then open the printed address.
//!
//! One process does all of it, or `--role web` serves the pages and `--role worker` does the jobs.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use example_support::catcher::Catcher;
use example_support::host::Hosts;
use example_support::mailer::Mailer;
use example_support::startup::{self, ForSetting, SettingError};
use invoice_mailer::job::Sending;
use invoice_mailer::operation;
use invoice_mailer::serve;
use invoice_mailer::settings::{Role, Settings};
use invoice_mailer::storage::Storage;
use invoice_mailer::web::{self, App};
use invoice_mailer::worker::Worker;
use progress_axum::{Jobs, ProgressApi};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// How long running jobs may take to stop. Supervisors usually kill a process after 5 or 10 s.
const STOP_TIMEOUT: Duration = Duration::from_secs(4);

#[tokio::main]
async fn main() -> ExitCode {
    let settings = Settings::parse();
    startup::log_to_stderr();
    startup::exit_code("invoice-mailer", run(settings).await)
}

async fn run(settings: Settings) -> Result<(), SettingError> {
    let (serves, works) = (settings.role != Role::Worker, settings.role != Role::Web);
    // The database comes last, so that a wrong setting does not leave a new file behind.
    let listener = if serves { Some(listen(&settings.listen).await?) } else { None };
    let catcher = match settings.smtp_url {
        None if serves => Some(Arc::new(catch(&settings.catcher).await?)),
        _ => None,
    };
    let mailer = if works { Some(mailer(&settings, catcher.as_deref()).await?) } else { None };
    let lease = Duration::from_secs(settings.lease);
    let (setting, url) = settings.database()?;
    let Storage { store, deliveries, queue } = Storage::open(&setting, &url, lease).await?;

    let metrics = operation::collect_metrics().for_setting("metrics")?;
    // The library's handle, shared by pages and workers. Its janitor ends the attempts of dead
    // workers.
    let jobs = Jobs::new(store);
    tokio::spawn(jobs.janitor().with_sweep_interval(lease / 9).run());

    let (stop, stopping) = watch::channel(false);
    let working = mailer.map(|mailer| {
        let sending = Sending {
            mailer: Arc::new(mailer),
            deliveries: deliveries.clone(),
            pause: Duration::from_millis(settings.delay_ms),
            in_flight: usize::from(settings.in_flight),
            stopping,
        };
        let worker = Worker { jobs: jobs.clone(), queue: queue.clone(), sending };
        tokio::spawn(worker.run(settings.jobs))
    });
    let api = ProgressApi::new(jobs.clone());
    // The workers stop at once, and not only after the last response. Pages that wait for a change
    // get their response.
    let stopped = async {
        startup::asked_to_stop().await;
        stop.send_replace(true);
        api.close();
    };
    match listener {
        Some((listener, address)) => {
            let app = App { jobs, queue, deliveries, lease };
            let for_operators = operation::router(app.jobs.clone(), metrics);
            let pages = web::router(app, api.clone(), catcher.clone()).merge(for_operators);
            let pages = Hosts::new(&settings.listen, address, &settings.hosts).guard(pages);
            startup::announce(&format!("listening on http://{address}"));
            serve::serve(listener, pages, stopped).await;
        }
        None => {
            startup::announce("working on queued jobs");
            stopped.await;
        }
    }
    if let Some(working) = working {
        tracing::info!("stopping after the mails that are being sent");
        if tokio::time::timeout(STOP_TIMEOUT, working).await.is_err() {
            tracing::warn!("a job did not stop in time; some mails may be sent twice");
        }
    }
    // Not earlier, because those mails need it.
    drop(catcher);
    Ok(())
}

async fn listen(address: &str) -> Result<(TcpListener, SocketAddr), SettingError> {
    let setting = format!("--listen {address}");
    let listener = TcpListener::bind(address).await.for_setting(&setting)?;
    let address = listener.local_addr().for_setting(&setting)?;
    Ok((listener, address))
}

/// Starts the mail catcher. It belongs to the process of the pages, which show what it has caught.
async fn catch(address: &str) -> Result<Catcher, SettingError> {
    let catcher = Catcher::start_at(address).await.for_setting(&format!("--catcher {address}"))?;
    let url = catcher.url();
    tracing::info!("workers in other processes reach the mail catcher with SMTP_URL={url}");
    Ok(catcher)
}

async fn mailer(settings: &Settings, catcher: Option<&Catcher>) -> Result<Mailer, SettingError> {
    let Some(url) = settings.smtp_url.clone().or_else(|| catcher.map(Catcher::url)) else {
        return Err(SettingError::new(
            "SMTP_URL: a worker needs the URL of a mail server; the process with --role web logs \
             that of its mail catcher",
        ));
    };
    let setting = "--smtp-url (SMTP_URL)";
    let connections = usize::from(settings.in_flight) * usize::from(settings.jobs);
    let mailer = Mailer::new(&url, connections).for_setting(setting)?;
    mailer.check().await.for_setting(setting)?;
    Ok(mailer)
}
