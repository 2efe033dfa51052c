//! How to serve axum where no proxy stands before it. `axum::serve` waits for ever for the rest of a request, and for a
//! client that does not take its answer.

use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutWriter;

use crate::limits::{GRACE, HEAD, STALLED, limit_stalling};

/// Serves until `stop`, and then for a moment those who have asked already.
pub(crate) async fn serve(listener: TcpListener, app: Router, stop: impl Future<Output = ()>) {
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
