//! A site that serves the page and the library, and whose server can be lost.

use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use progress_core::{Jobs, ProgressId};
use tokio::sync::oneshot;

use crate::job::{Plan, Starter};
use crate::served::{Framework, Served};
use crate::{on_actix, on_axum};

/// A site in threads of its own, with records that outlive the server.
pub(crate) struct Site {
    framework: Framework,
    served: Served,
    address: SocketAddr,
    server: Option<Server>,
}

struct Server {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Site {
    /// Starts it on a free port. Jobs advance when they are let go.
    pub(crate) fn open(framework: Framework, base: &'static str, plan: Plan) -> Self {
        let served = Served::new(base, Starter::new(plan));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = Some(serve(framework, listener, served.clone()));
        Self { framework, served, address, server }
    }

    /// Returns the address of the page, with a query.
    pub(crate) fn page(&self, query: &str) -> String {
        format!("http://{}{}/?{query}", self.address, self.served.base)
    }

    /// Starts a job without a click.
    pub(crate) async fn start(&self) -> ProgressId {
        self.served.starter.start().await
    }

    /// Returns the application's handle for jobs.
    pub(crate) fn jobs(&self) -> &Jobs {
        self.served.starter.jobs()
    }

    /// Lets all jobs advance up to this item.
    pub(crate) fn let_go_to(&self, item: u64) {
        self.served.starter.let_go_to(item);
    }

    /// Returns the requests to the library's routes since the last call.
    pub(crate) fn take_asked(&self) -> Vec<String> {
        self.served.take_asked()
    }

    /// Stops the server and closes every connection.
    pub(crate) fn lose(&mut self) {
        let server = self.server.take().expect("a server");
        server.stop.send(()).expect("a server that runs");
        server.thread.join().unwrap();
        assert!(
            std::net::TcpStream::connect(self.address).is_err(),
            "the port still accepts connections"
        );
    }

    /// Starts another server at the same address, with the same records.
    pub(crate) fn come_back(&mut self) {
        // Meanwhile an unrelated connection may have been given the port.
        let begun = Instant::now();
        let listener = loop {
            match TcpListener::bind(self.address) {
                Ok(listener) => break listener,
                Err(error) => assert!(begun.elapsed() < Duration::from_secs(20), "{error}"),
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        self.server = Some(serve(self.framework, listener, self.served.clone()));
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            // A server that has ended by itself has reported why.
            let _ = server.stop.send(());
            let _ = server.thread.join();
        }
    }
}

fn serve(framework: Framework, listener: TcpListener, served: Served) -> Server {
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::spawn(move || match framework {
        Framework::Axum => on_axum::serve(listener, served, stopped),
        Framework::Actix => on_actix::serve(listener, served, stopped),
    });
    Server { stop, thread }
}
