//! How to serve axum where no proxy stands before it: `axum::serve` waits for ever for the rest of a request, and for a client
//! that does not take its answer.
//!
//! A poll that is held for 25 s, and an event stream that is quiet for 15 s, are our own doing and not meant.

use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutWriter;

/// For the head of a request to arrive. A connection on which nothing is asked is closed after the same time.
pub const HEAD: Duration = Duration::from_secs(10);

/// For something of an answer to be taken.
pub const STALLED: Duration = Duration::from_secs(10);

/// For what is under way when the server is asked to end.
pub const GRACE: Duration = Duration::from_secs(2);

/// Serves until `stop`, and then for a moment those who have asked already.
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
            // The client has gone already, or too many files are open: some will be closed.
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        // An event is to be sent when it happens, not when there are more.
        let _ = stream.set_nodelay(true);
        limit_stalling(&stream);
        let mut stream = TimeoutWriter::new(stream);
        stream.set_timeout(Some(STALLED));
        let service = TowerToHyperService::new(app.clone());
        let connection = http.serve_connection(TokioIo::new(Box::pin(stream)), service);
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            // What goes wrong with a connection is the client's affair.
            let _ = connection.await;
        });
    }
    drop(listener);
    // Event streams do not end by themselves.
    let _ = timeout(GRACE, connections.shutdown()).await;
}

/// Lets the kernel close a connection whose other end takes nothing for so long, however much more would fit into buffers
/// on the way. Linux does it; elsewhere a connection stays until its buffers are full, and with actix-web for ever.
pub fn limit_stalling(stream: &TcpStream) {
    #[cfg(target_os = "linux")]
    let _ = socket2::SockRef::from(stream).set_tcp_user_timeout(Some(STALLED));
    #[cfg(not(target_os = "linux"))]
    let _ = stream;
}
