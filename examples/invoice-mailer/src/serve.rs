//! Serves axum without a proxy in front of it. `axum::serve` waits without limit for the rest of a
//! request and for a client that does not read its response.
//!
//! The limits do not affect a long poll of up to 25 s or an event stream that is silent for 15 s.

use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutWriter;

/// How long the head of a request may take. An idle connection is closed after the same time.
pub const HEAD: Duration = Duration::from_secs(10);

/// How long a client may go without reading any of its response.
pub const STALLED: Duration = Duration::from_secs(10);

/// How long open requests may take after the server was asked to stop.
pub const GRACE: Duration = Duration::from_secs(2);

/// Serves until `stop`, and then completes open requests for up to [`GRACE`].
pub async fn serve(listener: TcpListener, app: Router, stop: impl Future<Output = ()>) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD);
    let connections = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let Ok((stream, _)) = accepted else {
            // The client has disconnected, or too many files are open until other connections end.
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        // Otherwise the kernel may hold an event back until there are more.
        let _ = stream.set_nodelay(true);
        limit_stalling(&stream);
        let mut stream = TimeoutWriter::new(stream);
        stream.set_timeout(Some(STALLED));
        let service = TowerToHyperService::new(app.clone());
        let connection = http.serve_connection(TokioIo::new(Box::pin(stream)), service);
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            // An error of a connection concerns only its client.
            let _ = connection.await;
        });
    }
    drop(listener);
    // Event streams of running jobs do not end by themselves.
    let _ = timeout(GRACE, connections.shutdown()).await;
}

/// Makes the kernel close a connection whose client reads nothing for [`STALLED`], even if buffers
/// have room left. Linux only: elsewhere such a connection stays open until its buffers are full,
/// and with actix-web without limit.
pub fn limit_stalling(stream: &TcpStream) {
    #[cfg(target_os = "linux")]
    let _ = socket2::SockRef::from(stream).set_tcp_user_timeout(Some(STALLED));
    #[cfg(not(target_os = "linux"))]
    let _ = stream;
}
