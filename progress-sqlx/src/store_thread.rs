//! The store's own thread. It runs the calls of stores whose connections need their runtime.
//!
//! The runtimes of an application start and end: actix-web has one per worker thread, and the last
//! updates may be written from one that exists only at shutdown. The application's work may block
//! any of them. On its own thread, a store opens its connections once, and responds while the
//! application is busy.

use std::pin::Pin;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

type LastTask = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How long the connections may take to close. A server closes silent connections by itself.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

pub(crate) struct StoreThread {
    runtime: Handle,
    stop: oneshot::Sender<LastTask>,
}

impl StoreThread {
    pub(crate) fn start() -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<LastTask>();
        // Linux shows the first 15 bytes of a thread's name.
        thread::Builder::new().name("progress-store".to_owned()).spawn(move || {
            runtime.block_on(async {
                if let Ok(last) = stopped.await
                    && tokio::time::timeout(CLOSE_TIMEOUT, last).await.is_err()
                {
                    tracing::debug!("connections to the progress database did not close in time");
                }
            });
        })?;
        Ok(Self { runtime: handle, stop })
    }

    pub(crate) const fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Ends the thread after one last task. Waits for neither.
    pub(crate) fn stop(self, last: impl Future<Output = ()> + Send + 'static) {
        // If the thread has already ended, there is nothing to close.
        drop(self.stop.send(Box::pin(last)));
    }
}
