//! A server for tests over HTTP: the library under `/progress`, and routes that create and change
//! jobs.
//!
//! `testserver --framework axum|actix --store memory|sqlite:PATH|postgres:URL|mysql:URL|redis:URL
//! --listen 127.0.0.1:0` prints `listening on http://ADDRESS` on its first line. It ends on SIGTERM.
//! The header `x-viewer` names the viewer: `owner:ID` or `admin`; without it, anyone.
//!
//! | route | what it does |
//! |---|---|
//! | `POST /test/jobs` | creates a job: 201 `{"job_id"}` |
//! | `POST /test/jobs/{id}/update` | changes it: 200 and the record as an admin sees it |
//! | `POST /test/jobs/{id}/run` | runs a tracker on it, in the background: 202 `{"job_id"}` |
//! | `GET /test/counts` | the number of store calls: `{"store_reads", "store_writes"}` |
//! | `GET /bare` | a body as large as a poll's, from a handler that does nothing else |
//! | `GET /select/{id}` | a job in an SQLite file, from a handler that sends one `SELECT` |

mod bodies;
mod counting;
mod limits;
mod on_actix;
mod on_axum;
mod reopening;
#[path = "../../../../examples/invoice-mailer/src/serve.rs"]
#[allow(
    unreachable_pub,
    reason = "the example's own code, which users copy, is what the tests measure"
)]
mod serve;
mod settings;
mod test_routes;
mod viewer;

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser;
use tokio::net::{TcpListener, TcpSocket};
use tracing_subscriber::EnvFilter;

use self::settings::{Framework, Settings};
use self::test_routes::TestRoutes;

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let settings = Settings::parse();
    // With `--store-per-call`, each call is slow and would log a warning.
    let level = if settings.store_per_call { "off" } else { "warn" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    // Stdout is for the address, which tests read.
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    match run(settings).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let causes = std::iter::successors(Some(&*error as &dyn std::error::Error), |error| {
                error.source()
            });
            let causes: Vec<_> = causes.map(ToString::to_string).collect();
            eprintln!("testserver: {}", causes.join(": "));
            ExitCode::from(2)
        }
    }
}

async fn run(settings: Settings) -> Result<(), Error> {
    let counting = settings.open().await?;
    let routes = TestRoutes::new(counting, settings.freshness(), settings.pool()?).await?;
    let listener = listen(settings.listen)?;
    // The parent process may have closed this output, which must not stop the server.
    let _ = writeln!(std::io::stdout(), "listening on http://{}", listener.local_addr()?);
    let is_limited = !settings.without_limits;
    match settings.framework {
        Framework::Axum => on_axum::serve(listener, routes, is_limited, asked_to_stop()).await?,
        Framework::Actix => {
            let workers = settings.workers;
            on_actix::serve(listener, routes, is_limited, workers, asked_to_stop()).await?;
        }
    }
    Ok(())
}

/// Ten thousand clients may connect at once. Those that find the queue full would retry after one
/// to three seconds.
const QUEUE: u32 = 4_096;

/// Enough for the responses here, in bytes.
const SEND_BUFFER: u32 = 128 * 1024;

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Connections inherit it. By default, the kernel takes megabytes for each client that does not
    // read.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    // A server that was killed a moment ago may have listened here.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(QUEUE)
}

async fn asked_to_stop() {
    let terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
    let Ok(mut terminate) = terminate else { return std::future::pending().await };
    tokio::select! {
        // Without a handler, the signal ends the process by itself.
        Ok(()) = tokio::signal::ctrl_c() => {}
        Some(()) = terminate.recv() => {}
        else => std::future::pending().await,
    }
}
