//! A thread that runs the calls of stores whose connections need their runtime.

use std::fmt;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tracing::Instrument as _;

use crate::ProgressError;

type LastTask = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How long the last task may take. A server closes silent connections by itself.
const LAST_TASK_TIMEOUT: Duration = Duration::from_secs(1);

/// The own thread of a store whose connections belong to the runtime that opened them.
///
/// The runtimes of an application start and end: actix-web has one per worker thread, and the last
/// updates may be written from one that exists only at shutdown. The application's work may block
/// any of them. On its own thread, a store opens its connections once, and responds while the
/// application is busy.
///
/// The thread starts with the first call. [`stop`](Self::stop) ends it.
///
/// ```
/// use progress_core::{ProgressError, StoreThread};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let thread = StoreThread::new();
/// let name = thread.run(async { Ok(std::thread::current().name().map(str::to_owned)) }).await?;
/// assert_eq!(name.as_deref(), Some("progress-store"));
/// thread.stop(async { /* close the connections */ });
/// # Ok::<(), ProgressError>(())
/// # }).unwrap();
/// ```
#[derive(Default)]
pub struct StoreThread {
    running: Mutex<Option<Running>>,
}

struct Running {
    runtime: Handle,
    stop: oneshot::Sender<LastTask>,
}

impl fmt::Debug for StoreThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreThread").finish_non_exhaustive()
    }
}

impl StoreThread {
    /// Creates a thread that is not started yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { running: Mutex::new(None) }
    }

    /// Runs a call on the thread and returns its outcome. The call continues there even if the
    /// caller stops waiting, so no connection is left in the middle of a statement. Give it a
    /// deadline of its own.
    ///
    /// This also avoids a deadlock when a runtime shuts down. The runtime drops its tasks one by
    /// one, and one of them may wait for a write whose lock is held by the transaction of another.
    ///
    /// # Errors
    ///
    /// Those of the call; [`ProgressError::Unavailable`] if the thread cannot be started, or if the
    /// call panics.
    pub async fn run<T: Send + 'static>(
        &self,
        call: impl Future<Output = Result<T, ProgressError>> + Send + 'static,
    ) -> Result<T, ProgressError> {
        let task = self.runtime()?.spawn(call.in_current_span());
        task.await.map_err(ProgressError::unavailable)?
    }

    /// Starts a task on the thread, which may run until the thread ends.
    ///
    /// # Errors
    ///
    /// [`ProgressError::Unavailable`] if the thread cannot be started.
    pub fn spawn(
        &self,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), ProgressError> {
        // Not in the caller's span, which may end long before.
        self.runtime()?.spawn(task);
        Ok(())
    }

    /// Ends the thread after one last task, which may take up to a second. Waits for neither. A
    /// later call starts the thread again.
    pub fn stop(&self, last: impl Future<Output = ()> + Send + 'static) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(running) = running {
            // If the thread has already ended, there is nothing to close.
            drop(running.stop.send(Box::pin(last)));
        }
    }

    fn runtime(&self) -> Result<Handle, ProgressError> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let running = match &mut *running {
            Some(running) => running,
            none => none.insert(Running::start().map_err(ProgressError::unavailable)?),
        };
        Ok(running.runtime.clone())
    }
}

impl Running {
    fn start() -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<LastTask>();
        // Linux shows the first 15 bytes of a thread's name.
        thread::Builder::new().name("progress-store".to_owned()).spawn(move || {
            runtime.block_on(async {
                if let Ok(last) = stopped.await
                    && tokio::time::timeout(LAST_TASK_TIMEOUT, last).await.is_err()
                {
                    tracing::debug!("the connections of the progress store did not close in time");
                }
            });
        })?;
        Ok(Self { runtime: handle, stop })
    }
}
