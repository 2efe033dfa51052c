//! Takes jobs from the queue and runs them.

use std::error::Error;
use std::time::Duration;

use apalis::prelude::*;
use futures_util::future::BoxFuture;
use progress_apalis::{ProgressLayer, TaskProgress};
use progress_axum::{Failure, Jobs, ProgressId};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::job::Sending;
use crate::queue::{Order, Queue, on_queue};

/// How long a worker waits before it looks into an empty queue again.
const PAUSE: Duration = Duration::from_millis(500);
/// How long it waits before it opens a queue again that was unavailable.
const OUTAGE_PAUSE: Duration = Duration::from_secs(2);

/// A process that runs jobs, or the part of a process that does.
#[derive(Clone)]
pub struct Worker {
    /// The jobs and their progress.
    pub jobs: Jobs,
    /// The jobs that wait.
    pub queue: Queue,
    /// What a job does.
    pub sending: Sending,
}

impl Worker {
    /// Runs up to `at_once` jobs at once. Returns when the program stops and has left all of them.
    pub async fn run(self, at_once: u16) {
        let mut stopping = self.sending.stopping.clone();
        // apalis ends a worker whose queue is unavailable.
        while let Err(error) = self.work(at_once).await
            && !*stopping.borrow()
        {
            tracing::warn!(error = &error as &dyn Error, "the queue is unavailable, will retry");
            let _ = timeout(OUTAGE_PAUSE, stopping.wait_for(|stopping| *stopping)).await;
        }
    }

    async fn work(&self, at_once: u16) -> Result<(), WorkerError> {
        let mut stopping = self.sending.stopping.clone();
        let stop = async move {
            let _ = stopping.wait_for(|stopping| *stopping).await;
            Ok::<_, WorkerError>(())
        };
        // A queue refuses the name of a worker that was alive a moment ago.
        let name = format!("invoice-mailer-{}", ProgressId::new());
        on_queue!(self.queue.clone(), storage => {
            let worker = WorkerBuilder::new(name)
                .backend(storage.poll_with_interval(PAUSE))
                .concurrency(usize::from(at_once))
                .parallelize(in_a_task)
                .layer(ProgressLayer::new(self.jobs.clone()))
                .data(self.sending.clone())
                .build(send_invoices);
            worker.run_until(stop).await
        })
    }
}

async fn send_invoices(
    order: Order,
    sending: Data<Sending>,
    progress: TaskProgress,
) -> Result<(), Failure> {
    sending.run(order, progress.tracker()).await
}

/// Runs a job apart from the worker, so that it goes on when the queue is unavailable.
fn in_a_task(
    work: BoxFuture<'static, Result<(), BoxDynError>>,
) -> JoinHandle<Result<(), BoxDynError>> {
    tokio::spawn(work)
}
